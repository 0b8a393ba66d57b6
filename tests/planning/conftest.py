"""A lake with forecasts to plan with."""

from pathlib import Path

import pytest

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from tests.planning.small_plan import write_plan


@pytest.fixture(scope="session")
def plan_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Read it only."""
    home = Home.at(tmp_path_factory.mktemp("plan"))
    write_plan(Lake.at(home.lake))
    return home


@pytest.fixture(scope="session")
def plan_lake(plan_home: Home) -> Lake:
    """The lake of `plan_home`: read it only."""
    return Lake.at(plan_home.lake)


@pytest.fixture
def own_plan(tmp_path: Path) -> Lake:
    """A lake a test may write to."""
    return write_plan(Lake.at(tmp_path / "lake"))
