"""Tiers: what counts as fast, when each series is due, and a warm start that is stored only when it helps."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.core.manifest import Manifest
from retail_assets.forecasting import assets, training
from retail_assets.forecasting.config import ForecastingConfig, ForecastingConfigError
from retail_assets.forecasting.encoding import ForecastModelError
from retail_assets.forecasting.frames import Gold, crossed, sampled
from retail_assets.forecasting.model import DemandForecaster
from retail_assets.forecasting.tiers import assets as tier_assets
from retail_assets.forecasting.tiers import next_training
from retail_assets.forecasting.tiers import refresh as tier_refresh
from retail_assets.forecasting.tiers import state as tier_state
from retail_assets.forecasting.tiers.next_training import decide
from retail_assets.forecasting.tiers.tiers import FAST, SLOW, Work, drift_velocity, next_due, tier_of, updated, work
from retail_assets.forecasting.tiers.warm_start import refreshed
from retail_assets.forecasting.views_config import VIEWS_FILE, ViewsConfig
from retail_assets.releases.ledger import Ledger
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from tests.forecasting.small_gold import FIRST, NEWEST, SKUS, Features, write_gold

TODAY = date(2026, 6, 1)
TIERS = ViewsConfig.load().tiers
MOVED = "fct_sales_daily is at version 4, the model was made from 3"


def days(units: list[float], mean: float, sku: str = "A") -> pd.DataFrame:
    return pd.DataFrame({"store_id": "S", "sku": sku, "units": units, "mean": mean})


def test_chance_is_slow_and_a_changed_level_is_fast() -> None:
    chance = np.random.default_rng(3)
    steady = [days(chance.poisson(3, 28).astype(float).tolist(), 3.0, f"A{n}") for n in range(200)]
    moved = [days(chance.poisson(6, 28).astype(float).tolist(), 3.0, f"B{n}") for n in range(50)]
    found = drift_velocity(pd.concat(steady + moved)).droplevel(0)
    fast = found >= TIERS.fast_from
    assert fast[found.index.str.startswith("A")].mean() < 0.1 and fast[found.index.str.startswith("B")].mean() > 0.95


def test_days_that_are_not_known_say_nothing_and_bulk_orders_less() -> None:
    some = days([3.0] * 14 + [np.nan] * 14, 3.0)
    assert drift_velocity(some).iloc[0] == 0 and drift_velocity(days([np.nan] * 28, 3.0)).empty
    even, bulk = days([6.0] * 28, 3.0), days([0.0] * 27 + [168.0], 3.0)
    assert drift_velocity(bulk).iloc[0] < drift_velocity(even).iloc[0]


@pytest.mark.parametrize(
    ("velocity", "before", "tier"),
    [
        (2.0, None, FAST), (2.0, SLOW, FAST), (9.0, FAST, FAST), (1.49, FAST, SLOW), (0.0, None, SLOW),
        (1.7, FAST, FAST), (1.7, SLOW, SLOW), (1.7, None, SLOW), (float("nan"), SLOW, FAST),
    ],
)  # fmt: skip
def test_a_series_between_the_thresholds_stays_what_it_was(velocity: float, before: str | None, tier: str) -> None:
    assert tier_of(velocity, before, TIERS) == tier


def table(*rows: tuple[str, int]) -> pd.DataFrame:
    """Rows of (tier, days until it is due)."""
    return pd.DataFrame(
        {
            "store_id": "S",
            "sku": [f"K{n}" for n in range(len(rows))],
            "tier": [tier for tier, _ in rows],
            "last_retrained": TODAY - timedelta(days=7),
            "next_due": [TODAY + timedelta(days=ahead) for _, ahead in rows],
        }
    )


@pytest.mark.parametrize(
    ("rows", "action"),
    [
        ([], "full"),
        ([(FAST, 1), (SLOW, 20)], "none"),
        ([(FAST, 0), (SLOW, 20), (SLOW, 20)], "refresh"),
        ([(FAST, 5), (SLOW, 0)], "full"),
        ([(FAST, -1), (SLOW, -1)], "full"),
    ],
)
def test_what_is_due_today(rows: list[tuple[str, int]], action: str) -> None:
    found = work(table(*rows), TODAY, TIERS)
    assert found.action == action and found.reason


@pytest.mark.parametrize(("fast", "action"), [(39, "refresh"), (40, "full")])
def test_drift_of_most_series_asks_for_a_full_training(fast: int, action: str) -> None:
    assert work(table(*[(FAST, 0)] * fast, *[(SLOW, 9)] * (100 - fast)), TODAY, TIERS).action == action
    assert work(table(*[(FAST, 1)] * fast, *[(SLOW, 9)] * (100 - fast)), TODAY, TIERS).action == "none"


@pytest.mark.parametrize(
    ("changed", "refreshed", "asked", "unusable", "action"),
    [
        ((), False, "full", None, "none"), ((), True, "refresh", None, "none"), ((), True, "full", None, "full"),
        ((MOVED,), False, "none", None, "none"), ((MOVED, MOVED), True, "refresh", None, "refresh"),
        ((MOVED,), False, "full", None, "full"), ((MOVED,), False, "refresh", "nothing is live", "full"),
        ((MOVED,), False, "none", "nothing is live", "full"),
        ((MOVED, "the features differ"), False, "none", None, "full"),
        (("the code or the configuration differs",), True, "refresh", None, "full"),
    ],
)  # fmt: skip
def test_what_is_trained(
    changed: tuple[str, ...], refreshed: bool, asked: str, unusable: str | None, action: str
) -> None:
    found, reasons = decide(changed, refreshed, Work(asked, "why", 0, 0), unusable, True)
    assert found == action and (reasons or not changed)
    always, _ = decide(changed, refreshed, Work(asked, "why", 0, 0), unusable, False)
    assert always == ("full" if changed or (refreshed and asked == "full") else "none")


@given(
    velocities=st.lists(st.floats(0, 10) | st.just(float("nan")), min_size=1, max_size=20),
    age=st.integers(0, 60),
    refreshed_ago=st.integers(0, 60),
)
def test_the_next_state_has_each_series_once_and_never_loses_time(
    velocities: list[float], age: int, refreshed_ago: int
) -> None:
    series = pd.DataFrame({"store_id": "S", "sku": [f"K{n:02d}" for n in range(len(velocities))]})
    measured = pd.Series(velocities, index=pd.MultiIndex.from_frame(series)).dropna()
    trained = {SLOW: TODAY - timedelta(days=age), FAST: TODAY - timedelta(days=refreshed_ago)}
    empty = tier_state.SCHEMA.empty_table().to_pandas()
    first = updated(measured, pd.concat([series, series]), empty, trained, TODAY, TIERS)
    second = updated(measured, series, first, trained, TODAY, TIERS)
    assert list(first["sku"]) == list(series["sku"]) and first.equals(second)
    for row in first.itertuples():
        assert row.next_due == next_due(row.tier, row.last_retrained, TIERS)
        assert row.last_retrained == (max(trained.values()) if row.tier == FAST else trained[SLOW])
    later = updated(measured, series, first, {SLOW: TODAY - timedelta(days=99)} | {FAST: TODAY}, TODAY, TIERS)
    assert (later["last_retrained"] >= first["last_retrained"]).all()


@pytest.mark.parametrize(("late", "passed"), [(0, True), (TIERS.grace_days, True), (TIERS.grace_days + 1, False)])
def test_a_series_is_overdue_after_the_days_of_grace(late: int, passed: bool) -> None:
    verdict = tier_assets.overdue(table((SLOW, -late), (FAST, 3)), TODAY, TIERS.grace_days)
    assert verdict.passed is passed and bool(verdict.reasons) is not passed


@pytest.fixture(scope="module")
def drifted(sales: pd.DataFrame) -> pd.DataFrame:
    """Demand that doubles 42 days before the end, for half of the SKUs; the features know only the old level."""
    late = sales["day"] > pd.Timestamp(NEWEST - timedelta(days=42))
    factor = np.where(late & sales["sku"].isin(SKUS[::2]), 2.0, 1.0)
    return sales.assign(gross_units=sales["gross_units"] * factor)


def examples_of(lake: Lake, features: Features, first: date, last: date) -> pd.DataFrame:
    rows = features.training_set("demand_forecast", first, last)
    return Gold(lake, last).examples(sampled(rows, 28, last, 10_000, 1))


def test_a_warm_start_catches_up_with_drift_on_days_it_has_not_seen(
    tmp_path: Path, drifted: pd.DataFrame, feature_store: Features, config: ForecastingConfig
) -> None:
    lake = write_gold(Lake.at(tmp_path / "lake"), drifted, feature_store.frame)
    until, proof = NEWEST - timedelta(days=42), NEWEST - timedelta(days=14)
    names = feature_store.features("demand_forecast")
    aged = DemandForecaster.fit(examples_of(lake, feature_store, FIRST + timedelta(days=28), until), names, config)
    recent = examples_of(lake, feature_store, until - timedelta(days=14), proof)
    renewed = refreshed(aged, recent, config, 0.5)
    rows = feature_store.training_set("demand_forecast", proof, proof)
    held = Gold(lake, NEWEST).examples(crossed(rows, 14, proof))
    held = held[held["units"].notna()]
    errors = {name: (held["units"] - model.mean(held)).pow(2).mean() for name, model in (("a", aged), ("r", renewed))}
    assert errors["r"] < 0.97 * errors["a"]
    assert refreshed(aged, recent, config, 0.5).files() == renewed.files() != aged.files()
    assert renewed.spec == aged.spec and refreshed(aged, recent, config, 0.999999).mean(held) == pytest.approx(
        aged.mean(held), rel=1e-3
    )
    with pytest.raises(ForecastModelError, match="known demand"):
        refreshed(aged, recent.assign(units=np.nan), config, 0.5)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, config: ForecastingConfig) -> Callable[..., None]:
    few = config.lightgbm.model_copy(update={"num_iterations": 15})
    monkeypatch.setattr(ForecastingConfig, "load", classmethod(lambda cls: config.model_copy(update={"lightgbm": few})))

    def tiers(**changes: object) -> None:
        views = ViewsConfig.load()
        changed = views.model_copy(update={"tiers": views.tiers.model_copy(update=changes)})
        monkeypatch.setattr(ViewsConfig, "load", classmethod(lambda cls: changed))

    return tiers


def status(result: dg.MaterializeResult) -> str:
    return str((result.metadata or {})["status"])


def test_from_training_to_tiers_to_a_refreshed_version_like_any_other(
    own_lake: Lake, sales: pd.DataFrame, feature_store: Features, tmp_path: Path, small: Callable[..., None]
) -> None:
    store = ModelStore.at(tmp_path / "models")
    small(refresh_days=60, full_share=1.0)
    early = NEWEST - timedelta(days=8)
    until_then = Features(feature_store.frame[feature_store.frame["business_date"] <= early])
    write_gold(own_lake, sales[sales["day"] <= pd.Timestamp(early)], until_then.frame)
    assert status(tier_assets.series_tiers(lake=own_lake, model_store=store)) == "no forecasts yet"
    before = {"lake": own_lake, "feature_store": until_then, "model_store": store}
    full = (assets.demand_model(**before).metadata or {})["version"]
    _publish(own_lake, until_then, early)
    assert status(tier_assets.series_tiers(lake=own_lake, model_store=store)) == "no forecasts yet"
    ledger = Ledger(own_lake)
    ledger.promote(training.PRODUCT, str(full), by="test", reason="test")
    measured = tier_assets.series_tiers(lake=own_lake, model_store=store).metadata or {}
    rows = tier_state.stored(own_lake)
    assert measured["status"] == "measured on the proof of the newest model" and len(rows) == 30
    assert status(tier_assets.series_tiers(lake=own_lake, model_store=store)) == "unchanged"
    assert rows["last_retrained"].eq(early).all() and set(rows["tier"]) <= {FAST, SLOW}
    assert [r.passed for r in tier_assets.tier_checks(lake=own_lake)] == [True]
    rows["tier"] = [FAST, SLOW] * 15
    rows["next_due"] = [next_due(tier, early, TIERS) for tier in rows["tier"]]
    _write(own_lake, rows)

    write_gold(own_lake, sales, feature_store.frame)
    again = {"lake": own_lake, "feature_store": feature_store, "model_store": store}
    told = assets.demand_model(**again).metadata or {}
    assert (told["kind"], told["parent"]) == ("refreshed", full) and "15 fast series" in str(told["status"])
    version = str(told["version"])
    parent, made = (store.manifest(training.PRODUCT, name) for name in (str(full), version))
    assert made.config[tier_refresh.WARM_START]["parent"] == full and made.train_until == NEWEST
    assert set(made.metrics) == set(parent.metrics) and made.rows < parent.rows
    assert set(made.files) == {"model_mean.txt", "spec.json"}
    assert status(assets.demand_model(**again)) == "unchanged"
    _replays(store, own_lake, feature_store, parent, version)

    ledger.promote(training.PRODUCT, version, by="test", reason="test")
    _publish(own_lake, feature_store, NEWEST)
    tier_assets.series_tiers(lake=own_lake, model_store=store)
    rows = tier_state.stored(own_lake)
    until = {tier: set(part["last_retrained"]) for tier, part in rows.groupby("tier")}
    assert until[SLOW] == {early} and until.get(FAST, {NEWEST}) == {NEWEST}
    assert next_training.champion(own_lake, store) == parent
    ledger.rollback(training.PRODUCT, by="test", reason="test")
    assert next_training.learnt_until(own_lake, store) == (early, early)

    assert tier_state.make_due(own_lake) == 30
    told = assets.demand_model(**again).metadata or {}
    assert told["kind"] == "trained" and len(store.versions(training.PRODUCT)) == 3


def _replays(store: ModelStore, lake: Lake, features: Features, parent: Manifest, version: str) -> None:
    """A refreshed version made again from its manifest has its bytes."""
    made, config, tiers = store.manifest("forecasting", version), ForecastingConfig.load(), ViewsConfig.load().tiers
    span = training.feature_span(lake)
    assert span is not None
    again = tier_refresh.refresh(lake, features, store, parent, config, tiers, made.gold, span)
    assert again.metrics == made.metrics
    sealed = tier_refresh.refreshed_manifest(again, parent, config, tiers, made.gold, made.features)
    assert sealed.sealed(again.forecaster.files()).version == version


def test_what_cannot_be_refreshed_says_why(
    own_lake: Lake, feature_store: Features, tmp_path: Path, small: Callable[..., None]
) -> None:
    store, span = ModelStore.at(tmp_path / "models"), (FIRST, NEWEST)
    assets.demand_model(lake=own_lake, feature_store=feature_store, model_store=store)
    parent, config = store.manifest("forecasting", store.versions("forecasting")[-1]), ForecastingConfig.load()
    bare = parent.model_copy(update={"files": {"spec.json": ""}})
    assert "without the model" in str(tier_refresh.unfit(bare, span, config, TIERS))
    later = parent.model_copy(update={"train_until": NEWEST + timedelta(days=30)})
    assert "has seen days after" in str(tier_refresh.unfit(later, span, config, TIERS))
    assert "too short" in str(tier_refresh.unfit(parent, (NEWEST - timedelta(days=20), NEWEST), config, TIERS))
    assert tier_refresh.unfit(parent, span, config, TIERS) is None


def _publish(lake: Lake, features: Features, origin: date) -> None:
    """Forecasts of the newest origin, as far as tiers read them."""
    keys = features.frame[["store_id", "sku"]].drop_duplicates()
    rows = keys.assign(business_date=origin, target_date=origin + timedelta(days=1), mean=1.0)
    lake.overwrite_days("gold", "forecasts", pa.Table.from_pandas(rows, preserve_index=False), [origin])


def _write(lake: Lake, rows: pd.DataFrame) -> None:
    lake.overwrite("ops", "series_tiers", pa.Table.from_pandas(rows, schema=tier_state.SCHEMA, preserve_index=False))


def test_live_forecasts_that_have_come_are_judged_before_the_proof(own_lake: Lake, sales: pd.DataFrame) -> None:
    origin = NEWEST - timedelta(days=20)
    first = {"store_id": "US-001", "sku": SKUS[0], "business_date": origin, "mean": 4.0}
    rows = [first | {"target_date": origin + timedelta(days=n)} for n in range(1, 29)]
    newer = [row | {"business_date": NEWEST - timedelta(days=1), "mean": 9.0} for row in rows[18:]]
    lake_rows = pa.Table.from_pylist([*rows, *newer])
    own_lake.overwrite("gold", "forecasts", lake_rows)
    known, source = tier_state.judged(own_lake, NEWEST)
    assert source == "live forecasts" and len(known) == 20 and set(known["mean"]) == {4.0}
    real = sales[(sales["store_id"] == "US-001") & (sales["sku"] == SKUS[0]) & (sales["day"] > pd.Timestamp(origin))]
    expected = real["gross_units"].where(~real["is_stocked_out"]).to_numpy()
    np.testing.assert_array_equal(known["units"].to_numpy(float), expected)


def test_new_data_wait_for_the_tiers_only_where_they_may_decide(
    own_lake: Lake, sales: pd.DataFrame, feature_store: Features, tmp_path: Path, small: Callable[..., None]
) -> None:
    store = ModelStore.at(tmp_path / "models")
    again = {"lake": own_lake, "feature_store": feature_store, "model_store": store}
    assets.demand_model(**again)
    Ledger(own_lake).promote("forecasting", store.versions("forecasting")[0], by="test", reason="test")
    write_gold(own_lake, sales.assign(gross_units=sales["gross_units"] + 1), feature_store.frame)
    due = table((FAST, 1), (SLOW, 9))
    due["next_due"] = [NEWEST + timedelta(days=n) for n in (1, 9)]
    _write(own_lake, due.assign(drift_velocity=1.0, measured_on=NEWEST))
    waiting = assets.demand_model(**again).metadata or {}
    assert "the next series is due" in str(waiting["waiting"]) and len(store.versions("forecasting")) == 1
    small(decide_training=False)
    assert "trained" in status(assets.demand_model(**again)) and len(store.versions("forecasting")) == 2


def test_thresholds_out_of_order_are_named(tmp_path: Path) -> None:
    wrong = tmp_path / "views.yaml"
    wrong.write_text(VIEWS_FILE.read_text().replace("slow_below: 1.5", "slow_below: 3.5"))
    with pytest.raises(ForecastingConfigError, match="slow_below"):
        ViewsConfig.load(wrong)
