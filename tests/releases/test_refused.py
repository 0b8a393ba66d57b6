"""A refusal is an answer: which version, which gate, number against bound, since when, and what to do."""

from datetime import date
from pathlib import Path

import pytest

from retail_assets.core.errors import RetailError
from retail_assets.core.gates import Gate
from retail_assets.planning.read import UnknownForecast, chosen_origin
from retail_assets.pricing.config import load_config
from retail_assets.pricing.publish.shown import nothing_published
from retail_assets.pricing.response.training_frames import why_nothing
from retail_assets.releases.gates import release_if_passed
from retail_assets.releases.ledger import Ledger
from retail_assets.releases.refused import RefusedVersion, explained, of_product, record_untrained, standing
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from retail_assets.serving.live import LiveModel, NothingLive
from tests.releases.stored import saved

GATES = [
    Gate(metric="wape", better="lower", floor=0.5),
    Gate(metric="data_age_days", better="lower", floor=14),
]
GOOD, WRONG, OLD = ({"wape": w, "data_age_days": d} for w, d in ((0.4, 1.0), (0.72, 1.0), (0.72, 30.0)))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(tmp_path / "lake")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore.at(tmp_path / "models")


def ask(store: ModelStore, lake: Lake, version: str, product: str = "forecasting") -> str:
    wape = [gate for gate in GATES if gate.metric == "wape"]
    return release_if_passed(product, version, store, Ledger(lake), wape, by="test", run_id="r1").outcome


def only(lake: Lake) -> RefusedVersion:
    [found] = standing(lake)
    return found


def test_a_refused_version_is_noted_with_its_number_bound_and_what_to_do(store: ModelStore, lake: Lake) -> None:
    version = saved(store, WRONG)
    assert ask(store, lake, version) == "rejected"
    refused = only(lake)
    assert (refused.product, refused.version, refused.live, refused.run_id) == ("forecasting", version, None, "r1")
    [failed] = refused.failed
    assert (failed.metric, failed.side, failed.value, failed.limit) == ("wape", "floor", 0.72, 0.5)
    assert f"forecasting {version} was refused by its gates on {refused.at:%Y-%m-%d %H:%M} UTC" in refused.what
    assert "nothing is live: wape fails against its floor: 0.72, must be at most 0.5" in refused.what
    assert f"`retail promote forecasting {version} --force --reason WHY`" in refused.todo
    assert "load more history" in refused.todo
    assert "configs/releases.yaml: forecasting" in refused.todo


def test_asked_again_the_same_refusal_is_noted_once_and_keeps_its_first_day(store: ModelStore, lake: Lake) -> None:
    version = saved(store, WRONG)
    ask(store, lake, version)
    since = only(lake).at
    ask(store, lake, version)
    assert only(lake).at == since
    assert lake.open("ops", "release_refusals").count() == 1


def test_each_failure_brings_its_own_advice(store: ModelStore, lake: Lake) -> None:
    version = saved(store, OLD)
    release_if_passed("forecasting", version, store, Ledger(lake), GATES, by="test")
    refused = only(lake)
    assert [failed.metric for failed in refused.failed] == ["wape", "data_age_days"]
    assert "load more history and run again; load newer data and run again; or release it all the same" in refused.todo


def test_a_refusal_stands_until_something_is_released(store: ModelStore, lake: Lake) -> None:
    first, second = saved(store, GOOD, day=1), saved(store, WRONG, day=2)
    assert [ask(store, lake, first), ask(store, lake, second)] == ["promote", "rejected"]
    assert only(lake).live == first
    assert f"{first} stays" in only(lake).what
    Ledger(lake).pin("forecasting", by="eve", reason="sure")
    assert only(lake).version == second, "a pin of what is live changes nothing"
    Ledger(lake).unpin("forecasting", by="eve", reason="sure")
    Ledger(lake).promote("forecasting", second, by="eve", reason="I know")
    assert standing(lake) == []


def test_a_newer_version_that_passes_ends_it(store: ModelStore, lake: Lake) -> None:
    ask(store, lake, saved(store, WRONG, day=1))
    assert ask(store, lake, saved(store, GOOD, day=2)) == "promote"
    assert of_product(lake, "forecasting") is None


def test_everybody_who_finds_nothing_says_the_refusal(store: ModelStore, lake: Lake) -> None:
    version, price = saved(store, WRONG), saved(store, WRONG, product="pricing")
    ask(store, lake, version), ask(store, lake, price, "pricing")
    with pytest.raises(UnknownForecast, match=f"forecasting {version} was refused by its gates"):
        chosen_origin(lake, None)
    shown = nothing_published(lake, None, None, None)
    assert f"pricing {price} was refused" in shown.what
    assert "more changes of prices" in str(shown.todo)
    live: LiveModel[object] = LiveModel("pricing", Ledger(lake), store, lambda folder, manifest: object())
    live.poll()
    with pytest.raises(NothingLive, match=f"pricing {price} was refused by its gates.*0.72, must be at most 0.5"):
        live.require()
    live.close()


def test_where_something_is_live_other_errors_are_what_they_were(store: ModelStore, lake: Lake) -> None:
    ask(store, lake, saved(store, GOOD, day=1)), ask(store, lake, saved(store, WRONG, day=2))
    plain = RetailError("nothing here", todo="look elsewhere")
    assert explained(lake, "forecasting", plain) is plain
    assert explained(lake, "pricing", plain) is plain


def test_that_nothing_could_be_learnt_is_noted_once_and_told_until_a_release(store: ModelStore, lake: Lake) -> None:
    error = RetailError("no prices", todo="map them")
    record_untrained(lake, "pricing", error)
    record_untrained(lake, "pricing", error)
    assert lake.open("ops", "release_refusals").count() == 1
    told = only(lake)
    assert (told.version, told.todo) == (None, "map them")
    assert "no version of pricing could be trained" in told.what and "no prices" in told.what
    assert "could be trained" in nothing_published(lake, None, None, None).what
    assert ask(store, lake, saved(store, GOOD, product="pricing"), "pricing") == "promote"
    assert standing(lake) == []


SALES = """
select 'S1' as store_id, 'K' || (i % 30) as sku, date '2026-01-01' + (i // 30)::int as business_date,
       case when i % 30 < {often} or i < 300 then 1.0 else 0.0 end as gross_units,
       {price} as unit_price, null::decimal(12,4) as list_price
from range(900) t(i)
"""


@pytest.mark.parametrize(
    ("often", "price", "says", "todo"),
    [
        (
            0,
            "2.5",
            "30 store-SKUs were sold in the 730 days up to 2026-01-30, 0 of them on 15 days",
            "load more history",
        ),
        (20, "0.0", "20 of them on 15 days, 0 of those at a price above 0", "map unit_price"),
        (
            20,
            "2.5",
            "20 of those at a price above 0, 0 with a day in stock after the first 35 days",
            "more than 35 days",
        ),
    ],
)
def test_what_cannot_be_learnt_from_names_the_condition_that_failed(
    lake: Lake, often: int, price: str, says: str, todo: str
) -> None:
    lake.overwrite("gold", "fct_sales_daily", lake.query(SALES.format(often=often, price=price)))
    found = why_nothing(lake, date(2026, 1, 30), load_config().response, {"fct_sales_daily": 0})
    assert says in found.what
    assert todo in str(found.todo)
