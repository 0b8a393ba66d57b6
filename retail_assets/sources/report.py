"""What a load did, per source: counts that add up, reasons, touched days, schema changes."""

from datetime import date

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Base of the reports."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SchemaChange(Frozen):
    """A column that came, went or was renamed, at the file that shows it first."""

    feed: str
    file: str
    change: str


class SourceReport(Frozen):
    """One load of one source. rows_read = rows_bronze + rows_quarantined + rows_duplicate.

    `quarantined_by_reason` counts a row once per reason it has, so its sum may exceed rows_quarantined.
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
    batches_rolled_back: int = 0
    delta_version: int | None = None
    seconds: float = 0.0


class SkippedReport(Frozen):
    """Files that a mapping leaves out on purpose."""

    files: tuple[str, ...]
    reason: str


class LoadReport(Frozen):
    """One load of several sources, in the order they were loaded."""

    sources: tuple[SourceReport, ...]
    skipped: tuple[SkippedReport, ...] = ()

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
    """What a replay of one source's quarantine did."""

    source: str
    rows_tried: int
    rows_moved: int
    rows_duplicate: int
    rows_left: int
    left_by_reason: dict[str, int] = {}
    business_dates: tuple[date, ...] = ()
