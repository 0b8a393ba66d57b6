"""One simulated chain per session, its forecast, and its backtest."""

from pathlib import Path

import pytest

from retail_assets.forecasting.panel.backtest import Files, ForecastBacktest, backtest
from retail_assets.forecasting.panel.panel import Rules
from tests.forecasting.panel.simulated import COLUMNS, FAST, HORIZON, Chain, write_chain


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Files of the simulated chain."""
    return write_chain(tmp_path_factory.mktemp("chain"))


@pytest.fixture(scope="session")
def scored(chain: Chain) -> tuple[ForecastBacktest, Path]:
    """The backtest of the chain and its forecasts."""
    out = chain.sales.with_name("forecasts.parquet")
    files = Files(chain.sales, out, chain.attributes, chain.calendar)
    return backtest(files, COLUMNS, Rules(), chain.until, HORIZON, FAST, lambda step: None), out
