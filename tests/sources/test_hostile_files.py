"""Hundreds of hostile landing files at once beside good ones: none stops a source, none takes a good row with it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.faults import landing_trial
from benchmarks.faults.landing import SOURCES, hostile_files
from benchmarks.faults.landing_trial import Outcome
from benchmarks.faults.rows import sales
from retail_assets.commands.status import source_status
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake

SIZE = 128 << 10  # of the large ones; benchmarks/landing_memory.py has them in their real size


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield (folder := tmp_path_factory.mktemp("hostile"))
    for there, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if not Path(there, name).is_symlink():
                Path(there, name).chmod(0o700)


@pytest.fixture(scope="module")
def kinds(root: Path) -> dict[str, str]:
    """What was delivered, kind by name."""
    return landing_trial.deliver(root / "landing", hostile_files(seed=20, size=SIZE))


@pytest.fixture(scope="module")
def loaded(root: Path, kinds: dict[str, str]) -> list[Outcome]:
    """What became of each of them in the first load."""
    return landing_trial.outcomes(root, landing_trial.load(root), kinds)


def test_there_are_many_kinds_and_the_same_seed_gives_the_same() -> None:
    files = list(hostile_files(seed=1, size=SIZE))
    assert len({kind for kind, _, _ in files}) == len({name for _, name, _ in files}) == len(files) > 300
    again = list(hostile_files(seed=1, size=SIZE))
    assert [(k, n) for k, n, _ in files] == [(k, n) for k, n, _ in again]
    contents = [(c, d) for (_, _, c), (_, _, d) in zip(files, again, strict=True) if isinstance(c, bytes)]
    assert all(one == other for one, other in contents)
    assert contents != [c for _, _, c in hostile_files(seed=2, size=SIZE)]


def test_every_good_row_is_there_and_every_other_one_is_accounted_for(root: Path, loaded: list[Outcome]) -> None:
    assert list(landing_trial.broken(root, loaded)) == []


def test_what_is_bad_is_refused_and_what_is_only_odd_is_not(loaded: list[Outcome]) -> None:
    assert list(landing_trial.unexpected(loaded)) == []


def test_the_status_tells_of_all_that_was_refused(root: Path, kinds: dict[str, str], loaded: list[Outcome]) -> None:
    home = Home.at(root)
    told = source_status(Lake.at(home.lake), home.landing)
    said = {name for source in told for name in source.refused_files | source.passed_over}
    whole = {one.kind for one in loaded if one.reason.startswith(("unreadable: ", "ambiguous_columns"))}
    passed = {
        one.kind for one in loaded if one.passed_over and not one.kind.startswith(("moving: ", "place: folder of"))
    }
    assert whole | passed <= {kinds[name] for name in said if name in kinds}
    assert all(source.reasons for source in told if source.source in SOURCES.values())


def test_a_second_load_finds_nothing_new_and_a_file_that_changed_is_tried_again(
    root: Path, kinds: dict[str, str], loaded: list[Outcome]
) -> None:
    again = next(name for name, kind in kinds.items() if kind == "csv: gzip")
    (root / "landing" / again).write_text(sales("again"))
    changed = landing_trial.load(root)
    sales_report = next(source for source in changed.sources if source.source == "pos_lines")
    moved = sum(kind.startswith("moving: ") for kind in kinds.values())
    assert 1 <= sales_report.files <= 1 + moved
    now = {one.kind: one for one in landing_trial.outcomes(root, changed, kinds)}["csv: gzip"]
    assert (now.bronze, now.quarantined) == (2, 1)
    others = [source for source in changed.sources if source.source in SOURCES.values() and source != sales_report]
    assert [source.files for source in others] == [0, 0, 0]


def test_an_import_by_a_mapping_holds_as_well(tmp_path: Path) -> None:
    files = [file for n, file in enumerate(hostile_files(seed=21, size=SIZE)) if n % 3 == 0 and "moving" not in file[0]]
    kinds = landing_trial.deliver(tmp_path / "files", files)
    report = landing_trial.bring(tmp_path / "home", tmp_path / "files")
    found = landing_trial.outcomes(tmp_path / "home", report, kinds)
    assert [*landing_trial.broken(tmp_path / "home", found), *landing_trial.unexpected(found)] == []
