"""Landing files that nobody means and everybody gets, each by a seed: kind, name below landing/, and content.

They are laid out as the sample retailer delivers: sales as CSV below `pos/US-001`, clicks as JSON lines, weather as
JSON arrays, payments as Parquet. Content is bytes, or a function that makes what stands at a path (a pipe, a link).
"""

import random
from collections.abc import Callable, Iterator

from benchmarks.faults.hostile_json import json_contents, json_lines_contents
from benchmarks.faults.hostile_parquet import parquet_contents
from benchmarks.faults.hostile_paths import places
from benchmarks.faults.hostile_text import text_contents
from benchmarks.faults.rows import Content

Hostile = tuple[str, bytes, Content]
SIZE = 8 << 20
FOLDERS: dict[str, tuple[bytes, bytes]] = {
    "csv": (b"pos/US-001/pos_US-001_20251006_d20251008T%s%sZ", b".csv"),
    "jsonl": (b"clicks/US-WEB/clicks_US-WEB_20251006_d20251008T%s%sZ", b".jsonl"),
    "json": (b"weather/weather_20251006_d20251008T%s%sZ", b".json"),
    "parquet": (b"payments/payments_20251006_d20251008T%s%sZ", b".parquet"),
}
SOURCES = {"pos": "pos_lines", "clicks": "click_events", "weather": "weather", "payments": "payments"}
"""Which source reads the files of a folder below landing/."""


def hostile_files(seed: int, size: int = SIZE) -> Iterator[Hostile]:
    """More than a hundred kinds of files; `size` in bytes is how large the large ones are (one line, only NULs).

    The same seed gives the same files. No two have the same kind or name.
    """
    contents: dict[str, Callable[[random.Random, int], Iterator[tuple[str, Content]]]] = {
        "csv": text_contents,
        "jsonl": json_lines_contents,
        "json": json_contents,
        "parquet": parquet_contents,
    }
    for kind, make in contents.items():
        folder, ending = FOLDERS[kind]
        for n, (what, content) in enumerate(make(random.Random(f"{seed} {kind}"), size)):
            name = folder % (b"%02d" % (n // 60 % 24), b"%04d" % (n % 60)) + ending
            yield f"{kind}: {what}", name, content
    yield from places(random.Random(f"{seed} places"))
