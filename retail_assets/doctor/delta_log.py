"""The log of a Delta table as files: which commits are torn, which are missing, which version was the last whole one.

Read without a Delta library, because those pass over an empty commit as if it said nothing.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as parquet

COMMIT = re.compile(r"(\d{20})\.json")
CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.(?:[\w.-]+\.)?parquet")
LAST = "_last_checkpoint"


@dataclass(frozen=True)
class DeltaLog:
    """`commits` and `checkpoints` by version; `torn` are versions whose commit is empty or not whole JSON."""

    folder: Path
    commits: Mapping[int, Path]
    checkpoints: Mapping[int, Path]
    torn: Mapping[int, str] = field(default_factory=dict)
    bad_checkpoints: Mapping[int, str] = field(default_factory=dict)
    actions: Mapping[int, list[dict[str, Any]]] = field(default_factory=dict)

    @classmethod
    def read(cls, table: Path) -> "DeltaLog":
        """Reads every commit of the table in the folder `table`, and every checkpoint."""
        folder = table / "_delta_log"
        names = sorted(folder.iterdir())
        commits = {int(found.group(1)): path for path in names if (found := COMMIT.fullmatch(path.name))}
        checkpoints = {int(found.group(1)): path for path in names if (found := CHECKPOINT.fullmatch(path.name))}
        actions: dict[int, list[dict[str, Any]]] = {}
        torn: dict[int, str] = {}
        for version, path in commits.items():
            try:
                actions[version] = list(_actions(path))
            except ValueError as error:
                torn[version] = str(error)
        bad = {version: why for version, path in checkpoints.items() if (why := unreadable_parquet(path))}
        return cls(folder, commits, checkpoints, torn, bad, actions)

    @property
    def newest(self) -> int:
        """The newest version that has a commit or a checkpoint; -1 where there is neither."""
        return max([*self.commits, *self.checkpoints], default=-1)

    @cached_property
    def base(self) -> int:
        """The newest whole checkpoint that reading begins with; -1 where it begins with the first commit."""
        return max((version for version in self.checkpoints if version not in self.bad_checkpoints), default=-1)

    @property
    def missing(self) -> list[int]:
        """Versions that are needed to read the newest one and have no commit."""
        return [version for version in range(self.base + 1, self.newest + 1) if version not in self.commits]

    def breaks(self) -> list[int]:
        """Torn or missing versions that keep the newest one from being read, but for a torn newest one itself."""
        needed = {version for version in self.torn if self.base < version < self.newest}
        return sorted(needed | set(self.missing))

    def mentioned(self) -> set[str]:
        """Every data file that a readable commit or checkpoint added or removed, by its path in the table."""
        found = {unquote(path) for actions in self.actions.values() for path in _paths(actions)}
        for version, file in self.checkpoints.items():
            if version not in self.bad_checkpoints:
                found |= {unquote(path) for path in _checkpointed(file)}
        return found

    def metadata(self) -> dict[str, Any] | None:
        """The newest `metaData` action that can be read; None where none can."""
        for version in sorted(self.actions, reverse=True):
            for action in self.actions[version]:
                if "metaData" in action:
                    return dict(action["metaData"])
        return None


def unreadable_parquet(path: Path, rows: int | None = None) -> str | None:
    """Why a Parquet file cannot be read to its end, row group by row group; None where it can.

    `rows` is how many it should have. A byte that changed within a value and still decodes is not noticed.
    """
    try:
        with parquet.ParquetFile(path) as file:
            counted = sum(batch.num_rows for batch in file.iter_batches(batch_size=65_536, use_threads=False))
    except (pa.ArrowException, OSError, ValueError) as error:
        return (str(error).splitlines() or ["it cannot be read"])[0][:200]
    if rows is not None and counted != rows:
        return f"it has {counted} rows, the log says {rows}"
    return None


def _actions(path: Path) -> Iterator[dict[str, Any]]:
    content = path.read_bytes()
    if not content.strip(b"\0 \n"):
        raise ValueError("it is empty")
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            action = json.loads(line)
        except ValueError:
            raise ValueError(f"line {number} is not whole") from None
        if not isinstance(action, dict):
            raise ValueError(f"line {number} is no action")
        yield action


def _paths(actions: list[dict[str, Any]]) -> Iterator[str]:
    for action in actions:
        for kind in ("add", "remove"):
            if kind in action:
                yield str(action[kind]["path"])


def _checkpointed(file: Path) -> Iterator[str]:
    schema = parquet.read_schema(file)
    for kind in ("add", "remove"):
        if kind in schema.names:
            table = parquet.read_table(file, columns=[kind], use_threads=False)
            yield from (row["path"] for row in table[kind].to_pylist() if row and row.get("path"))
