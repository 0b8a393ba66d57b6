"""CSV files: packed, of other kinds, without line ends, in other encodings, with odd headers and values."""

import bz2
import gzip
import io
import lzma
import random
import tarfile
import zipfile
from collections.abc import Iterator

import pyarrow as pa

from benchmarks.faults.rows import HEADER, Content, sale, sales

NAMES_OF_OURS = ("_raw", "_pos", "_file", "_problem", "_line", "_key", "_ok", "load_id", "business_date", "file_date")
OVER_PYTHONS_FIELD = 131_073


def text_contents(chance: random.Random, size: int) -> Iterator[tuple[str, Content]]:
    """Kind and content of every hostile CSV file."""
    for group in (_packed, _other_kinds, _encodings, _line_ends, _headers, _quotes, _cut):
        yield from group(chance)
    yield from _values(chance)
    yield from _large(size)


def _packed(_: random.Random) -> Iterator[tuple[str, Content]]:
    good = sales("packed").encode()
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo("sales.csv")  # of 1980: the clock has no part in what a seed gives
        archive.writestr(member, good, zipfile.ZIP_DEFLATED)
    with tarfile.open(fileobj=tarred, mode="w") as archive_of_tar:
        entry = tarfile.TarInfo("sales.csv")
        entry.size = len(good)
        archive_of_tar.addfile(entry, io.BytesIO(good))
    yield "gzip", gzip.compress(good, mtime=0)
    yield "zip", zipped.getvalue()
    yield "bzip2", bz2.compress(good)
    yield "xz", lzma.compress(good)
    yield "lzma", lzma.compress(good, lzma.FORMAT_ALONE)
    yield "Zstandard", pa.compress(good, "zstd", asbytes=True)
    yield "LZ4", pa.compress(good, "lz4", asbytes=True)
    yield "7-Zip", b"7z\xbc\xaf\x27\x1c\0\4" + good[:30]
    yield "tar", tarred.getvalue()
    yield "gzip of gzip", gzip.compress(gzip.compress(good, mtime=0), mtime=0)
    yield "gzip cut", gzip.compress(good, mtime=0)[:20]


def _other_kinds(chance: random.Random) -> Iterator[tuple[str, Content]]:
    yield "old Excel", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)
    yield "PDF", b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n"
    yield "picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + chance.randbytes(64)
    yield "program", b"\x7fELF\2\1\1" + bytes(9) + chance.randbytes(300)
    yield "SQLite", b"SQLite format 3\0" + chance.randbytes(200)
    yield "page", b"<!DOCTYPE html>\n<html><body>Sign in</body></html>\n"
    yield "XML", b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>\n'
    yield "error of a server", b'{"error": "token expired"}\n'
    yield "word", b"Forbidden\n"
    yield "noise", chance.randbytes(4_096)
    yield "noise with line ends", b"\n".join(chance.randbytes(80).replace(b"\n", b"") for _ in range(50))
    yield "script", b"#!/bin/sh\nrm -rf ~\n"


def _encodings(_: random.Random) -> Iterator[tuple[str, Content]]:
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "utf-7", "cp037"):
        yield encoding, sales(encoding).encode(encoding)
    yield "BOM", b"\xef\xbb\xbf" + sales("BOM").encode()
    yield "BOM twice", b"\xef\xbb\xbf\xef\xbb\xbf" + sales("BOM-twice").encode()
    row = sale("latin", customer_id="Zoë").encode("latin-1")
    yield "latin-1", f"{sales('latin-1')}".encode() + row + b"\n"
    yield (
        "overlong UTF-8",
        sales("overlong").encode() + sale("over", customer_id="X").encode().replace(b"X", b"\xc0\xaf") + b"\n",
    )
    yield (
        "surrogates in UTF-8",
        sales("surrogates").encode() + sale("s", customer_id="X").encode().replace(b"X", b"\xed\xa0\x80") + b"\n",
    )
    yield (
        "beyond Unicode",
        sales("beyond").encode() + sale("b", customer_id="X").encode().replace(b"X", b"\xf5\x90\x80\x80") + b"\n",
    )


def _line_ends(_: random.Random) -> Iterator[tuple[str, Content]]:
    good = sales("ends")
    yield "carriage returns only", good.replace("ends", "cr").replace("\n", "\r").encode()
    yield "carriage returns before the last", good.replace("ends", "crn").replace("\n", "\r")[:-1].encode() + b"\n"
    yield "Windows line ends", good.replace("ends", "crlf").replace("\n", "\r\n").encode()
    yield "mixed line ends", "\n".join([HEADER + "\r", sale("m1") + "\r", sale("m2"), ""]).encode()
    yield "a stray carriage return", "\n".join([HEADER, sale("c1") + "\r" + sale("c2"), sale("c3"), ""]).encode()
    yield "two carriage returns", "\r\r\n".join([HEADER, sale("d1"), sale("d2"), ""]).encode()
    yield "vertical tabs and form feeds", "\x0b".join([HEADER, sale("v1"), sale("v2")]).encode() + b"\n"
    yield "Unicode line separators", "\u2028".join([HEADER, sale("u1"), ""]).encode() + b"\n"
    yield "no line end", good.replace("ends", "none").rstrip().encode()
    yield "empty", b""
    yield "one line end", b"\n"
    yield "only empty lines", b"\r\n" * 100
    yield "only spaces", b"   \n  \t \n"
    yield "only commas", b",,,\n,,,\n"
    yield "end of file of DOS", good.replace("ends", "dos").encode() + b"\x1a"


def _headers(chance: random.Random) -> Iterator[tuple[str, Content]]:
    for name in NAMES_OF_OURS:
        yield f"column {name}", f"{HEADER},{name}\n{sale('of-' + name)},x\n".encode()
    yield "columns of ours only", f"{','.join(NAMES_OF_OURS)}\n{','.join('x' * len(NAMES_OF_OURS))}\n".encode()
    yield "header field too long", f"{'a' * OVER_PYTHONS_FIELD},{HEADER}\n1,{sale('hl')}\n".encode()
    yield "quoted header field too long", f'"{"a" * OVER_PYTHONS_FIELD}",{HEADER}\n1,{sale("qh")}\n'.encode()
    yield "column twice", f"{HEADER},quantity\n{sale('tw')},2\n".encode()
    yield "column in two cases", f"{HEADER},Quantity\n{sale('cs')},2\n".encode()
    yield "header in capitals", sales("caps").replace(HEADER, HEADER.upper()).encode()
    yield "one column in another case", sales("case").replace("receipt_id", "Receipt_Id", 1).encode()
    yield "column without a name", f"{HEADER},,\n{sale('no')},1,2\n".encode()
    yield "names of white space", f"{HEADER}, ,\t\n{sale('ws')},1,2\n".encode()
    yield "missing column", sales("missing").replace("receipt_id,", "").encode()
    yield (
        "columns in another order",
        ",".join(reversed(HEADER.split(","))).encode()
        + b"\n"
        + (",".join(reversed(sale("order").split(","))).encode() + b"\n"),
    )
    yield "no header", f"{sale('n1')}\n{sale('n2')}\n".encode()
    yield "header twice", f"{HEADER}\n{HEADER}\n{sale('h2')}\n".encode()
    many = [f"extra_{n}" for n in range(3_000)]
    yield "thousands of columns", f"{HEADER},{','.join(many)}\n{sale('many')},{','.join('1' for _ in many)}\n".encode()
    yield "NUL in the header", sales("nul").replace("sku", "s\0ku", 1).encode()
    yield "control characters in the header", sales("ctl").replace("sku", "s\x1bku", 1).encode()
    yield "mark of ours in a name", f"{HEADER},\x1fpos,\x1fraw\n{sale('mk')},1,2\n".encode()
    yield "quotes in a name", f'{HEADER},"a""b\'; DROP TABLE part; --"\n{sale("in")},1\n'.encode()
    yield "line end in a name", f'{HEADER},"a\nb"\n{sale("nl")},1\n'.encode()
    yield "other delimiter", sales("semi").replace(",", ";").encode()
    yield "sep= of another", f"sep=;\n{sales('sep')}".encode()
    yield (
        "name that looks like SQL",
        f"{HEADER},{chance.choice(['NULL', 'select', 'raw', 'file'])}\n{sale('sq')},1\n".encode(),
    )


def _quotes(_: random.Random) -> Iterator[tuple[str, Content]]:
    good = sales("quote")
    yield "torn quote in the header", good.replace("sku", '"sku', 1).replace("quote", "tq").encode()
    yield "torn quote in a row", f"{HEADER}\n{sale('q1', customer_id=chr(34) + 'C')}\n{sale('q2')}\n".encode()
    yield "only quotes", b'"' * 20_001
    yield "odd quotes in every line", (HEADER + "\n" + f"{sale('oq', customer_id=chr(34))}\n" * 300).encode()
    yield (
        "field over many lines",
        f"{HEADER}\n{sale('fl').replace('C-1', chr(34) + 'a' + chr(10) * 2_000 + chr(34))}\n".encode(),
    )


def _cut(chance: random.Random) -> Iterator[tuple[str, Content]]:
    good = sales("cut", 20).encode()
    yield "cut in the header", good[: chance.randrange(5, len(HEADER) - 1)]
    yield "cut after the header", good[: len(HEADER)]
    yield "cut in the last row", good[: -chance.randrange(5, 40)].replace(b"cut", b"cl")
    at = chance.randrange(len(HEADER) + 100, len(good) - 100)
    yield "zeros at the end", good[:at].replace(b"cut", b"ze") + bytes(4_096)
    yield "zeros at the beginning", bytes(4_096) + good
    yield "zeros in the middle", good[:at].replace(b"cut", b"zm") + bytes(512) + good[at:].replace(b"cut", b"zm")
    flipped = bytearray(good.replace(b"cut", b"fb"))
    flipped[chance.randrange(len(HEADER) + 1, len(flipped))] ^= 1 << chance.randrange(8)
    yield "one bit flipped", bytes(flipped)


def _values(chance: random.Random) -> Iterator[tuple[str, Content]]:
    huge = "9" * chance.randrange(5_000, 6_000)
    odd = {
        "number of thousands of digits": {"quantity": huge},
        "price of thousands of digits": {"unit_price": huge},
        "exponents": {"quantity": "1e999", "unit_price": "1e-999"},
        "no number": {"quantity": "NaN", "unit_price": "inf"},
        "whole number of 128 bits": {"quantity": str(2**127)},
        "line number out of range": {"line_no": str(2**63)},
        "day of no calendar": {"sold_at": "02/30/2025 10:15:00 AM"},
        "year 0": {"sold_at": "01/01/0000 10:15:00 AM"},
        "year 99999": {"sold_at": "01/01/99999 10:15:00 AM"},
        "NUL in a value": {"customer_id": "C\0"},
        "escape sequences": {"customer_id": "\x1b[2J\x1b]0;x\x07"},
        "formula": {"customer_id": "=1+1"},
        "field over 131,072 characters": {"customer_id": "x" * OVER_PYTHONS_FIELD},
        "field over a megabyte": {"customer_id": "x" * (1 << 20)},
        "letters that turn the direction": {"customer_id": "\u202eC"},
        "a hundred thousand commas": {"customer_id": "," * 100_000},
    }
    for what, changed in odd.items():
        name = "".join(filter(str.isalpha, what))
        yield what, (sales(name) + sale("x" + name, **changed) + "\n").encode()


def _large(size: int) -> Iterator[tuple[str, Content]]:
    yield "one line", _repeated(b"x", size)
    yield "one line with commas", _repeated(b"x,", size)
    yield "one long line below the header", _repeated(b"x", size, HEADER.encode() + b"\n")
    yield "one long quoted field", _repeated(b"x", size, HEADER.encode() + b'\n"')
    yield "only NULs", _hole(size)
    yield "NULs below the header", _hole(size, sales("below").encode())
    yield "only line ends", _repeated(b"\n", size)
    yield "only carriage returns", _repeated(b"\r", size)
    yield "lines of NULs", _repeated(b"\0\0\0\n", size // 8, HEADER.encode() + b"\n")
    yield "one line of commas", _repeated(b",", size)


def _repeated(piece: bytes, size: int, before: bytes = b"", after: bytes = b"") -> Content:
    def make(path: bytes) -> None:
        block, left = piece * (1 << 16), size
        with open(path, "wb") as file:
            file.write(before)
            while left >= len(piece):
                left -= file.write(block[: left // len(piece) * len(piece)])
            file.write(after)

    return make


def _hole(size: int, before: bytes = b"") -> Content:
    """A sparse file: it takes no room on the disk and reads as NULs."""

    def make(path: bytes) -> None:
        with open(path, "wb") as file:
            file.write(before)
            file.truncate(max(size, len(before)))

    return make
