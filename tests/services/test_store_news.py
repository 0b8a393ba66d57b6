"""What a store has of its centre day after day, and how far it says to be behind."""

import io
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq
import pytest

from retail_assets.resources.lake import Lake
from retail_assets.stores.bundle import Blob, CarriedTable, StoreError
from retail_assets.stores.centre import store_reports
from retail_assets.stores.copy import StoreCopy
from retail_assets.stores.status import StoreStatus
from tests.services.centre import environment_of
from tests.services.harness import eventually
from tests.services.releases import ledger
from tests.services.store_place import Place

WITHIN_S = 60.0
WRITER = "decision-log/0b1b2b3b-0000-4000-8000-00000000000{}"


def test_every_day_arrives_also_what_a_store_has_decisions_of(place: Place) -> None:
    """The table of decisions is append-only where it is made; a copy of it is replaced like the others."""
    copy, centre = place.copied(), Lake.at(place.centre.lake)
    mine = Lake.at(place.home.lake)
    before = mine.open("decisions", "pricing").to_pyarrow_table().num_rows
    assert before > 0, "the store holds the decisions behind its published prices"
    for day in range(3):
        table = mine.open("decisions", "pricing").to_pyarrow_table().slice(0, before - 1 - day)
        file = io.BytesIO()
        pq.write_table(table, file)
        blob = Blob.of(file.getvalue())
        carried = CarriedTable(layer="decisions", name="pricing", partition_by=("business_date",), blob=blob)
        link = place.link()
        bundle = place.bundle(link)
        others = tuple(table for table in bundle.tables if table.layer != "decisions")
        (place.home.root / "store" / "incoming").mkdir(parents=True, exist_ok=True)
        (place.home.root / "store" / "incoming" / blob.sha256).write_bytes(file.getvalue())
        copy.take(bundle.model_copy(update={"tables": (*others, carried)}))
        assert mine.open("decisions", "pricing").to_pyarrow_table().num_rows == before - 1 - day
    assert centre.open("decisions", "pricing").metadata().configuration["delta.appendOnly"] == "true"
    place.copied()
    assert mine.open("decisions", "pricing").to_pyarrow_table().num_rows == before


def test_a_store_that_is_behind_is_not_called_ok(place: Place) -> None:
    def said() -> Any:
        copy = StoreCopy(place.environment(), place.link())
        status = StoreStatus(target=place.target, started_at=datetime.now(UTC), etag=copy.etag)
        place.link().tell(status)
        return next(one for one in store_reports(environment_of(place.centre)) if one.target == place.target)

    place.copied()
    assert (said().health, said().behind_versions) == ("ok", 0)
    ledger(place.centre).pin("pricing", by="test", reason="test", target=place.target, wider=["cloud"])
    seen = StoreCopy(place.environment(), place.link()).tag
    assert eventually(lambda: place.bundle(place.link()).tag != seen, within=WITHIN_S)
    found = said()
    assert (found.health, found.behind_versions) == ("behind", 1)
    assert 0 <= found.behind_s < WITHIN_S + 5
    assert "its copy is 1 state behind, for" in found.reasons[0]
    ledger(place.centre).unpin("pricing", by="test", reason="test", target=place.target)
    place.copied()
    assert said().health == "ok"


def test_the_home_of_a_retailer_is_not_replaced_by_a_copy(place: Place) -> None:
    link = place.link()
    copy = StoreCopy(environment_of(place.centre, place.url), link)
    versions = {name: Lake.at(place.centre.lake).version("gold", name) for name in ("dim_store", "dim_product")}
    with pytest.raises(StoreError, match="this is the home of a retailer"):
        copy.take(place.bundle(link))
    assert versions == {name: Lake.at(place.centre.lake).version("gold", name) for name in versions}
