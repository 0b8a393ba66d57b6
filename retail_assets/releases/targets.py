"""Where a version can be live: the cloud, a region, a segment of stores, or one store. The most specific one wins."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from retail_assets.releases.ledger import LedgerError
from retail_assets.releases.rows import CLOUD
from retail_assets.resources.lake import Lake

STORE, SEGMENT, REGION = "store-", "segment-", "region-"


class Targets(BaseModel):
    """The targets of one retailer. `regions` maps a store to its country, `segments` a name to its stores."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    regions: dict[str, str]
    segments: dict[str, tuple[str, ...]] = {}

    @classmethod
    def of(cls, lake: Lake, segments: Mapping[str, Sequence[str]]) -> "Targets":
        """From the stores that gold knows; none before the first run."""
        stores = []
        if lake.exists("gold", "dim_store"):
            table = lake.open("gold", "dim_store").to_pyarrow_dataset()  # cheaper than DuckDB, for commands
            stores = table.to_table(columns=["store_id", "country"], use_threads=False).to_pylist()
        return cls(
            regions={row["store_id"]: row["country"] for row in stores},
            segments={name: tuple(members) for name, members in segments.items()},
        )

    def chain(self, target: str) -> tuple[str, ...]:
        """`target` and the wider ones it follows until it has a release of its own, the most specific first.

        A store follows its segments in the order of the configuration, then its region, then the cloud. Raises
        LedgerError for a target that does not exist.
        """
        if target not in self.all():
            stores = f"{STORE}{next(iter(self.regions))}, ..." if self.regions else "no store yet: `retail run`"
            wide = ", ".join(name for name in self.all() if not name.startswith(STORE))
            raise LedgerError(f"{target!r} is not a target", todo=f"use one of {wide}, {stores}")
        store = target.removeprefix(STORE) if target.startswith(STORE) else None
        if store is None:
            return (target,) if target == CLOUD else (target, CLOUD)
        groups = [f"{SEGMENT}{name}" for name, members in self.segments.items() if store in members]
        return (target, *groups, f"{REGION}{self.regions[store]}", CLOUD)

    def all(self) -> tuple[str, ...]:
        """Every target, the widest first."""
        regions = sorted({f"{REGION}{country}" for country in self.regions.values() if country})
        segments = [f"{SEGMENT}{name}" for name in self.segments]
        return (CLOUD, *regions, *segments, *(f"{STORE}{store}" for store in sorted(self.regions)))
