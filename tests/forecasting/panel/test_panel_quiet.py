"""Histories with little in them end in forecasts or a refusal, never in a warning of a library or a traceback."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retail_assets.forecasting.panel import panel as reading
from retail_assets.forecasting.panel.backtest import Files, backtest
from retail_assets.forecasting.panel.panel import Columns, Rules, read_panel
from retail_assets.forecasting.panel.reading.table import PanelError
from retail_assets.forecasting.panel.trees import Loss
from retail_assets.pricing.backtest.backtest import backtest as price_backtest
from retail_assets.pricing.backtest.history import Columns as PriceColumns
from retail_assets.pricing.backtest.history import HistoryError
from tests.forecasting.panel.simulated import FAST

QUICK = replace(FAST, rounds=3)
COLUMNS = Columns(("item", "store"), "day", "units")
PRICED = PriceColumns(("item", "store"), "day", "units", "price")
UNITS = {
    "constant": lambda n: np.full(n, 5),
    "zero": lambda n: np.zeros(n, dtype=int),
    "rare": lambda n: (np.random.default_rng(6).random(n) < 0.05).astype(int),
    "random": lambda n: np.random.default_rng(6).integers(1, 9, n),
    "huge": lambda n: np.random.default_rng(6).integers(1, 9, n) * 1e12,
    "tiny": lambda n: np.random.default_rng(6).integers(1, 9, n) * 1e-9,
    "unknown": lambda n: np.where(np.arange(n) == n // 2, np.nan, 3.0),
}


def history(kind: str, periods: int, series: int = 4, *, still: bool = False) -> pd.DataFrame:
    days = pd.date_range("2023-01-01", periods=periods).astype(str)
    rows = [(f"i{s % 2}", f"s{s // 2}", day) for s in range(series) for day in days]
    table = pd.DataFrame(rows, columns=["item", "store", "day"])
    price = 5.0 if still else 5 + np.arange(len(table)) * 7 % 5 / 10
    return table.assign(units=UNITS[kind](len(table)), price=price)


@pytest.mark.parametrize("kind", UNITS)
@pytest.mark.parametrize(("periods", "series"), [(12, 4), (13, 1), (60, 1), (60, 4)])
@pytest.mark.parametrize("loss", ["squared", "absolute", "percentage"])
def test_forecasts_of_little_are_finite_or_refused(
    kind: str, periods: int, series: int, loss: Loss, tmp_path: Path
) -> None:
    history(kind, periods, series).to_parquet(tmp_path / "s.parquet")
    files = Files(tmp_path / "s.parquet", tmp_path / "o.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            backtest(files, COLUMNS, Rules(), None, 4, replace(QUICK, loss=loss), lambda step: None)
        except PanelError as error:
            refusals = ("nothing was sold", "units is not", "the forecasts of all")
            assert kind in ("zero", "rare", "unknown") and error.what.startswith(refusals)
            return
    assert np.isfinite(pd.read_csv(tmp_path / "o.csv").select_dtypes("number").to_numpy()).all()


@pytest.mark.parametrize("kind", UNITS)
@pytest.mark.parametrize(("periods", "series"), [(8, 4), (9, 1), (60, 1), (60, 4)])
@pytest.mark.parametrize("still", [False, True])
def test_elasticities_of_little_are_given_or_refused(
    kind: str, periods: int, series: int, still: bool, tmp_path: Path
) -> None:
    history(kind, periods, series, still=still).to_parquet(tmp_path / "s.parquet")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = price_backtest(tmp_path / "s.parquet", PRICED, tmp_path / "o.csv", None, -0.1, lambda step: None)
        except HistoryError as error:
            assert kind in ("zero", "rare", "unknown") and error.what.startswith(("no series has sold", "units is not"))
            return
    assert len(found.own) == series
    assert all((row.elasticity is None) == still for row in found.own)


def test_a_panel_that_no_machine_holds_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history("random", 60).to_parquet(tmp_path / "s.parquet")
    with pytest.raises(PanelError, match=r"4 series over 1,000,000,060 periods are 4,000,000,240 cells"):
        read_panel(tmp_path / "s.parquet", COLUMNS, Rules(), None, 10**9)
    monkeypatch.setattr(reading, "MOST_CELLS", 200)
    with pytest.raises(PanelError, match="4 series over 64 periods are 256 cells, more than 200"):
        read_panel(tmp_path / "s.parquet", COLUMNS, Rules(), None, 4)
