"""What stands where a file should: odd names, links, pipes, folders, devices, and files that do not keep still."""

import os
import random
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator

from benchmarks.faults.rows import Content, sales

FOLDER = b"pos/US-001/"
PLAIN = b"pos/US-001/pos_US-001_20251006_d20251009T%06dZ.csv"
OUTSIDE = b"/etc/passwd"
KEEPS_CHANGING_S = 3.0


def places(chance: random.Random) -> Iterator[tuple[str, bytes, Content]]:
    """Kind, name and content of everything that is hostile by its name or by what it is."""
    for n, (what, name) in enumerate(_names()):
        yield f"name: {what}", FOLDER + name, sales(f"name-{n}").encode()
    for n, (what, make) in enumerate(_things().items()):
        yield f"place: {what}", PLAIN % n, make
    yield "place: link to a folder out of landing", b"pos/US-998", _link(b"/etc")
    yield "place: link to the folder above", b"pos/US-997", _link(b"..")
    yield "place: folder of nobody", b"pos/US-996", _closed_folder
    for n, seconds in enumerate((-(2**40), -(2**31) - 1, 0, 2**33, 2**40)):
        yield f"time: {seconds}", b"pos/US-001/pos_time_%d.csv" % n, _changed_at(sales(f"time-{n}").encode(), seconds)
    for n, (what, act) in enumerate({"grows": _grow, "goes": _go, "is replaced": _replace}.items()):
        yield (
            f"moving: {what}",
            PLAIN % (900 + n),
            _moving(sales(f"moving-{n}", 5_000).encode(), act, chance.random() / 2),
        )


def _names() -> Iterator[tuple[str, bytes]]:
    yield "latin-1", b"pos_caf\xe9_d20251008T120000Z.csv"
    yield "bytes", b"pos_\xff\xfe\x80_d20251008T120001Z.csv"
    yield "line end", b"pos_a\nb_d20251008T120002Z.csv"
    yield "escape sequences", b"pos_\x1b[2J_d20251008T120003Z.csv"
    yield "quotes", b"pos_'\"_d20251008T120004Z.csv"
    yield "SQL", b"pos_'); DROP TABLE part; --_d20251008T120005Z.csv"
    yield "brackets", b"pos_[*?]{}_d20251008T120006Z.csv"
    yield "percent signs", b"pos_%2e%2e%2F_d20251008T120007Z.csv"
    yield "spaces", b" pos _d20251008T120008Z .csv"
    yield "hyphen first", b"-rf_d20251008T120009Z.csv"
    yield "tilde first", b"~root_d20251008T120010Z.csv"
    yield "255 bytes", (b"p" * 251) + b".csv"
    yield "backslash", b"..\\..\\pos_d20251008T120011Z.csv"
    yield "sign of another plane", "pos_\U0001f4a9_d20251008T120012Z.csv".encode()
    yield "turned direction", "pos_\u202evsc_d20251008T120013Z.csv".encode()
    yield "stamp of no instant", b"pos_US-001_20251006_d20251399T999999Z.csv"
    yield "stamp of year 0", b"pos_US-001_20251006_d00000101T000000Z.csv"
    yield "stamp of year 9999", b"pos_US-001_20251006_d99991231T235959Z.csv"
    yield "day of no calendar", b"pos_US-001_20251399_d20251008T120014Z.csv"
    yield "29 February", b"pos_US-001_20250229_d20251008T120015Z.csv"
    yield "two stamps", b"pos_d20251008T120016Z_d20251399T120017Z.csv"


def _things() -> dict[str, Callable[[bytes], None]]:
    return {
        "unreadable file": _unreadable,
        "pipe": os.mkfifo,
        "socket": _socket,
        "device": _device,
        "folder": os.mkdir,
        "link to a file out of landing": _link(OUTSIDE),
        "link up and out": _link(b"../../../../../../../../../../../../etc/passwd"),
        "link to a device": _link(b"/dev/zero"),
        "link to a process": _link(b"/proc/self/environ"),
        "link to memory": _link(b"/proc/self/mem"),
        "link to itself": lambda path: os.symlink(os.path.basename(path), path),
        "link to nothing": _link(b"nowhere.csv"),
        "link to a pipe": _link_to_pipe,
        "links in a circle": _circle,
    }


def _link(target: bytes) -> Callable[[bytes], None]:
    return lambda path: os.symlink(target, path)


def _link_to_pipe(path: bytes) -> None:
    os.mkfifo(path + b".pipe")
    os.symlink(path + b".pipe", path)


def _circle(path: bytes) -> None:
    os.symlink(path, path + b".other")
    os.symlink(path + b".other", path)


def _unreadable(path: bytes) -> None:
    with open(path, "wb") as file:
        file.write(sales("unreadable").encode())
    os.chmod(path, 0)


def _socket(path: bytes) -> None:
    folder, name = os.path.split(path)
    here = os.getcwd()
    os.chdir(folder)  # a socket's name may have no more than 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(name)
    finally:
        os.chdir(here)


def _device(path: bytes) -> None:
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        os.symlink(b"/dev/zero", path)


def _closed_folder(path: bytes) -> None:
    os.mkdir(path)
    with open(path + b"/pos_d20251008T130000Z.csv", "wb") as file:
        file.write(sales("closed").encode())
    os.chmod(path, 0)


def _changed_at(content: bytes, seconds: int) -> Callable[[bytes], None]:
    def make(path: bytes) -> None:
        with open(path, "wb") as file:
            file.write(content)
        try:
            os.utime(path, (0, seconds))
        except OverflowError:
            os.utime(path, (0, 2**34))

    return make


def _moving(content: bytes, act: Callable[[bytes, bytes], None], first_s: float) -> Callable[[bytes], None]:
    """A file to which a thread does `act` from `first_s` on, for some seconds."""

    def make(path: bytes) -> None:
        with open(path, "wb") as file:
            file.write(content)
        threading.Thread(target=_act, args=(path, content, act, first_s), daemon=True).start()

    return make


def _act(path: bytes, content: bytes, act: Callable[[bytes, bytes], None], first_s: float) -> None:
    time.sleep(first_s)
    end = time.monotonic() + KEEPS_CHANGING_S
    while time.monotonic() < end:
        try:
            act(path, content)
        except OSError:
            return
        time.sleep(0.005)


def _grow(path: bytes, content: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(content.splitlines(keepends=True)[-1])


def _go(path: bytes, _: bytes) -> None:
    os.unlink(path)


def _replace(path: bytes, content: bytes) -> None:
    with open(path + b".new", "wb") as file:
        file.write(content)
    os.replace(path + b".new", path)
