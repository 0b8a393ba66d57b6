"""Whether a service may answer new prices now, or only the last published ones."""

from collections.abc import Mapping
from datetime import date

from pydantic import BaseModel, ConfigDict

from retail_assets.pricing.publish.publication import (
    PUBLICATIONS,
    Publication,
    Status,
    corrections,
    is_correction,
    publications,
)
from retail_assets.pricing.publish.switch import TABLE, Stops, stopped
from retail_assets.resources.lake import Lake

WAITING: Mapping[str, str] = {
    "shadow": "prices of this store are decided in the shadow",
    "pending": "its newest prices wait for a person",
    "withheld": "the circuit breaker holds its newest prices back",
    "stopped": "its newest prices were stopped",
    "rejected": "its newest prices were rejected",
    "withdrawn": "its newest prices were withdrawn",
}
GATED_BY = (PUBLICATIONS, TABLE)


class Gate(BaseModel):
    """Whether a service may answer new decisions, at `versions` of the tables that say so; read again when they change.

    `newest` is what became of the newest batch in each store, `corrected` which items a person has corrected since.
    """

    model_config = ConfigDict(frozen=True)

    versions: dict[str, int | None]
    newest: dict[str, Status]
    stops: Stops
    corrected: dict[tuple[str, str], Publication] = {}

    @classmethod
    def read(cls, lake: Lake) -> "Gate":
        """From the lake; without any publication everything may be answered."""
        versions = {name: lake.version("ops", name) for name in GATED_BY}
        log = publications(lake)
        log = [row for row in log if not is_correction(row.batch_id)]
        first = {(row.batch_id, row.store_id): (row.business_date, row.at) for row in reversed(log)}
        status = {(row.batch_id, row.store_id): row.status for row in log}
        newest: dict[str, Status] = {}
        for key in sorted(status, key=lambda key: first[key]):
            newest[key[1]] = status[key]
        return cls(versions=versions, newest=newest, stops=stopped(lake), corrected=corrections(lake))

    def correction_of(self, store_id: str, sku: str, business_date: date) -> str | None:
        """Who corrected the price of an item that was decided on `business_date`, and why; None where nobody did."""
        found = self.corrected.get((store_id, sku))
        return f"{found.by} corrected it: {found.reason}" if found and found.business_date >= business_date else None

    def why_not(self, store_id: str, category: str | None) -> str | None:
        """Why only the last published price may be answered; None where a new decision may."""
        stop = self.stops.stop_of(store_id, category)
        if stop is not None:
            return f"{stop.place} was stopped by {stop.by}: {stop.reason}"
        return WAITING.get(self.newest.get(store_id, "published"))
