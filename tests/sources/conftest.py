"""Fixtures of the sources' tests."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sources.landing import Retailer, at, new_retailer


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A very small retailer whose stores and items are loaded; copied by the tests."""
    return new_retailer(tmp_path_factory.mktemp("template")).home.root


@pytest.fixture
def another(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Retailer]:
    """Makes one more retailer."""

    def make() -> Retailer:
        root = tmp_path_factory.mktemp("retailer")
        shutil.copytree(template, root, dirs_exist_ok=True)
        return at(root)

    return make


@pytest.fixture
def retailer(another: Callable[[], Retailer]) -> Retailer:
    """A very small retailer."""
    return another()


@pytest.fixture
def real_data() -> Path:
    """Where real retailers' data lies."""
    return Path(os.environ["RETAIL_REAL_DATA"])
