"""A new home can be read by its owner only, whoever makes it, and so can every file with a secret."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from retail_assets.core.private import private_folder
from retail_assets.decisions.log import DecisionLog
from retail_assets.decisions.spool import Writer
from retail_assets.resources.dagster.instance import prepare
from retail_assets.resources.environments import Home
from retail_assets.resources.home_lock import alone
from retail_assets.resources.lake import Lake
from retail_assets.serving.config import ServingConfig
from retail_assets.serving.counts import Siblings
from retail_assets.serving.gateway.keys import KeyStore
from retail_assets.stores.centre import Tokens


def mode(path: Path) -> int:
    """The rights of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """A machine on which everything that is made is open to all, unless somebody takes care."""
    before = os.umask(0)
    yield
    os.umask(before)


def _alone(home: Home) -> None:
    with alone(home):
        pass


def _keys(home: Home) -> None:
    KeyStore(home.root / "keys.json").add("a", frozenset({"price"}), ServingConfig.load_file())


MAKERS: dict[str, Callable[[Home], object]] = {
    "a command that writes": _alone,
    "Dagster's instance": prepare,
    "a key": _keys,
    "a service's spool": lambda home: Writer.claim(home.root / "spool" / "decisions" / "pricing" / "writer-000"),
    "a service's counts": lambda home: Siblings(home.root / "spool" / "counts", "pricing"),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_whoever_makes_a_home_makes_it_private(tmp_path: Path, maker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DAGSTER_HOME", "RETAIL_HOME"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    home = Home.at(tmp_path / "retailers" / "home")
    MAKERS[maker](home)
    assert (mode(home.root), mode(home.root.parent)) == (0o700, 0o700)


def test_a_folder_that_is_shared_on_purpose_stays_so(tmp_path: Path) -> None:
    shared = tmp_path / "home"
    shared.mkdir(mode=0o750)
    assert mode(private_folder(shared / "a" / "b")) == 0o700
    assert mode(shared) == 0o750


def test_files_with_secrets_are_their_owners_alone(home: Home, lake: Lake) -> None:
    _keys(home)
    Tokens(home.root / "stores").issue("store-UK-001")
    log = DecisionLog(lake, "pricing", home.root / "spool" / "decisions")
    log.start()
    log.close()
    secret = [home.root / "keys.json", *(home.root / "stores").rglob("*"), *(home.root / "spool").rglob("writer-*/*")]
    assert len([path for path in secret if path.is_file()]) > 2
    for path in secret:
        assert not path.is_file() or mode(path) == 0o600 or path.name in ("writer.json", "shipped", "keys.json.lock"), (
            path
        )
