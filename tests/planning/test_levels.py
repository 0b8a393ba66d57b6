"""Two reports of one company must not disagree: sums are exact, in every order and on every path."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.planning import assets, checks
from retail_assets.planning.config import LevelsConfig
from retail_assets.planning.levels import DIMENSIONS, GRID, LEVELS, LevelIntervals, at_levels, on_grid, week_by_week
from retail_assets.planning.policy import adds_up, levels_beat_baselines, levels_calibrated, levels_complete
from retail_assets.resources.lake import Lake
from tests.planning.small_plan import CATEGORIES, HORIZON, SKUS, STORES

SHARES = (0.05, 0.5, 0.95)


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=60), st.randoms(use_true_random=False))
def test_sums_on_the_grid_are_the_same_in_every_order(means: list[float], chance: object) -> None:
    made = on_grid(np.array(means)).tolist()
    shuffled = list(made)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sum(made) == sum(shuffled) == sum(sorted(made))
    assert np.abs(np.array(made) - np.array(means)).max() <= GRID / 2


def test_twelve_levels_with_the_groups_of_the_hierarchy() -> None:
    rows = pd.DataFrame(
        [
            {"store_id": s, "country": c, "sku": k, "category": g, "department": CATEGORIES[g], "target_date": 1,
             "horizon": 1, "mean": 1.0}
            for s, c in STORES.items() for k, g in SKUS.items()
        ]
    )  # fmt: skip
    made = at_levels(rows, ["mean"])
    groups = made.groupby("level").size().to_dict()
    assert list(LEVELS) == made["level"].unique().tolist() and len(LEVELS) == 12
    assert groups == {
        "total": 1, "country": 2, "store": 3, "department": 2, "category": 3, "country_department": 4,
        "country_category": 6, "store_department": 6, "store_category": 9, "sku": 6, "sku_country": 12, "sku_store": 18,
    }  # fmt: skip
    assert made.groupby("level")["mean"].sum().eq(18.0).all()


def test_a_store_or_sku_without_a_master_row_is_summed_too() -> None:
    rows = pd.DataFrame({"store_id": ["a", "b"], "country": [None, "US"], "sku": ["k", "k"], "category": [None, None],
                         "department": [None, None], "target_date": 1, "horizon": 1, "mean": [1.0, 2.0]})  # fmt: skip
    made = at_levels(rows, ["mean"]).groupby("level")["mean"].sum()
    assert made.eq(3.0).all() and len(made) == 12


def _shared_errors(days: int, seed: int) -> pd.DataFrame:
    """Sums of one level of 40 groups that share part of their error from day to day."""
    chance = np.random.default_rng(seed)
    mean = chance.uniform(5.0, 200.0, (days, 40))
    units = chance.poisson(mean * chance.gamma(100.0, 0.01, (days, 1)) * chance.gamma(50.0, 0.02, mean.shape))
    horizon = np.repeat(np.arange(1, days + 1), 40)
    return pd.DataFrame({"level": "store", "horizon": horizon, "units": units.ravel(), "mean": mean.ravel()})


def test_intervals_cover_what_they_say_on_days_that_they_have_not_seen() -> None:
    seen, held = _shared_errors(200, 1), _shared_errors(200, 2)
    made = LevelIntervals.fit(seen, SHARES).quantiles("store", held["mean"].to_numpy())
    covered = ((held["units"] >= made[:, 0]) & (held["units"] <= made[:, -1])).mean()
    assert 0.88 <= covered <= 0.92
    out = week_by_week(held.iloc[: 28 * 40].reset_index(drop=True), SHARES)
    assert np.isfinite(out).all() and (np.diff(out, axis=1) >= 0).all() and (out >= 0).all()


@pytest.mark.parametrize("units", [[0.0, 0.0, 0.0], [5.0, 5.0, 5.0]])
def test_intervals_of_a_level_that_never_sold_or_never_erred_are_numbers(units: list[float]) -> None:
    sums = pd.DataFrame({"level": "total", "horizon": [1, 2, 3], "units": units, "mean": units})
    made = LevelIntervals.fit(sums, SHARES).quantiles("total", np.array([0.0, 7.0]))
    assert np.isfinite(made).all() and (made >= 0).all()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The assets of levels on a lake of their own; materialised twice, the second time nothing is done."""
    from tests.planning.small_plan import write_plan

    lake = write_plan(Lake.at(tmp_path_factory.mktemp("levels") / "lake"))
    for status in ("summed", "unchanged"):
        report, levels = assets.levels_report(lake=lake), assets.forecast_levels(lake=lake)
        assert (levels.metadata or {})["status"] == status
        assert (report.metadata or {})["status"] == {"summed": "reported"}.get(status, status)
    return lake


def test_the_table_has_every_level_group_and_day_and_passes_its_checks(made: Lake) -> None:
    rows = made.open("gold", "forecast_levels").to_pyarrow_table().to_pandas()
    assert len(rows) == (1 + 2 + 3 + 2 + 3 + 4 + 6 + 6 + 9 + 6 + 12 + 18) * HORIZON
    assert rows.query("level == 'total'")["series"].unique().tolist() == [18]
    results = {r.check_name: r for r in checks.level_checks(lake=made)}
    assert {name: r.passed for name, r in results.items()} == {
        "levels_add_up": True, "every_level_is_complete": True, "levels_are_never_negative": True
    }  # fmt: skip
    store_sku = rows[rows["level"] == "sku_store"].sort_values(["store_id", "sku", "horizon"])
    own = made.open("gold", "forecasts").to_pyarrow_table().to_pandas().sort_values(["store_id", "sku", "horizon"])
    assert store_sku["q95"].tolist() == own["q95"].tolist(), "a store-SKU keeps the interval of its own forecast"


def test_the_report_scores_each_level_beside_both_baselines(made: Lake) -> None:
    scores = made.open("reports", "forecast_levels").to_pyarrow_table().to_pandas()
    assert scores["level"].tolist() == list(LEVELS)
    assert (scores["rmse"] < scores["rmse_seasonal_naive"]).all(), "the small plan's forecasts are its true means"
    assert len(list(checks.level_proof_checks(lake=made))) == 2


def test_a_changed_number_a_lost_day_and_a_lost_level_are_found(made: Lake) -> None:
    rows = made.open("gold", "forecast_levels").to_pyarrow_table().to_pandas()
    forecasts = made.open("gold", "forecasts").to_pyarrow_table().to_pandas()
    assert adds_up(rows, forecasts).passed and levels_complete(rows, HORIZON).passed
    wrong = rows.copy()
    wrong.loc[wrong.index[wrong["level"] == "store"][0], "mean"] += GRID
    assert "1 sums differ, first at level store" in adds_up(wrong, forecasts).reasons
    assert not adds_up(rows, forecasts.assign(mean=forecasts["mean"] + 1e-4)).passed
    short = rows.drop(rows.index[rows["level"] == "country_category"][0])
    assert "1 groups lack days" in levels_complete(short, HORIZON).reasons[0] and not adds_up(short, forecasts).passed
    assert "no forecasts at level sku" in levels_complete(rows[rows["level"] != "sku"], HORIZON).reasons[0]


@pytest.mark.parametrize(
    ("column", "value", "passed"),
    [("coverage_90", 0.90, True), ("coverage_90", 0.87, False), ("coverage_90", 0.93, False),
     ("coverage_90", float("nan"), False), ("rmse_ratio", 1.0, False), ("rmse_ratio", float("nan"), False),
     ("rmse_ratio", 0.99, True)],
)  # fmt: skip
def test_levels_of_size_are_held_to_coverage_and_baselines(column: str, value: float, passed: bool) -> None:
    config = LevelsConfig(gated_rows=100, covered=(0.88, 0.92))
    scores = pd.DataFrame({"level": ["sku", "total"], "rows": [100, 99], "coverage_90": 0.9, "rmse_ratio": 0.9})
    scores.loc[0, column] = value
    scores.loc[1, column] = 5.0
    judge = levels_calibrated if column == "coverage_90" else levels_beat_baselines
    assert judge(scores, config).passed is passed


def test_an_empty_lake_has_nothing_to_sum(lake: Lake) -> None:
    assert (assets.forecast_levels(lake=lake).metadata or {})["status"] == "no forecasts yet"
    assert (assets.levels_report(lake=lake).metadata or {})["status"] == "no model yet"
    assert all(result.passed for result in [*checks.level_checks(lake=lake), *checks.level_proof_checks(lake=lake)])


def test_the_dimensions_are_those_of_the_table(made: Lake) -> None:
    names = [field.name for field in made.open("gold", "forecast_levels").schema().fields]
    assert names[1 : 1 + len(DIMENSIONS)] == list(DIMENSIONS)
    assert date.fromisoformat(str(made.open("gold", "forecast_levels").partitions()[0]["business_date"]))
