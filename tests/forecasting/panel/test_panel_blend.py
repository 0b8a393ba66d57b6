"""What is averaged: the best of the windows before, never less than the seasonal naive; and what is refused."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_assets.forecasting.panel import blend, calibration, guard, seasons, simple
from retail_assets.forecasting.panel.backtest import Files, ForecastBacktest, backtest
from retail_assets.forecasting.panel.baseline import quantiles, seasonal_naive
from retail_assets.forecasting.panel.engine import forecast, setting_of, steps_of
from retail_assets.forecasting.panel.intervals import QUANTILES, Few, Intervals
from retail_assets.forecasting.panel.levels import Level, levels_of
from retail_assets.forecasting.panel.panel import Columns, Panel, Rules, read_panel
from retail_assets.forecasting.panel.reading.frequency import FREQUENCIES
from retail_assets.forecasting.panel.reading.table import PanelError
from retail_assets.forecasting.panel.trees import Loss
from tests.forecasting.panel.simulated import FAST

Floats = npt.NDArray[np.float64]
COLUMNS = Columns(("shop", "item"), "month", "units")


def silent(step: str) -> None:
    """No progress."""


def months(folder: Path, count: int = 54, seed: int = 6, wild: float = 4_000.0) -> Path:
    """Four shops with five items, a strong year, and one tiny item that once sells `wild` times as much as else."""
    rng = np.random.default_rng(seed)
    at, keys = np.arange(count), [(shop, item) for shop in "ABCD" for item in range(5)]
    season = 1 + 0.6 * np.sin(2 * np.pi * (at + rng.normal(0, 0.2)) / 12)
    level = np.exp(rng.normal(6, 1, (20, 1)))
    units = level * season * np.exp(np.cumsum(rng.normal(0, 0.02, count)) + rng.normal(0, 0.1, (20, count)))
    units[7] = rng.random(count) * 0.01
    units[7, count - 9] *= wild
    dates = pd.period_range("2019-01", periods=count, freq="M").strftime("%Y-%m")
    table = pd.DataFrame([(*key, month) for key in keys for month in dates], columns=["shop", "item", "month"])
    table.assign(units=units.ravel()).to_csv(folder / "months.csv", index=False)
    return folder / "months.csv"


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[ForecastBacktest, list[pd.DataFrame]]:
    """Half a year of months, forecast from the four years before, and its files."""
    folder = tmp_path_factory.mktemp("months")
    files = Files(months(folder), folder / "f.parquet")
    found = backtest(files, COLUMNS, Rules("M"), "2022-12", 6, FAST, silent)
    return found, [pd.read_parquet(file) for file in found.files]


def test_no_level_of_months_is_worse_than_the_seasonal_naive(
    scored: tuple[ForecastBacktest, list[pd.DataFrame]],
) -> None:
    for level in scored[0].levels:
        assert level.pinball < level.pinball_baseline
        assert level.rmsse < level.seasonal_naive
        assert level.absolute_median <= level.absolute * 1.001
    assert scored[0].absolute_median <= scored[0].absolute * 1.001


def test_no_quantile_explodes_beside_its_mean(scored: tuple[ForecastBacktest, list[pd.DataFrame]]) -> None:
    series, nodes = scored[1]
    assert (nodes["q995"] < 3 * nodes["mean"]).all()
    assert (series["q995"] < 30 * series["mean"] + 1e-6).all()
    usual = series[(series["shop"] != "B") | (series["item"] != 2)]
    assert (usual["q995"] < 3 * usual["mean"]).all()


def test_the_shares_of_what_is_averaged_are_told(scored: tuple[ForecastBacktest, list[pd.DataFrame]]) -> None:
    blended = scored[0].blend
    assert sum(blended.values()) == pytest.approx(1.0)
    assert set(blended) == {"trees", "level", "year", "growth", "seasonal"}
    # A level without its season is no forecast of months with a strong one.
    assert blended["level"] < 0.1


def level_of(series: int) -> Level:
    return levels_of(pd.DataFrame({"item": np.arange(series)}), pd.DataFrame(index=range(series)))[-1]


def windows(seed: int, parts: int, count: int = 2) -> list[blend.Tried]:
    rng = np.random.default_rng(seed)
    past = rng.gamma(2, 5, (8, 20)).astype(np.float32)
    found = []
    for _ in range(count):
        truth = rng.gamma(2, 5, (8, 4)).astype(np.float32)
        truth[rng.random(truth.shape) < 0.1] = np.nan
        found.append(blend.Tried(past, truth, [rng.gamma(2, 5, (8, 4)) for _ in range(parts)]))
    return found


@given(seed=st.integers(0, 500), parts=st.integers(1, 5), loss=st.sampled_from(["squared", "absolute", "percentage"]))
@settings(max_examples=30, deadline=None)
def test_weights_sum_to_one_and_the_blend_is_no_worse_than_its_parts(seed: int, parts: int, loss: Loss) -> None:
    tried, bottom = windows(seed, parts), level_of(8)
    weight = blend.weights(tried, bottom, loss)
    assert weight.sum() == pytest.approx(1.0)
    assert (weight >= 0).all()
    grid = np.vstack([weight, np.eye(parts), np.full(parts, 1 / parts)])
    errors = np.mean([blend.errors_of(window, [bottom], grid, loss) for window in tried], axis=0)
    assert errors[0] <= errors[1:].max() + 1e-9


@given(seed=st.integers(0, 500), place=st.integers(0, 2))
@settings(max_examples=20, deadline=None)
def test_a_part_that_is_right_gets_nearly_everything(seed: int, place: int) -> None:
    tried = windows(seed, 3)
    for window in tried:
        window.parts[place][:] = np.nan_to_num(window.truth) + 1e-3
    assert blend.weights(tried, level_of(8), "squared")[place] > 0.95


def test_parts_that_cannot_be_told_apart_count_alike() -> None:
    tried = windows(3, 1)[0]
    same = [blend.Tried(tried.past, tried.truth, [tried.parts[0]] * 3)]
    assert np.allclose(blend.weights(same, level_of(8), "squared"), 1 / 3)


@given(seed=st.integers(0, 500), share=st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_forecasts_are_drawn_to_the_naive_until_they_lose_to_it_no_more(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    keys = pd.DataFrame({"item": np.arange(40)})
    levels = levels_of(keys, pd.DataFrame({"group": np.repeat(["a", "b"], 20)}))
    season, tried = levels[1], []
    for _ in range(2):
        truth = rng.gamma(2, 5, (40, 4))
        naive = truth * np.exp(rng.normal(0, 0.3, truth.shape))
        ours = truth * np.exp(rng.normal(0.5 * share, 0.3, truth.shape))
        tried.append(blend.Tried(rng.gamma(2, 5, (40, 20)).astype(np.float32), truth.astype(np.float32), [ours, naive]))
    shares = guard.shares_of(tried, levels, season, "squared")
    for part in (levels[-1:], levels[:-1]):
        made = [guard.guarded(*window.parts, shares, season) for window in tried]
        errors = [error_of(tried, means, part) for means in (made, [window.parts[1] for window in tried])]
        assert errors[0] <= errors[1] * (1 + 1e-6)


def error_of(windows: list[blend.Tried], means: list[Floats], levels: list[Level]) -> float:
    """Mean error of forecasts over the windows and levels."""
    alone = [blend.Tried(w.past, w.truth, [mean]) for w, mean in zip(windows, means, strict=True)]
    return float(np.mean([blend.errors_of(window, levels, np.ones((1, 1)), "squared") for window in alone]))


def test_a_naive_that_is_perfect_is_what_is_forecast(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    year = rng.gamma(2.0, 100.0, (6, 12))
    table = pd.DataFrame(
        {
            "item": np.repeat(np.arange(6), 48),
            "month": np.tile(pd.period_range("2019-01", periods=48, freq="M").strftime("%Y-%m"), 6),
            "units": np.tile(year, 4).ravel(),
        }
    )
    table.to_csv(tmp_path / "m.csv", index=False)
    panel = read_panel(tmp_path / "m.csv", Columns(("item",), "month", "units"), Rules("M"), "2022-06", 6)
    made = forecast(panel, FAST, silent)
    assert np.allclose(made.mean, panel.actual, rtol=0.02)
    assert np.allclose(seasonal_naive(panel), panel.actual)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_where_the_sums_are_the_naives_its_quantiles_are_too(tmp_path: Path, share: float) -> None:
    panel = read_panel(months(tmp_path, 20), COLUMNS, Rules("M"), "2020-06", 2)
    setting = setting_of(panel)
    total, lowest = setting.levels[0], setting.levels[-1]
    few = Few(np.array([0.1]), np.linspace(-2, 2, len(QUANTILES)))
    learnt: dict[str, Intervals] = {total.name: few, lowest.name: few}
    calibration.with_naive(panel, [total, lowest], total, learnt, share)
    assert learnt[lowest.name] is few
    naive = total.sums(seasonal_naive(panel))
    own, steps = few.quantiles(naive), quantiles(total.sums(panel.target[:, : panel.until]), naive, 12)
    assert np.allclose(learnt[total.name].quantiles(naive), (1 - share) * own + share * steps)


def test_the_index_of_years_that_agree_is_found_and_of_years_that_do_not_is_one() -> None:
    rng = np.random.default_rng(1)
    season = 1 + 0.5 * np.sin(2 * np.pi * np.arange(12) / 12)
    level = np.exp(np.linspace(0, 0.5, 36)) * 100
    index, reliability = seasons.of_nodes(np.tile(season, 3)[None, :] * level, 12)
    assert reliability[0] > 0.99
    assert np.allclose(index[0], season / season.mean(), rtol=0.05)
    chance, unreliable = seasons.of_nodes(100 * np.exp(rng.normal(0, 0.3, (200, 36))), 12)
    assert unreliable.mean() < 0.3
    assert np.abs(np.log(chance)).mean() < 0.05


@given(periods=st.integers(24, 60))
@settings(max_examples=20, deadline=None)
def test_the_first_column_of_an_index_is_the_first_period(periods: int) -> None:
    season = np.array([2.0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.5])
    index, _ = seasons.of_nodes(season[np.arange(periods) % 12][None, :], 12)
    assert index[0].argmax() == 0
    assert index[0].argmin() == 11


@given(alpha=st.sampled_from(simple.ALPHAS), seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_a_constant_is_smoothed_to_itself_and_unknown_periods_change_nothing(alpha: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sales = np.full((3, 40), 7.0)
    sales[rng.random(sales.shape) < 0.3] = np.nan
    assert np.allclose(simple.level(sales, 2), 7.0)
    assert simple.names(13, FREQUENCIES["4W"]) == ("level", "year")


def constant(folder: Path, value: float, days: int = 60) -> Files:
    dates = pd.date_range("2023-01-01", periods=days).strftime("%Y-%m-%d")
    rows = [(shop, item, day, value) for shop in "AB" for item in "xy" for day in dates]
    pd.DataFrame(rows, columns=["shop", "item", "month", "units"]).to_csv(folder / "c.csv", index=False)
    return Files(folder / "c.csv", folder / "f.csv")


def test_sales_that_never_change_are_forecast_without_a_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = backtest(constant(tmp_path, 5.0), COLUMNS, Rules(), None, 7, FAST, silent)
    made = pd.read_csv(tmp_path / "f.csv")
    assert np.allclose(made[["mean", "q05", "q95"]], 5.0)
    assert any("no series ever changes" in note for note in found.notes)
    assert "NaN" not in found.model_dump_json()


def test_forecasts_of_nothing_are_refused(tmp_path: Path) -> None:
    files = constant(tmp_path, 5.0, 120)
    table = pd.read_csv(files.sales)
    table.loc[table["month"] > "2023-03-21", "units"] = 0
    table.to_csv(files.sales, index=False)
    with pytest.raises(PanelError, match="the forecasts of all 4 series are zero: the last 40 periods sold nothing"):
        backtest(files, COLUMNS, Rules(), None, 7, FAST, silent)


def test_a_forecast_that_is_no_number_names_its_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = read_panel(months(tmp_path), COLUMNS, Rules("M"), "2022-12", 6)

    def broken(*asked: object) -> list[Floats]:
        found = real(*asked)  # type: ignore[arg-type]
        found[0][3] = np.nan
        return found

    real = simple.forecasts
    monkeypatch.setattr(simple, "forecasts", broken)
    with pytest.raises(PanelError, match="the forecast of shop A, item 3 is no number"):
        forecast(panel, FAST, silent)


def test_the_progress_counts_what_is_done(tmp_path: Path) -> None:
    panel = read_panel(months(tmp_path), COLUMNS, Rules("M"), "2022-12", 6)
    for changed in (panel, panel.as_of(16)):
        steps = list[str]()
        forecast(changed, replace(FAST, members=2), steps.append)
        assert len(steps) == steps_of(changed, replace(FAST, members=2))


@pytest.mark.parametrize("loss", ["squared", "absolute"])
def test_the_median_is_at_least_as_near_as_the_mean(loss: Loss, tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    weeks, series = 40, 400
    level = np.exp(rng.normal(0.5, 1, (series, 1)))
    units = rng.poisson(level * rng.gamma(0.7, 1 / 0.7, (series, weeks)))
    table = pd.DataFrame({"item": np.repeat(np.arange(series), weeks), "week": np.tile(np.arange(weeks), series)})
    table.assign(units=units.ravel()).to_parquet(tmp_path / "s.parquet")
    files = Files(tmp_path / "s.parquet", tmp_path / "f.parquet")
    found = backtest(files, Columns(("item",), "week", "units"), Rules("W"), "35", 4, replace(FAST, loss=loss), silent)
    bottom = found.levels[-1]
    if loss == "squared":
        assert bottom.absolute_median < 0.95 * bottom.absolute
        assert bottom.rmsse < bottom.rmsse_median
    assert bottom.absolute_median <= 1.005 * bottom.absolute
    assert bottom.pinball < 0.9 * bottom.pinball_baseline


def test_whole_units_have_whole_quantiles(tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    table = pd.DataFrame(
        [(i, w, rng.poisson(2)) for i in range(30) for w in range(30)], columns=["item", "week", "units"]
    )
    for factor, whole in ((1, True), (1.5, False)):
        table.assign(units=table["units"] * factor).to_parquet(tmp_path / "s.parquet")
        files = Files(tmp_path / "s.parquet", tmp_path / "f.parquet")
        backtest(files, Columns(("item",), "week", "units"), Rules("W"), None, 3, FAST, silent)
        made = pd.read_parquet(tmp_path / "f.parquet")[["q05", "q50", "q95", "lo90", "hi90"]].to_numpy()
        assert bool((made == np.rint(made)).all()) is whole


def test_a_setting_without_days_has_no_regression(tmp_path: Path) -> None:
    panel: Panel = read_panel(months(tmp_path), COLUMNS, Rules("M"), "2022-12", 6)
    assert setting_of(panel).upper is None
