"""Services on a copy of the completed tiny home, shared by tests that leave the ledger alone."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from retail_assets.resources.environments import Home
from tests.services.centre import centre_of
from tests.services.harness import Served, serving
from tests.services.store_place import Place


@pytest.fixture(scope="session")
def served_home(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One copy of the tiny home that the shared services write their decisions to."""
    root = tmp_path_factory.mktemp("served") / "home"
    shutil.copytree(tiny_home, root)
    return Home.at(root)


@pytest.fixture(scope="session")
def pricing(served_home: Home) -> Iterator[Served]:
    """The pricing service, shared by tests that leave the ledger alone."""
    with serving("pricing", served_home) as served:
        yield served


@pytest.fixture(scope="session")
def forecasting(served_home: Home) -> Iterator[Served]:
    """The forecasting service, shared by tests that leave the ledger alone."""
    with serving("forecasting", served_home) as served:
        yield served


@pytest.fixture(scope="module")
def centre_home(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home of a centre, one for each file of tests."""
    root = tmp_path_factory.mktemp("centre") / "home"
    shutil.copytree(tiny_home, root)
    return Home.at(root)


@pytest.fixture(scope="module")
def place(centre_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A store of that centre, which is running."""
    with centre_of(centre_home) as url:
        yield Place(centre_home, url, tmp_path_factory.mktemp("store") / "home")


@pytest.fixture
def fresh(place: Place, tmp_path: Path) -> Place:
    """The same store with an empty disk."""
    return Place(place.centre, place.url, tmp_path / "fresh", place.token)
