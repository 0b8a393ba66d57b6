"""Prophet's view: parts that are right where the truth is known, the same in any place of work, and nothing twice."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from retail_assets.forecasting.config import ForecastingConfigError
from retail_assets.forecasting.explain import decomposition_assets as assets
from retail_assets.forecasting.explain.contributions import GROUPS
from retail_assets.forecasting.explain.decomposition import PARTS, FitTask, decompose
from retail_assets.forecasting.explain.decomposition_rows import TABLE
from retail_assets.forecasting.explain.decomposition_run import decompose_demand
from retail_assets.forecasting.explain.demand_panel import DemandSeries, read_series
from retail_assets.forecasting.views_config import VIEWS_FILE, DecompositionConfig, ViewsConfig
from retail_assets.resources.fanout import Fanout
from retail_assets.resources.lake import Lake
from tests.forecasting.small_gold import NEWEST, STORES

KNOWN = 150


@pytest.fixture(scope="module")
def config() -> DecompositionConfig:
    return ViewsConfig.load().decomposition


@pytest.fixture(scope="module")
def series(gold_lake: Lake) -> list[DemandSeries]:
    return read_series(gold_lake, NEWEST, 28)


def made_up(units: np.ndarray, promotion: np.ndarray, holidays: tuple[tuple[str, date], ...] = ()) -> DemandSeries:
    days = np.arange(np.datetime64("2026-01-05"), np.datetime64("2026-01-05") + len(promotion))
    return DemandSeries("store_department", "S", "d", days, units, promotion, holidays)


def test_the_panel_has_both_hierarchies_without_gaps(series: list[DemandSeries]) -> None:
    keys = [one.key for one in series]
    assert keys == sorted(keys) and len(keys) == 3 * 3 + 3 * 2
    for one in series:
        assert len(one.days) == len(one.units) + 28 and (np.diff(one.days) == np.timedelta64(1, "D")).all()
        assert one.days[len(one.units) - 1] == np.datetime64(NEWEST) and (one.promotion >= 0).all()
    assert {one.place for one in series} == {*STORES, *STORES.values()}


def test_a_country_is_the_sum_of_its_stores(series: list[DemandSeries]) -> None:
    for country in ("US", "DE"):
        whole = sum(one.units for one in series if one.place == country)
        store = sum(one.units for one in series if one.place == f"{country}-001")
        np.testing.assert_allclose(whole, store, atol=1e-5)


def test_a_closed_weekday_sells_nothing_and_a_missing_file_is_not_nothing(own_lake: Lake) -> None:
    sales = own_lake.open("gold", "fct_sales_daily").to_pyarrow_table()
    frame = sales.to_pandas()
    lost = NEWEST - timedelta(days=10)
    kept = frame[~((frame["store_id"] == "US-001") & (frame["business_date"] == lost))]
    twin = frame[frame["store_id"] == "US-001"].assign(store_id="US-002")
    both = pa.Table.from_pandas(pd.concat([kept, twin]), schema=sales.schema, preserve_index=False)
    own_lake.overwrite("gold", "fct_sales_daily", both)
    stores = own_lake.open("gold", "dim_store").to_pyarrow_table().to_pylist()
    own_lake.overwrite("gold", "dim_store", pa.Table.from_pylist([*stores, stores[0] | {"store_id": "US-002"}]))
    found = {one.key: one for one in read_series(own_lake, NEWEST, 28)}
    sundays = pd.DatetimeIndex(found["store_department", "DE-001", "d0"].days[:KNOWN]).weekday == 6
    assert (found["store_department", "DE-001", "d0"].units[sundays] == 0).all()
    assert np.flatnonzero(np.isnan(found["store_department", "US-001", "d0"].units)).tolist() == [KNOWN - 11]
    known, lost_too = (found["country_category", "US", "c0"].units[KNOWN - at] for at in (4, 11))
    assert 0.5 * known < lost_too < 2 * known


def test_what_is_not_known_yet_changes_nothing(own_lake: Lake) -> None:
    """A promotion announced after the origin, and days after it, are not seen."""
    cut = NEWEST - timedelta(days=28)
    before = [one.content() for one in read_series(own_lake, cut, 28)]
    promotions = own_lake.open("gold", "dim_promotion").to_pyarrow_table().to_pylist()
    late = promotions[0] | {"starts_on": cut + timedelta(days=3), "ends_on": NEWEST, "announced_on": NEWEST}
    own_lake.overwrite("gold", "dim_promotion", pa.Table.from_pylist([*promotions, late]))
    assert [one.content() for one in read_series(own_lake, cut, 28)] == before


def test_known_parts_are_found(config: DecompositionConfig) -> None:
    chance = np.random.default_rng(5)
    days = np.arange(KNOWN + 28)
    promotion = np.where((days % 30) < 4, 0.3, 0.0)
    weekday = np.array([0.8, 0.8, 0.9, 1.0, 1.1, 1.4, 1.0])[days % 7]
    truth = 100 * weekday * np.where(promotion > 0, 1.5, 1.0)
    fit = decompose(FitTask(made_up(chance.poisson(truth[:KNOWN]).astype(float), promotion), config))
    ahead = fit.parts.iloc[KNOWN:]
    assert fit.method == "prophet" and tuple(fit.parts.columns) == PARTS
    assert np.abs(ahead.sum(axis=1) - truth[KNOWN:]).mean() < 8
    assert ahead["promotions"][promotion[KNOWN:] > 0].mean() == pytest.approx(50, abs=15)
    assert ahead["weekly"].max() == pytest.approx(40, abs=12) and (ahead["yearly"] == 0).all()


def test_a_holiday_is_told_as_a_holiday(config: DecompositionConfig) -> None:
    units = np.random.default_rng(1).poisson(100, KNOWN).astype(float)
    days = tuple(("spring", date(2026, 1, 5) + timedelta(days=n)) for n in (40, 90, 140, 160))
    units[[40, 90, 140]] *= 2
    parts = decompose(FitTask(made_up(units, np.zeros(KNOWN + 28), days), config)).parts
    assert parts["holidays"][160] > 50 and parts["holidays"][161] == 0 and (parts["promotions"] == 0).all()


@pytest.mark.parametrize(("units", "mean"), [([3.0] * 20, 3.0), ([0.0] * 100, 0.0), ([np.nan] * 90, 0.0)])
def test_a_series_too_short_or_empty_is_its_mean(config: DecompositionConfig, units: list[float], mean: float) -> None:
    fit = decompose(FitTask(made_up(np.array(units), np.zeros(len(units) + 28)), config))
    assert fit.method == "mean" and (fit.parts.sum(axis=1) == mean).all()


def test_two_processes_give_what_one_gives_and_leave_no_files(
    series: list[DemandSeries], config: DecompositionConfig
) -> None:
    tasks = [FitTask(one, config) for one in series[:4]]
    heard: list[int] = []
    one, two = Fanout().map(decompose, tasks), Fanout(processes=2).map(decompose, tasks, heard.append)
    assert heard == [1, 2, 3, 4] and [fit.key for fit in two] == [task.series.key for task in tasks]
    for a, b in zip(one, two, strict=True):
        pd.testing.assert_frame_equal(a.parts, b.parts, check_exact=True)
    import cmdstanpy

    assert list(Path(cmdstanpy._TMPDIR).iterdir()) == []


def test_from_gold_to_components_and_nothing_twice(own_lake: Lake, config: DecompositionConfig) -> None:
    _forecast_everything(own_lake)
    first = assets.demand_components(lake=own_lake).metadata or {}
    assert first["status"] == "decomposed" and first["series_fitted"] == 15
    assert "data:image/png" in str(first["largest_store_department"]) and first["wape_prophet/store_department"] > 0
    assert {r.check_name: r.passed for r in assets.decomposition_checks(lake=own_lake)} == {
        "parts_add_up_to_the_forecasts": True,
        "decomposition_is_no_worse_than_naive": True,
    }
    rows = own_lake.open("gold", TABLE).to_pyarrow_table().to_pandas()
    assert (
        rows.loc[rows["is_forecast"], "bottom_up"].notna().all()
        and rows.loc[~rows["is_forecast"], "bottom_up"].isna().all()
    )
    assert rows.loc[rows["is_forecast"]].groupby(["place", "product_group"]).size().eq(28).all()
    assert assets.demand_components(lake=own_lake).metadata["status"] == "unchanged"  # type: ignore[index]
    own_lake.overwrite("gold", "dim_store", own_lake.open("gold", "dim_store").to_pyarrow_table())
    again = assets.demand_components(lake=own_lake).metadata or {}
    assert again["status"] == "decomposed" and again["series_fitted"] == 0
    kept = own_lake.open("gold", TABLE).to_pyarrow_table()
    frame = kept.to_pandas()
    order = ["hierarchy", "place", "product_group", "day"]
    pd.testing.assert_frame_equal(
        frame.sort_values(order, ignore_index=True), rows.sort_values(order, ignore_index=True), check_exact=True
    )
    broken = frame.copy()
    at = broken.index[broken["bottom_up"].notna()][0]
    broken.loc[at, "level_units"] += 1
    own_lake.overwrite("gold", TABLE, pa.Table.from_pandas(broken, schema=kept.schema, preserve_index=False))
    assert [r.passed for r in assets.decomposition_checks(lake=own_lake)] == [False, True]


def _forecast_everything(lake: Lake) -> None:
    """A forecast of 2.5 units for every series and day, as far as the components read it."""
    facts = lake.open("gold", "fct_sales_daily").to_pyarrow_table(columns=["store_id", "sku"]).to_pandas()
    keys = facts.drop_duplicates().sort_values(["store_id", "sku"])
    rows = [
        {"store_id": s, "sku": k, "target_date": NEWEST + timedelta(days=ahead), "mean": 2.5, "business_date": NEWEST}
        for s, k in zip(keys["store_id"], keys["sku"], strict=True)
        for ahead in range(1, 29)
    ]
    lake.overwrite_days("gold", "forecasts", pa.Table.from_pylist(rows), [NEWEST])


def test_without_forecasts_the_parts_stand_alone(gold_lake: Lake, config: DecompositionConfig) -> None:
    made = decompose_demand(gold_lake, NEWEST, config.model_copy(update={"shortest_history": 1000}), Fanout(), False)
    frame = made.rows.to_pandas()
    assert set(frame["method"]) == {"mean"} and frame[[f"{g}_units" for g in GROUPS]].isna().all().all()


@pytest.mark.parametrize(
    ("found", "passed"),
    [
        ({"prophet": 0.1, "seasonal_naive": 0.2, "weekday_mean": 0.3}, True),
        ({"prophet": 0.25, "seasonal_naive": 0.2, "weekday_mean": 0.3}, True),
        ({"prophet": 0.3, "seasonal_naive": 0.2, "weekday_mean": 0.3}, False),
        ({"prophet": float("nan"), "seasonal_naive": 0.2, "weekday_mean": 0.3}, False),
        ({}, False),
    ],
)
def test_a_view_worse_than_both_baselines_is_called_out(found: dict[str, float], passed: bool) -> None:
    verdict = assets.beats_naive({f"wape_{name}/country_category": value for name, value in found.items()})
    assert verdict.passed is passed and bool(verdict.reasons) is not passed


def test_a_wrong_configuration_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "views.yaml"
    wrong.write_text(VIEWS_FILE.read_text().replace("multiplicative", "sometimes"))
    with pytest.raises(ForecastingConfigError, match="seasonality_mode"):
        ViewsConfig.load(wrong)
