"""What a load did, per source: counts that add up, reasons, touched days, schema changes."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict

from retail_assets.core.errors import RetailError


class Frozen(BaseModel):
    """Base of the reports."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SchemaChange(Frozen):
    """A column that came, went or was renamed, at the file that shows it first."""

    feed: str
    file: str
    change: str


class Reason(Frozen):
    """Why rows are in quarantine: how many, and one of them."""

    reason: str
    rows: int
    example: str
    where: str

    def __str__(self) -> str:
        return f"{self.rows:,} x {self.reason}, for example {self.example} ({self.where})"


class EmptyFeed(Frozen):
    """A feed none of whose rows reached bronze, with the commonest reasons."""

    source: str
    feed: str
    rows_read: int
    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        lines = [f"none of the {self.rows_read:,} rows of feed {self.feed} reached bronze/{self.source}:"]
        return "\n".join([*lines, *(f"    {reason}" for reason in self.reasons)])


class NothingLoaded(RetailError):
    """Rows were read and every one of them is in quarantine."""

    def __init__(self, feeds: Sequence[EmptyFeed], report: dict[str, Any] | None = None) -> None:
        sources = dict.fromkeys(feed.source for feed in feeds)
        replays = ", then ".join(f"`retail replay {source}`" for source in sources)
        super().__init__(
            "\n  ".join(str(feed) for feed in feeds),
            where=", ".join(f"quarantine/{source}" for source in sources),
            todo=f"correct what the commonest reason names, then {replays}; the rows are kept until then",
        )
        self.report = report


class NothingRead(RetailError):
    """There are new files of a source, and none of them could be read."""

    def __init__(self, not_read: dict[str, str], report: dict[str, Any] | None = None) -> None:
        said = "; ".join(f"{name}: {why}" for name, why in not_read.items())
        super().__init__(
            f"what is new could not be read: {said}", todo="see that this user may read it, then import again"
        )
        self.report = report


class SourceReport(Frozen):
    """One load of one source. rows_read = rows_bronze + rows_quarantined + rows_duplicate.

    `quarantined_by_reason` counts a row once per reason it has, so its sum may exceed rows_quarantined. `clock_changes`
    counts times of the hour that is `skipped` when clocks go forward, and of the one that comes `twice` when they go
    back. `not_read` says of files and folders why they could not be read: the next load tries them again. `no_files`
    are folders, pipes and links to nothing where a feed looks for files.
    """

    source: str
    files: int = 0
    files_duplicate: int = 0
    rows_read: int = 0
    rows_bronze: int = 0
    rows_quarantined: int = 0
    rows_duplicate: int = 0
    quarantined_by_reason: dict[str, int] = {}
    business_dates: tuple[date, ...] = ()
    schema_changes: tuple[SchemaChange, ...] = ()
    clock_changes: dict[str, int] = {}
    empty_feeds: tuple[EmptyFeed, ...] = ()
    batches_rolled_back: int = 0
    not_read: dict[str, str] = {}
    no_files: dict[str, str] = {}
    delta_version: int | None = None
    seconds: float = 0.0


CLOCK_CHANGES = {
    "skipped": "in an hour that does not exist, because clocks went forward: the time is as long after the change",
    "twice": "in an hour that came twice, because clocks went back: taken as the first",
}
"""What was decided about a time of `SourceReport.clock_changes`, in words."""


class Overlap(Frozen):
    """Receipts whose lines came in several files, where lines are told apart by their place in a file only."""

    receipts: int
    example: str
    files: tuple[str, ...]

    def __str__(self) -> str:
        one = self.receipts == 1
        return (
            f"{self.receipts:,} receipt{' is' if one else 's are'} in several files, for example {self.example} in "
            f"{' and '.join(self.files)}: where exports overlap, {'its' if one else 'their'} lines are counted twice; "
            "number the lines of a receipt by a column of the file, or give the feed a `key` without line_no"
        )


class SkippedReport(Frozen):
    """Files that a mapping leaves out on purpose."""

    files: tuple[str, ...]
    reason: str


class LoadReport(Frozen):
    """One load of several sources, in the order they were loaded.

    `waiting` counts the quarantined rows of sources for which an import found nothing new.
    """

    sources: tuple[SourceReport, ...]
    skipped: tuple[SkippedReport, ...] = ()
    waiting: dict[str, int] = {}
    overlap: Overlap | None = None

    @property
    def empty_feeds(self) -> tuple[EmptyFeed, ...]:
        """Feeds of all sources that brought rows and none of them to bronze."""
        return tuple(feed for report in self.sources for feed in report.empty_feeds)

    def source(self, name: str) -> SourceReport:
        """The report of one source; raises KeyError for a source that was not part of the load."""
        return {report.source: report for report in self.sources}[name]

    @property
    def rows_read(self) -> int:
        """Rows read over all sources."""
        return sum(report.rows_read for report in self.sources)

    @property
    def rows_bronze(self) -> int:
        """Rows that went to bronze over all sources."""
        return sum(report.rows_bronze for report in self.sources)

    @property
    def rows_quarantined(self) -> int:
        """Rows that went to quarantine over all sources."""
        return sum(report.rows_quarantined for report in self.sources)

    @property
    def rows_duplicate(self) -> int:
        """Rows recognised as duplicates over all sources."""
        return sum(report.rows_duplicate for report in self.sources)


class ReplayReport(Frozen):
    """What a replay of one source's quarantine did.

    `judged_by` names the mappings that were used; `notes` say of rows that were not tried why not.
    """

    source: str
    rows_tried: int = 0
    rows_moved: int = 0
    rows_duplicate: int = 0
    rows_left: int = 0
    left_by_reason: dict[str, int] = {}
    business_dates: tuple[date, ...] = ()
    judged_by: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
