"""One small retailer that was built once; a test that writes takes a copy."""

import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.warehouse.build import build_warehouse
from tests.warehouse import bronze

DAYS = 20


@pytest.fixture(scope="session")
def dates() -> list[date]:
    """The trading days of the small retailer."""
    return [bronze.START + timedelta(days=n) for n in range(DAYS)]


@pytest.fixture(scope="session")
def built_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a home whose gold is up to date. Read it only."""
    home = Home.at(tmp_path_factory.mktemp("warehouse") / "home")
    lake = Lake.at(home.lake)
    bronze.fill(lake, DAYS)
    build_warehouse(lake, home)
    return home.root


@pytest.fixture
def built(built_root: Path, tmp_path: Path) -> Home:
    """A copy of that home."""
    root = tmp_path / "built"
    shutil.copytree(built_root, root)
    return Home.at(root)


@pytest.fixture
def built_lake(built: Home) -> Lake:
    """The lake of the copy."""
    return Lake.at(built.lake)
