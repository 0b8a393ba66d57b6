"""One tiny retailer and one of middle size, simulated once per test process."""

from pathlib import Path

import pytest

from retail_assets.resources.environments import Home
from retail_assets.sample.config import Scale
from retail_assets.sample.simulate import simulate

MIDDLE = Scale(
    name="middle",
    stores={"US": 4, "UK": 3, "DE": 3},
    skus=60,
    days=150,
    customers=2000,
    store_lines=160,
    web_lines=80,
    web_sessions=60,
)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The tiny retailer, seed 7."""
    root: Path = tmp_path_factory.mktemp("tiny")
    simulate(root, "tiny", seed=7)
    return Home.at(root)


@pytest.fixture(scope="session")
def middle(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A retailer with enough series to recover its elasticities, seed 3."""
    root: Path = tmp_path_factory.mktemp("middle")
    simulate(root, MIDDLE, seed=3)
    return Home.at(root)
