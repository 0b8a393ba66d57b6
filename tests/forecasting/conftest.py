"""Fixtures of a small retailer's gold and of a configuration that trains on it in a second."""

from pathlib import Path

import pandas as pd
import pytest

from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.resources.lake import Lake
from tests.forecasting.small_gold import Features, demand, features, write_gold


@pytest.fixture(scope="session")
def sales() -> pd.DataFrame:
    return demand()


@pytest.fixture(scope="session")
def feature_store(sales: pd.DataFrame) -> Features:
    return Features(features(sales))


@pytest.fixture(scope="session")
def gold_lake(tmp_path_factory: pytest.TempPathFactory, sales: pd.DataFrame, feature_store: Features) -> Lake:
    """Read it only."""
    return write_gold(Lake.at(tmp_path_factory.mktemp("gold") / "lake"), sales, feature_store.frame)


@pytest.fixture
def own_lake(tmp_path: Path, sales: pd.DataFrame, feature_store: Features) -> Lake:
    """A lake a test may write to."""
    return write_gold(Lake.at(tmp_path / "lake"), sales, feature_store.frame)


@pytest.fixture(scope="session")
def config() -> ForecastingConfig:
    """The shipped configuration with fewer rows and trees."""
    shipped = ForecastingConfig.load()
    small = {
        "threads": 1,
        "training": shipped.training.model_copy(update={"rows": 20_000}),
        "lightgbm": shipped.lightgbm.model_copy(
            update={"num_iterations": 60, "num_leaves": 15, "min_data_in_leaf": 100}
        ),
        "intervals": shipped.intervals.model_copy(update={"rows_per_band": 100}),
        "report": shipped.report.model_copy(update={"gated_rows": 100}),
    }
    return shipped.model_copy(update=small)
