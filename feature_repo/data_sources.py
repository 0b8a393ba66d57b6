"""Where features come from, and how fresh each source is: its time to live follows from that and from nothing else."""

from dataclasses import dataclass
from datetime import timedelta

from feast import FileSource
from feast.data_format import DeltaFormat


@dataclass(frozen=True)
class Freshness:
    """How a source arrives: a new state every `cadence`, `delivery` after its day ended, at worst `late` after that.

    `unseen` is for sources that have a row only where something happened: without a newer row nothing happened, and
    the last one stays true until its windows have emptied.
    """

    cadence: timedelta
    delivery: timedelta
    late: timedelta
    unseen: timedelta = timedelta(0)

    @property
    def ttl(self) -> timedelta:
        """The age at which a value can only mean that the source has failed (or that its windows have emptied)."""
        return self.cadence + self.delivery + self.late + self.unseen


# Tills and stock report once a day, in by the next evening, and a file that was forgotten comes within five days.
DAILY_FILES = Freshness(cadence=timedelta(days=1), delivery=timedelta(days=1), late=timedelta(days=5))
# The same files, but a row only on days with activity: the shortest window that models rely on is 28 days.
DAILY_ACTIVITY = Freshness(
    cadence=timedelta(days=1), delivery=timedelta(days=1), late=timedelta(days=5), unseen=timedelta(days=28)
)


def gold_source(table: str) -> FileSource:
    """The gold Delta table `table`, by its path inside the lake: the registry holds no machine's folders."""
    return FileSource(
        name=table,
        path=f"gold/{table}",
        file_format=DeltaFormat(),
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )


store_product_daily = gold_source("feat_store_product_daily")
store_daily = gold_source("feat_store")
product_daily = gold_source("feat_product")
customer_daily = gold_source("feat_customer_daily")
payment_token_daily = gold_source("feat_payment_token_daily")
