"""What every test may use: a home of its own, and one completed tiny home to read or to copy."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake

os.environ.setdefault("RETAIL_ENV", "test")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
os.environ.setdefault("DO_NOT_TRACK", "1")

# Nothing may depend on the zone of the machine: every process that a test starts finds itself somewhere else, and a
# home that was made in one zone is refreshed and served in another.
ZONES = {"gw0": "America/New_York", "gw1": "Asia/Kolkata"}
MACHINE = {"TZ": ZONES.get(os.environ.get("PYTEST_XDIST_WORKER", ""), "Asia/Kolkata")}

# A busy machine is no failure, and every machine tries the same examples.
settings.register_profile("retail", deadline=None, derandomize=True)
settings.load_profile("retail")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One file builds the tiny home while the others run those that need none; long files go before short ones.

    Each process waits for a home that another is building, and a long file at the end would be waited for.
    """
    by_file: dict[Path, list[pytest.Item]] = {}
    for item in items:
        by_file.setdefault(item.path, []).append(item)
    needs_home = {
        file: any("tiny_home" in getattr(one, "fixturenames", ()) for one in by_file[file]) for file in by_file
    }
    is_long = {file: any(one.get_closest_marker("slow") for one in by_file[file]) for file in by_file}
    files = sorted(by_file, key=lambda file: (needs_home[file], not is_long[file]))
    builder = next((file for file in files if needs_home[file]), files[0] if files else None)
    files.sort(key=lambda file: file != builder)
    items[:] = [item for file in files for item in by_file[file]]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    return Home.at(tmp_path / "home")


@pytest.fixture
def lake(home: Home) -> Lake:
    """The empty lake of `home`."""
    return Lake.at(home.lake)


def run_retail(
    home_root: Path, *arguments: str, check: bool = True, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Runs the real `retail` command on a home and returns what it printed."""
    completed = subprocess.run(
        [sys.executable, "-m", "retail_assets.cli", *arguments],
        env=os.environ
        | MACHINE
        | {"RETAIL_HOME": str(home_root), "RETAIL_ENV": "test", "COLUMNS": "160"}
        | (environment or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if check and completed.returncode:
        raise AssertionError(f"retail {' '.join(arguments)} -> {completed.returncode}\n{completed.stderr[-4000:]}")
    return completed


@pytest.fixture(scope="session")
def retail() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """The real command line: `retail(home_root, "status", "--json")`."""
    return run_retail


@pytest.fixture(scope="session")
def tiny_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a tiny home after the whole graph has run. Read it only; `tiny_copy` is for writers.

    RETAIL_TINY_HOME names one that was made before (`retail demo --scale tiny`), for those who write tests.
    """
    if made := os.environ.get("RETAIL_TINY_HOME"):
        return Path(made)
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    root = shared / "tiny_home"
    with FileLock(f"{root}.lock"):
        if not (root / ".complete").exists():
            shutil.rmtree(root, ignore_errors=True)
            run_retail(root, "demo", "--scale", "tiny", "--json")
            (root / ".complete").touch()
    return root


@pytest.fixture
def tiny_copy(tiny_home: Path, tmp_path: Path) -> Home:
    """A copy of the completed tiny home that a test may change."""
    root = tmp_path / "copy"
    shutil.copytree(tiny_home, root)
    return Home.at(root)
