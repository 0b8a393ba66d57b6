"""What disks and power cuts do to the files of a home: torn, zeroed, truncated, flipped, lost, left behind.

`corrupt(root, seed)` does one of FAULTS to one file, both chosen by the seed, and says what it did; a home in the same
state and the same seed give the same fault. No process may write into the home meanwhile.
"""

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

TABLES = ("bronze", "quarantine", "gold", "ops", "decisions", "reports")
COMMITS, DATA, SQLITE, DOCUMENTS, MODELS, PRICES, SCRATCH = (
    "commits", "data", "sqlite", "documents", "models", "prices", "scratch",
)  # fmt: skip
Damage = Callable[[Path, random.Random], str]


@dataclass(frozen=True)
class Corrupted:
    """One fault: its name, the file below the home that it happened to, and what was done in words."""

    fault: str
    path: str
    what: str
    seed: int


def torn(file: Path, rng: random.Random) -> str:
    """The file ends somewhere within: only its first part reached the disk."""
    size = file.stat().st_size
    kept = rng.randrange(1, max(size, 2))
    os.truncate(file, kept)
    return f"cut to {kept} of {size} bytes"


def zeroed(file: Path, _: random.Random) -> str:
    """The file has no byte: its name reached the disk, its content did not."""
    size = file.stat().st_size
    os.truncate(file, 0)
    return f"emptied of {size} bytes"


def nulls(file: Path, _: random.Random) -> str:
    """The file has its length and only zeros: its blocks were given out and never written."""
    size = file.stat().st_size
    file.write_bytes(bytes(size))
    return f"{size} bytes of zeros"


def tail_of_nulls(file: Path, rng: random.Random) -> str:
    """The last part of the file is zeros."""
    content = file.read_bytes()
    kept = rng.randrange(0, max(len(content), 1))
    file.write_bytes(content[:kept] + bytes(len(content) - kept))
    return f"zeros from byte {kept} of {len(content)}"


def flipped(file: Path, rng: random.Random) -> str:
    """One bit of the file is the other one."""
    content = bytearray(file.read_bytes())
    if not content:
        return "nothing: the file is empty"
    place, bit = rng.randrange(len(content)), rng.randrange(8)
    content[place] ^= 1 << bit
    file.write_bytes(content)
    return f"bit {bit} of byte {place} flipped"


def garbage(file: Path, rng: random.Random) -> str:
    """Another file's blocks, as long as this one."""
    size = max(file.stat().st_size, 1)
    file.write_bytes(rng.randbytes(size))
    return f"{size} random bytes"


def lost(file: Path, _: random.Random) -> str:
    """The file is gone."""
    file.unlink()
    return "removed"


def left_behind(file: Path, rng: random.Random) -> str:
    """A half-written temporary file lies beside this one."""
    names = (f".{file.name}.{rng.randrange(1000, 99999)}", f".{file.name}.tmp", f"{file.stem}.partial")
    stray = file.with_name(rng.choice(names))
    content = file.read_bytes()
    stray.write_bytes(content[: rng.randrange(len(content) + 1)])
    return f"{stray.name} left beside it"


def newest_commits(root: Path, layers: Sequence[str] = TABLES) -> list[Path]:
    """The newest commit of each Delta table of `layers` that has one before it, sorted."""
    found = []
    for layer in layers:
        for log in sorted((root / "lake" / layer).glob("*/_delta_log")):
            commits = sorted(path for path in log.glob("*.json") if path.stem.isdigit())
            found += commits[-1:] if len(commits) > 1 else []
    return found


def earlier_commits(root: Path, layers: Sequence[str] = TABLES) -> list[Path]:
    """Every commit that has one after it: without it the log has a gap."""
    found = []
    for layer in layers:
        for log in sorted((root / "lake" / layer).glob("*/_delta_log")):
            found += sorted(path for path in log.glob("*.json") if path.stem.isdigit())[:-1]
    return found


def data_files(root: Path, layers: Sequence[str] = TABLES) -> list[Path]:
    """Every Parquet file of rows, those of earlier versions too, sorted."""
    files = (path for layer in layers for path in (root / "lake" / layer).rglob("*.parquet"))
    return sorted(path for path in files if "_delta_log" not in path.parts)


def other_files(root: Path, kind: str) -> list[Path]:
    """The files of a home beside its lake, of one of the kinds above, sorted."""
    patterns = {
        SQLITE: ("dagster/**/*.db", "features/online.db"),
        SCRATCH: ("warehouse/*.json", "warehouse/*.duckdb", "features/registry.db", "features/*.sha256"),
        DOCUMENTS: ("dagster/*.json", "keys.json"),
        MODELS: ("models/models/*/*/*.*",),
        PRICES: ("outbox/prices/*/*.csv", "outbox/prices/*/*.json"),
    }[kind]
    return sorted(path for pattern in patterns for path in root.glob(pattern) if path.is_file())


def files_of(root: Path, kind: str) -> list[Path]:
    """Every file of a home that a fault of `kind` can happen to, sorted."""
    if kind == COMMITS:
        return newest_commits(root)
    return data_files(root) if kind == DATA else other_files(root, kind)


FAULTS: dict[str, tuple[str, Damage]] = {
    **{f"{kind}_{damage.__name__}": (kind, damage)
       for kind in (COMMITS, DATA, SQLITE, DOCUMENTS, MODELS, PRICES, SCRATCH)
       for damage in (torn, zeroed, nulls, tail_of_nulls, flipped, garbage, lost)},
    "prices_left_behind": (PRICES, left_behind),
    "documents_left_behind": (DOCUMENTS, left_behind),
}  # fmt: skip
"""By name: the kind of file, and what happens to it."""


def corrupt(root: Path, seed: int, fault: str | None = None) -> Corrupted | None:
    """Does one fault (of FAULTS, chosen by `seed` unless named) to one file of the home at `root`.

    None where the home has no file of that kind.
    """
    rng = random.Random(f"{seed}|{fault}")  # noqa: S311 - to be made again, not to be secret
    name = fault or rng.choice(sorted(FAULTS))
    kind, damage = FAULTS[name]
    files = files_of(root, kind)
    if not files:
        return None
    file = rng.choice(files)
    return Corrupted(name, str(file.relative_to(root)), damage(file, rng), seed)
