"""The engine: nothing after the origin is looked at, sums are exact, the same bytes twice, and the plants are found."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_assets.forecasting.panel import simple, trees
from retail_assets.forecasting.panel.backtest import Files, ForecastBacktest, backtest
from retail_assets.forecasting.panel.baseline import seasonal_naive
from retail_assets.forecasting.panel.cold import analogues, launch_share, rungs
from retail_assets.forecasting.panel.engine import forecast, setting_of
from retail_assets.forecasting.panel.features import Features
from retail_assets.forecasting.panel.intervals import QUANTILES, central, few, many, quantile_name, wspl
from retail_assets.forecasting.panel.levels import levels_of, scaled_errors, wrmsse
from retail_assets.forecasting.panel.nodes import node_data, regress
from retail_assets.forecasting.panel.panel import Columns, Panel, Rules, read_panel
from retail_assets.forecasting.panel.reading.table import PanelError
from retail_assets.forecasting.panel.reconcile import WAYS, reconcile, upper_levels
from retail_assets.forecasting.panel.spread import Sample
from tests.forecasting.panel.simulated import COLUMNS, DAYS, FAST, HORIZON, Chain

Scored = tuple[ForecastBacktest, Path]
Floats = npt.NDArray[np.float64]
ASKED = ("--series", "item,store", "--time", "date", "--units", "units", "--horizon", "14")


def silent(step: str) -> None:
    """No progress."""


def test_it_beats_both_baselines_at_every_level(scored: Scored) -> None:
    found, _ = scored
    assert [level.nodes for level in found.levels] == [1, 2, 2, 4, 4, 8, 12, 24, 48]
    for level in found.levels:
        assert level.rmsse < min(level.seasonal_naive, level.recent_mean)
    assert found.wrmsse < 0.7 * found.wrmsse_seasonal_naive
    assert found.wspl < 0.8 * found.wspl_baseline
    assert 0.85 < found.levels[-1].coverage < 0.95
    assert found.way == min(found.ways, key=lambda way: found.ways[way])
    assert all(0.85 < segment.share_of_sold < 1.15 for segment in found.segments if segment.rmsse < 1)


def test_levels_are_exact_sums_and_no_forecast_is_below_zero(scored: Scored) -> None:
    series, nodes = (pd.read_parquet(file) for file in scored[0].files)
    assert (series["mean"] >= 0).all()
    assert (nodes["mean"] >= 0).all()
    assert len(series) == 48 * HORIZON
    total = nodes[nodes["level"] == "total"].set_index("date")["mean"]
    assert np.allclose(series.groupby("date")["mean"].sum(), total.sort_index(), rtol=1e-12)
    stores = nodes[nodes["level"] == "store"].set_index(["store", "date"])["mean"].sort_index()
    assert np.allclose(series.groupby(["store", "date"])["mean"].sum(), stores, rtol=1e-12)
    names = [quantile_name(q) for q in QUANTILES]
    for table in (series, nodes):
        assert (np.diff(table[names].to_numpy(), axis=1) >= 0).all()
        assert (table["lo90"] <= table["hi90"]).all()


def test_an_item_that_never_sold_rests_on_its_likes_and_hardly_sells(scored: Scored) -> None:
    found, out = scored
    assert found.rungs == {"own": 44, "analogue": 0, "category": 4}
    series = pd.read_parquet(out)
    new = series[series["item"] == "I04"]
    assert set(new["rung"]) == {"category"}
    assert new["mean"].mean() < series.loc[series["item"] != "I04", "mean"].mean()


def test_the_same_files_give_the_same_bytes(chain: Chain, scored: Scored, tmp_path: Path) -> None:
    files = Files(chain.sales, tmp_path / "again.parquet", chain.attributes, chain.calendar)
    again = backtest(files, COLUMNS, Rules(), chain.until, HORIZON, FAST, silent)
    for first, second in zip(scored[0].files, again.files, strict=True):
        assert Path(first).read_bytes() == Path(second).read_bytes()


def test_later_sales_change_no_forecast(chain: Chain, scored: Scored) -> None:
    panel = chain.panel()
    changed = panel.target.copy()
    changed[:, panel.until :] = 1e6
    made = forecast(replace(panel, target=changed), FAST, silent)
    written = pd.read_parquet(scored[1])["mean"].to_numpy().reshape(48, HORIZON)
    assert np.array_equal(made.mean, written)


@given(origin=st.integers(30, 120), ahead=st.integers(1, HORIZON), value=st.floats(0, 1e5))
@settings(max_examples=12, deadline=None)
def test_no_feature_sees_what_comes_after_its_origin(chain: Chain, origin: int, ahead: int, value: float) -> None:
    panel = chain.panel()
    setting = setting_of(panel)
    changed = panel.target.copy()
    changed[:, origin:] = value
    series, aheads = np.arange(48), np.full(48, ahead)
    parts = [
        Features(replace(panel, target=target), setting.season, setting.groups).rows(origin, series, aheads)
        for target in (panel.target, changed)
    ]
    assert parts[0][1] == parts[1][1]
    assert np.array_equal(parts[0][0], parts[1][0], equal_nan=True)
    assert np.array_equal(parts[0][2], parts[1][2])


def test_the_regression_of_nodes_sees_nothing_after_its_origin(chain: Chain) -> None:
    panel = chain.panel()
    upper = setting_of(panel).upper
    assert upper is not None
    data = node_data(panel, upper.levels)
    changed = data.sums.copy()
    changed[:, 100:] *= 7
    assert np.array_equal(regress(data, 100, 14), regress(replace(data, sums=changed), 100, 14))


@given(seed=st.integers(0, 10_000), way=st.sampled_from(WAYS))
@settings(max_examples=40, deadline=None)
def test_every_way_to_reconcile_is_coherent_and_never_negative(seed: int, way: str) -> None:
    rng = np.random.default_rng(seed)
    keys = pd.DataFrame([(f"i{i}", f"s{s}") for i in range(6) for s in range(3)], columns=["item", "store"])
    attributes = pd.DataFrame({"department": np.where(keys["item"] < "i3", "a", "b")})
    levels = levels_of(keys, attributes)
    middle = next(level for level in levels if level.columns == ("department", "store"))
    upper = upper_levels(levels, middle)
    assert [level.name for level in upper.levels] == ["total", "department", "store", "department x store"]
    bottom = rng.gamma(1.0, 2.0, (18, 5)) * (rng.random((18, 1)) < 0.8)
    nodes = rng.gamma(2.0, 5.0, (sum(level.size for level in upper.levels), 5))
    found = reconcile(way, bottom, nodes, upper)
    assert (found >= 0).all()
    assert (found[bottom == 0] == 0).all()
    for level in levels:
        assert np.allclose(level.sums(found).sum(axis=0), found.sum(axis=0))
    if way == "middle_out":
        alive = middle.sums(bottom) > 0
        assert np.allclose(middle.sums(found)[alive], nodes[upper.nodes[-1]][alive])


def test_reconciling_forecasts_that_already_agree_changes_nothing(chain: Chain) -> None:
    panel = chain.panel()
    upper = setting_of(panel).upper
    assert upper is not None
    bottom = np.random.default_rng(1).gamma(2.0, 2.0, (48, 5))
    agreed = np.concatenate([level.sums(bottom) for level in upper.levels])
    for way in WAYS:
        assert np.allclose(reconcile(way, bottom, agreed, upper), bottom)


def test_weighted_rmsse_is_what_its_definition_says() -> None:
    past, error = np.array([[0.0, 2, 4, 4], [0, 0, 1, 3]]), np.array([[1.0, 1], [2, 0]])
    each, weight = scaled_errors(past, error)
    assert np.allclose(each, [1 / np.sqrt(2), np.sqrt(2 / 4)])
    assert np.allclose(weight, [10, 4])
    keys = pd.DataFrame({"item": ["a", "b"]})
    levels = levels_of(keys, pd.DataFrame(index=keys.index))
    actual = np.array([[1, 1], [2, 0]], np.float32)
    found = wrmsse(levels, past.astype(np.float32), actual, np.zeros((2, 2)))
    assert found["item"] == pytest.approx((each * weight).sum() / 14)
    assert found["total"] == pytest.approx(np.sqrt((9 + 1) / 2 / ((9 + 4) / 2)))


def test_pinball_of_a_perfect_point_is_zero_and_of_a_wrong_one_is_not() -> None:
    past, truth = np.array([[1.0, 2, 1], [3, 1, 2]]), np.array([[2.0, 3], [1, 1]])
    exact = np.repeat(truth[:, :, None], len(QUANTILES), axis=2)
    assert wspl(past, truth, exact) == 0.0
    assert wspl(past, truth, exact + 1) > 0


def window(actual: Floats, mean: Floats) -> tuple[Sample, Floats]:
    """A window held back whose nodes scattered before it as in it."""
    return Sample(actual, mean, 1.0), actual


def test_ninety_per_cent_of_counts_lie_in_the_interval_even_where_most_days_sell_nothing() -> None:
    rng = np.random.default_rng(2)
    mean = np.exp(rng.uniform(-2.5, 2.5, 4000))[:, None] * np.ones((1, 8))
    learnt, new = (rng.poisson(mean).astype(float) for _ in range(2))
    low, high = central(many([window(learnt, mean)], learnt, mean).quantiles(mean), whole=True)
    # Ends of whole units cover more than asked for where a day sells one or none.
    assert 0.88 < np.mean((new >= low) & (new <= high)) < 0.95


def test_the_median_of_counts_is_below_their_mean_and_nearer_to_them() -> None:
    rng = np.random.default_rng(9)
    mean = np.exp(rng.uniform(-1.5, 2.0, 4000))[:, None] * np.ones((1, 8))
    size = rng.gamma(0.5, 2.0, mean.shape)
    learnt, new = rng.poisson(mean * size).astype(float), rng.poisson(mean * size[::-1]).astype(float)
    median = many([window(learnt, mean)], learnt, mean).quantiles(mean)[:, :, QUANTILES.index(0.5)]
    assert np.abs(new - median).sum() < 0.95 * np.abs(new - mean).sum()


def test_a_window_that_was_off_as_a_whole_moves_no_median() -> None:
    rng = np.random.default_rng(4)
    mean = np.exp(rng.uniform(3, 5, 2000))[:, None] * np.ones((1, 8))
    learnt = 1.3 * mean * np.exp(rng.normal(0, 0.2, mean.shape) - 0.02)
    median = many([window(learnt, mean)], learnt, mean).quantiles(mean)[:, :, QUANTILES.index(0.5)]
    assert np.allclose(median, mean, rtol=0.05)


def sample(error: Floats, share: float = 1.0) -> Sample:
    """Nodes of 100 units that were off by these shares."""
    mean = np.full(error.shape, 100.0)
    return Sample(mean * (1 + error), mean, share)


def test_intervals_of_few_nodes_cover_errors_of_their_own_scale() -> None:
    rng = np.random.default_rng(3)
    scale = np.array([[0.05], [0.2]])
    drawn = [sample(scale * rng.normal(size=(2, 100)), 0.25) for _ in range(4)]
    (made,) = few([drawn], [np.array([100.0, 100.0])])
    mean = np.full((2, 500), 100.0)
    low, high = central(made.quantiles(mean))
    actual = mean * (1 + scale * rng.normal(size=mean.shape))
    assert np.mean((actual >= low) & (actual <= high)) == pytest.approx(0.9, abs=0.05)
    assert (high - low)[0, 0] < (high - low)[1, 0]


def test_levels_of_few_nodes_share_the_shape_of_their_errors_but_not_the_scale() -> None:
    rng = np.random.default_rng(5)
    scales = [0.02, 0.1, 0.3]
    shapes = [(nodes, 28) for nodes in (1, 5, 40)]
    drawn = [
        [sample(scale * rng.standard_t(4, shape), 0.2) for _ in range(5)]
        for scale, shape in zip(scales, shapes, strict=True)
    ]
    sizes = [np.full(nodes, 100.0) for nodes, _ in shapes]
    made = few(drawn, sizes)
    for level, scale in zip(made, scales, strict=True):
        assert np.array_equal(level.shape, made[0].shape)
        assert level.shape[QUANTILES.index(0.05)] == pytest.approx(-level.shape[QUANTILES.index(0.95)])
        assert level.scale.mean() == pytest.approx(scale * np.sqrt(2), rel=0.5)
    wide = few([[sample(2 * (s.actual / s.forecast - 1), 0.2) for s in samples] for samples in drawn], sizes)
    assert all((w.scale > m.scale).all() for w, m in zip(wide, made, strict=True))


@given(ratio=st.floats(10, 1e6), tiny=st.floats(1e-6, 0.5), seed=st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_one_tiny_node_with_a_wild_ratio_widens_no_other(ratio: float, tiny: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mean = np.full((12, 6), 1_000.0)
    actual = mean * (1 + 0.1 * rng.normal(size=mean.shape))
    calm = few([[Sample(actual, mean, 1.0)]], [mean.mean(axis=1)])[0].quantiles(mean)
    mean[0], actual[0] = tiny, tiny * ratio
    wild = few([[Sample(actual, mean, 1.0)]], [mean.mean(axis=1)])[0].quantiles(mean)
    assert np.allclose(wild[1:], calm[1:], rtol=0.1)
    assert (wild[0] <= 30 * mean[0, 0]).all()


@given(value=st.floats(0, 0.5), horizon=st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_a_window_without_errors_leaves_intervals_that_rise_and_are_finite(value: float, horizon: int) -> None:
    (made,) = few([[sample(np.full((3, horizon), value)), sample(np.zeros((3, horizon)))]], [np.full(3, 100.0)])
    found = made.quantiles(np.full((3, horizon), 10.0))
    assert np.isfinite(found).all()
    assert (np.diff(found, axis=2) >= 0).all()


def test_analogues_are_the_item_elsewhere_times_the_scale_of_the_store(chain: Chain) -> None:
    panel = chain.panel()
    levels = setting_of(panel).levels
    item, store = panel.keys["item"].to_numpy(), panel.keys["store"].to_numpy()
    size, scale = (
        {name: 1.0 + i for i, name in enumerate(np.unique(item))},
        {"A1": 2.0, "A2": 1.0, "B1": 1.0, "B2": 0.5},
    )
    truth = np.array([size[i] * scale[s] for i, s in zip(item, store, strict=True)])[:, None]
    live = ~((item == "I05") & (store == "B2"))
    guess = analogues(np.where(live[:, None], truth, 0.0), live, levels, ["item", "store"])
    rung = rungs(live, levels, ["item", "store"])
    lone = np.flatnonzero(~live)
    assert rung[lone] == [1.0]
    assert guess[lone, 0] == pytest.approx(truth[lone, 0], rel=0.25)
    actual = np.full(truth.shape, np.nan, np.float32)
    actual[lone] = truth[lone] / 4
    assert launch_share(actual, truth, ~live) == pytest.approx(0.25)
    assert launch_share(actual, truth, np.zeros(48, dtype=bool)) == 1.0


def test_a_short_history_is_refused(chain: Chain) -> None:
    with pytest.raises(PanelError, match="periods of history are too few for a horizon of 14"):
        forecast(chain.panel(until="2023-01-20"), FAST, silent)


def test_baselines_repeat_the_last_week(chain: Chain) -> None:
    panel = chain.panel()
    naive = seasonal_naive(panel)
    assert np.array_equal(naive[:, :7], np.nan_to_num(panel.target[:, DAYS - 7 : DAYS]))
    assert np.array_equal(naive[:, :7], naive[:, 7:])


@pytest.mark.parametrize("loss", ["absolute", "percentage"])
def test_weeks_with_prices_known_ahead_follow_the_prices(loss: trees.Loss, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    series, weeks = 40, 60
    price = np.where(rng.random((series, weeks)) < 0.2, 0.7, 1.0)
    level = np.exp(rng.normal(3.5, 0.7, (series, 1)))
    units = rng.poisson(level * price**-3.0) + 1
    grid = np.meshgrid(np.arange(series), np.arange(100, 100 + weeks), indexing="ij")
    table = pd.DataFrame(
        {"item": grid[0].ravel(), "week": grid[1].ravel(), "units": units.ravel(), "price": price.ravel()}
    )
    table.to_parquet(tmp_path / "weeks.parquet")
    files = Files(tmp_path / "weeks.parquet", tmp_path / "out.csv")
    columns, settings = Columns(("item",), "week", "units", ("price",)), replace(FAST, loss=loss, rounds=150)
    found = backtest(files, columns, Rules("W", "unknown"), "155", 4, settings, silent)
    assert found.way == "bottom_up"
    made = pd.read_csv(tmp_path / "out.csv").merge(table, on=["item", "week"], validate="one_to_one")
    error = np.abs(made["mean"] - made["units"]) / made["units"]
    assert error.mean() < 0.3
    level_of = made["item"].map(dict(enumerate(level[:, 0])))
    cheap = made["price"] < 1
    assert (made["mean"] / level_of)[cheap].median() > 1.6 * (made["mean"] / level_of)[~cheap].median()


def retail(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "retail_assets.cli", "backtest", "forecasting", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_forecasts_beyond_the_data_and_names_what_is_wrong(chain: Chain, tmp_path: Path) -> None:
    out = tmp_path / "made" / "f.csv"
    sales = pd.read_parquet(chain.sales)
    part = sales[sales["item"] < "I02"]
    part[part["date"].astype(str) <= chain.until].to_csv(tmp_path / "part.csv", index=False)
    asked = (str(tmp_path / "part.csv"), *ASKED, "--calendar", str(chain.calendar), "--out", str(out))
    told = retail(*asked, "--json")
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert found["series"] == 8
    assert "no targets are known after the forecast's start" in " ".join(found["notes"])
    made = pd.read_csv(out)
    assert list(made)[:4] == ["item", "store", "date", "mean"]
    assert made["date"].min() > chain.until
    assert "learning from the whole history" in told.stderr or "done" in told.stderr


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("f.xlsx", "f.xlsx is neither .parquet nor .csv"),
        ("sales.parquet", "would replace sales.parquet, which is read"),
        ("sales.parquet/f.csv", "lies in no folder"),
    ],
)
def test_an_output_that_cannot_be_written_is_named_before_any_work(out: str, told: str, chain: Chain) -> None:
    files = Files(chain.sales, chain.sales.parent / out)
    with pytest.raises(PanelError, match=told):
        backtest(files, COLUMNS, Rules(), chain.until, HORIZON, FAST, silent)


def test_a_history_in_which_nothing_is_sold_is_named(chain: Chain) -> None:
    panel = chain.panel()
    with pytest.raises(PanelError, match="nothing was sold in the history"):
        forecast(replace(panel, target=panel.target * 0), FAST, silent)


def yearly_weeks(folder: Path, weeks: int, series: int = 24, noise: float = 0.15) -> Panel:
    """Weekly sales with one season for all that grow by a fifth a year; the last 26 weeks are to be forecast."""
    rng = np.random.default_rng(5)
    at = np.arange(weeks + 26)
    season = 1.0 + 0.6 * np.sin(2 * np.pi * at / 52) + (at % 52 == 40)
    level = np.exp(rng.normal(6, 0.5, (series, 1)))
    sales = level * season * 1.2 ** (at / 52) * np.exp(rng.normal(0, noise, (series, len(at))))
    dates = pd.date_range("2020-01-03", periods=len(at), freq="W-FRI").date
    table = pd.DataFrame({"item": np.repeat(np.arange(series), len(at)), "date": np.tile(dates, series)})
    table.assign(units=sales.ravel()).to_parquet(folder / "weeks.parquet")
    columns = Columns(("item",), "date", "units")
    return read_panel(folder / "weeks.parquet", columns, Rules("W"), str(dates[weeks - 1]), 26)


def test_a_year_of_weeks_is_forecast_from_earlier_years_times_the_growth(tmp_path: Path) -> None:
    panel = yearly_weeks(tmp_path, 156)
    assert simple.names(panel.until, panel.frequency) == ("level", "year", "growth", "seasonal")
    season = setting_of(panel).season
    history = panel.target[:, : panel.until].astype(float)
    naive = np.abs(seasonal_naive(panel) - panel.actual).sum()
    (grown,) = simple.forecasts(history, 26, season, panel.frequency, ("growth",))
    assert np.abs(grown - panel.actual).sum() < 0.75 * naive
    made = forecast(panel, FAST, silent)
    assert np.abs(made.mean - panel.actual).sum() < 0.7 * naive
    assert made.recipe.weights["level"] < 0.05
    for weeks, known in ((103, ("level", "year", "growth")), (64, ("level", "year")), (51, ("level", "last"))):
        assert simple.names(weeks, panel.frequency) == known


@pytest.mark.real_data
@pytest.mark.skipif(not os.environ.get("RETAIL_REAL_DATA"), reason="RETAIL_REAL_DATA is not set: no M5")
def test_two_stores_of_m5_are_forecast_better_than_by_either_baseline(tmp_path: Path) -> None:
    folder = Path(os.environ["RETAIL_REAL_DATA"]) / "m5"
    sales = pd.read_parquet(folder / "sales_train.parquet", filters=[("store_id", "in", ["CA_3", "TX_2"])])
    sales = sales[sales["item_id"].str.startswith("FOODS_3_0")]
    sales.to_parquet(tmp_path / "sales.parquet")
    ids = pd.read_parquet(folder / "series_ids.parquet")
    ids[ids["store_id"].isin(["CA_3", "TX_2"]) & ids["item_id"].str.startswith("FOODS_3_0")].to_parquet(
        tmp_path / "ids.parquet"
    )
    files = Files(
        tmp_path / "sales.parquet", tmp_path / "f.parquet", tmp_path / "ids.parquet", folder / "calendar.parquet"
    )
    columns = Columns(("item_id", "store_id"), "date", "quantity_sold")
    settings = replace(FAST, rows=150_000, rounds=80)
    found = backtest(files, columns, Rules(), "2016-02-28", 28, settings, silent)
    assert found.wrmsse < min(found.wrmsse_seasonal_naive, found.wrmsse_recent_mean)
    assert found.levels[-1].pinball < 0.9 * found.levels[-1].pinball_baseline
    assert 0.85 < found.levels[-1].coverage < 0.95


@pytest.mark.parametrize("loss", ["squared", "absolute"])
def test_the_shortest_history_that_is_taken_gives_finite_forecasts(
    loss: trees.Loss, chain: Chain, tmp_path: Path
) -> None:
    sales = pd.read_parquet(chain.sales)
    sales = sales[(sales["store"] == "A1") & (sales["date"].astype(str) >= "2023-03-01")]
    sales.assign(units=sales["units"] - (sales["units"] == 1) * 2).to_parquet(tmp_path / "few.parquet")
    files = Files(tmp_path / "few.parquet", tmp_path / "out.parquet")
    rules, settings = Rules(returns="keep"), replace(FAST, rounds=5, loss=loss)
    found = backtest(files, COLUMNS, rules, "2023-03-29", HORIZON, settings, silent)
    made = pd.read_parquet(tmp_path / "out.parquet").drop(columns=["item", "store", "date", "rung"])
    assert np.isfinite(made.to_numpy()).all()
    assert (made["mean"] >= 0).all()
    assert found.periods == 29
