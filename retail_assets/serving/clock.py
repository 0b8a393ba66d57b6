"""What a service takes for now when it asks how old its data are."""

from collections.abc import Callable
from datetime import UTC, date, datetime

from retail_assets.resources.environments import Environment
from retail_assets.resources.table_versions import Versions

DATA_CLOCK = ("local", "test")


class Clock:
    """The wall clock; in environments on one machine, where data may be of any time, the newest instant gold knows.

    A sample or an old export would otherwise be stale from the moment it is served.
    """

    def __init__(self, environment: Environment, table: str, knowledge: Callable[[], datetime] | None = None) -> None:
        """`table` is the gold table, partitioned by business date, whose newest day counts.

        `knowledge` gives the instant at which that day was known; without it the clock only counts days.
        """
        self.newest_day: date | None = None
        self._lake = environment.lake
        self._table = table
        self._knowledge = knowledge
        self._from_data = environment.name in DATA_CLOCK
        self._versions = Versions(environment.lake)
        self._version: int | None = None
        self.known_at: datetime | None = None

    def poll(self) -> None:
        """Looks for a newer business date, which the Delta log alone tells."""
        version = self._versions.of("gold", self._table)[self._table]
        if version is None or version == self._version:
            return
        partitions = self._lake.open("gold", self._table, version).partitions()
        newest = max((date.fromisoformat(str(p["business_date"])) for p in partitions), default=None)
        if newest is not None and self._knowledge is not None:
            self.known_at = self._knowledge()
        self.newest_day, self._version = newest, version

    def now(self) -> datetime:
        """The instant that ages count to."""
        return self.known_at if self._from_data and self.known_at else datetime.now(UTC)

    def days_since(self, day: date) -> int | None:
        """Age of something of `day` in days; None where gold is empty."""
        today = self.newest_day if self._from_data else datetime.now(UTC).date()
        return None if today is None else (today - day).days
