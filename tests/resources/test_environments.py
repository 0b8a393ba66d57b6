"""A wrong RETAIL_ENV must not fall back to local: a production run on a laptop's lake would look like success."""

from pathlib import Path

import pytest

from retail_assets.resources.environments import UnavailableEnvironment, current


@pytest.mark.parametrize("name", ["local", "test"])
def test_ready_environments_resolve_without_touching_a_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETAIL_ENV", name)
    monkeypatch.setenv("RETAIL_HOME", str(tmp_path / "new"))
    environment = current()
    assert environment.name == name
    assert environment.lake.table_uri("gold", "x") == f"{tmp_path / 'new'}/lake/gold/x"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["acceptance", "production"])
def test_planned_environments_say_that_they_are_planned(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETAIL_ENV", name)
    with pytest.raises(UnavailableEnvironment, match="planned but has no resources"):
        current()


@pytest.mark.parametrize("name", ["prod", "Local", ""])
def test_unknown_names_raise_and_list_the_known_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETAIL_ENV", name)
    with pytest.raises(UnavailableEnvironment, match="local, test, acceptance, production"):
        current()
