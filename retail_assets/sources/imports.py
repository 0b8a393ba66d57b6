"""What a home remembers of its retailer: by which mapping, as it read then, files were imported, and from where."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from retail_assets.core.errors import RetailError
from retail_assets.core.settings import parse_yaml
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sources.state import MOVES
from retail_assets.sources.tables import INSTANT, append_rows

MAPPINGS = pa.schema(
    [
        ("mapping", pa.string()),
        ("path", pa.string()),
        ("sha256", pa.string()),
        ("content", pa.string()),
        ("root", pa.string()),
        ("at", INSTANT),
    ]
)
SAMPLE, LANDING = "sample", "landing"


class SecondRetailer(RetailError):
    """Files of a retailer on their way into the home of another."""


@dataclass(frozen=True)
class Remembered:
    """One mapping as it read when it was used: `path` is where it was, `root` the folder of the retailer's files."""

    mapping: str
    path: Path
    sha256: str
    content: str
    root: Path
    at: datetime

    def same_as(self, file: Path) -> bool:
        """Whether `file` reads as this mapping did."""
        return digest(file.read_bytes()) == self.sha256

    def derive(self, source: str, feed: str) -> str:
        """The SQL by which its feed `feed` of `source` derived rows from whole files; empty where it did not."""
        feeds = parse_yaml(self.content.encode(), self.path)[0]["feeds"]
        found = (f.get("derive") for f in feeds if (f.get("source"), f.get("name")) == (source, feed))
        return next(found, None) or ""


def digest(content: bytes) -> str:
    """The sha256 of a mapping's text."""
    return hashlib.sha256(content).hexdigest()


def remembered(lake: Lake) -> dict[str, list[Remembered]]:
    """Every mapping that was used in this home, by name, oldest first; homes made before this was kept have none."""
    if not lake.exists("ops", "mappings"):
        return {}
    found: dict[str, list[Remembered]] = {}
    for row in lake.query(f'SELECT * FROM {lake.scan("ops", "mappings")} AS m ORDER BY m."at"').to_pylist():
        row |= {"path": Path(row["path"]), "root": Path(row["root"])}
        found.setdefault(row["mapping"], []).append(Remembered(**row))
    return found


def remember(lake: Lake, mapping: str, file: Path, root: Path) -> None:
    """Notes that `mapping` was read from `file` for files below `root`, unless that is what was noted last."""
    content = file.read_bytes()
    row = {
        "mapping": mapping,
        "path": str(file.resolve()),
        "sha256": digest(content),
        "content": content.decode(errors="replace"),
        "root": str(root.resolve()),
    }
    last = remembered(lake).get(mapping, [])[-1:]
    if [(str(m.path), m.sha256, str(m.root)) for m in last] == [(row["path"], row["sha256"], row["root"])]:
        return
    lake.ensure("ops", "mappings", MAPPINGS)
    append_rows(lake, "mappings", [row | {"at": datetime.now(UTC)}], MAPPINGS)


def retailers(lake: Lake, home: Home) -> list[str]:
    """Whose files this home holds: names of mappings, `sample`, or `landing` for other files delivered there."""
    found = list(remembered(lake))
    delivered = SAMPLE if (home.truth / "manifest.json").is_file() else LANDING
    if delivered == SAMPLE:
        found.append(SAMPLE)
    if lake.exists("ops", "loads"):
        prefixes = lake.query(
            "SELECT CASE WHEN contains(feed, '/') THEN split_part(feed, '/', 1) END AS prefix, min(loaded_at) AS at "
            f"FROM {lake.scan('ops', 'loads')} WHERE status NOT IN {MOVES} GROUP BY 1 ORDER BY 2"
        )
        found += [prefix or delivered for prefix in prefixes["prefix"].to_pylist()]
    return list(dict.fromkeys(found))


def refuse_second(lake: Lake, home: Home, retailer: str, into_same_home: bool) -> None:
    """Raises SecondRetailer when the home holds another retailer's files and none of `retailer`, unless allowed."""
    there = retailers(lake, home)
    if into_same_home or not there or retailer in there:
        return
    raise SecondRetailer(
        f"this home holds the files of {_named(there)}; those of {_named([retailer])} would be mixed with them",
        where=str(home.root),
        todo="name another folder by RETAIL_HOME (one retailer, one home); if both are files of one retailer, "
        "add --into-same-home",
    )


def _named(names: Sequence[str]) -> str:
    words = {SAMPLE: "the sample retailer", LANDING: "the retailer that delivers to landing/"}
    return " and ".join(words.get(name, f"mapping {name!r}") for name in names)
