"""What the doctor says of a home: one finding per thing that is not as it should be."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal[
    "torn_commit", "log_gap", "log_unreadable", "damaged_checkpoint", "missing_file", "damaged_file", "wrong_size",
    "wrong_hash", "damaged_database", "damaged_document", "lost_releases", "lost_rows", "orphan", "stray_file",
]  # fmt: skip
Remedy = Literal["set_aside", "make_anew", "empty_days", "write_releases", "load_again"]
BACKUP = "restore {} from a backup: nothing else in this home holds what was in it"


class Finding(BaseModel):
    """One thing, at `where` (below the home). `remedy` is what `--repair` does about it; None: it can do nothing.

    `wrong` is false for what costs disk space only. `table` is the Delta table that it belongs to, `layer/name`;
    `rows_of` are the files or days that the remedy is about.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    where: str
    what: str
    todo: str
    remedy: Remedy | None = None
    wrong: bool = True
    table: str | None = None
    rows_of: tuple[str, ...] = ()


class Done(BaseModel):
    """One thing that a repair did, and the command that undoes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    undo: str


class Examination(BaseModel):
    """Everything that was found, everything that was done, and what is left to do by a person."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: str
    tables: int
    files: int
    findings: tuple[Finding, ...]
    done: tuple[Done, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong; stray files and orphans are not wrong."""
        return not any(finding.wrong for finding in self.findings)
