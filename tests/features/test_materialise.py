"""Materialisation writes the newest row of active keys, and after that only what changed."""

from datetime import timedelta

import pytest

from retail_assets.features import materialise as module
from retail_assets.features.errors import FeatureError
from retail_assets.features.online import read_online
from retail_assets.features.registry import repository
from retail_assets.features.store import FeatureStore
from tests.feature_gold import DAY, day_end, row, write_all, write_view

VIEW = "store_product_demand"
KEYS = [{"store_id": "S1", "sku": f"P{number}"} for number in range(20)]


def rows(day_offset: int = 0, **values: float) -> list[dict]:
    day = DAY + timedelta(days=day_offset)
    return [row(key, day, units_mean_7=values.get(key["sku"], 1.0)) for key in KEYS]


def run(features: FeatureStore) -> dict[str, tuple[str, int, int]]:
    """Mode, rows and days by view."""
    return {done.view: (done.mode, done.rows, done.days) for done in features.materialise()}


def stored(features: FeatureStore, column: str = "units_mean_7") -> list:
    return [values[column] for _, values in read_online(features, repository().view(VIEW), KEYS)]


@pytest.fixture
def filled(features: FeatureStore) -> FeatureStore:
    write_all(features.lake, store_product_demand=rows())
    features.apply()
    return features


def test_the_first_time_everything_is_written_and_the_second_nothing(filled: FeatureStore) -> None:
    assert run(filled)[VIEW] == ("full", 20, 1)
    assert stored(filled) == [1.0] * 20
    assert run(filled) == {view.name: ("unchanged", 0, 0) for view in repository().views}


def test_a_table_that_was_rewritten_without_a_change_writes_nothing(filled: FeatureStore) -> None:
    run(filled)
    write_view(filled.lake, VIEW, rows())
    assert run(filled)[VIEW] == ("changed", 0, 0)
    assert run(filled)[VIEW][0] == "unchanged"


def test_a_late_correction_writes_the_keys_it_touched(filled: FeatureStore) -> None:
    run(filled)
    write_view(filled.lake, VIEW, rows(P3=3.5, P7=7.5))
    assert run(filled)[VIEW] == ("changed", 2, 1)
    assert [value for value in stored(filled) if value != 1.0] == [3.5, 7.5]


def test_a_new_day_writes_the_keys_it_has_and_keeps_the_others(filled: FeatureStore) -> None:
    run(filled)
    write_view(filled.lake, VIEW, rows() + rows(1, P0=2.0)[:5])
    assert run(filled)[VIEW] == ("changed", 5, 1)
    assert stored(filled)[:6] == [2.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    events = [event for event, _ in read_online(filled, repository().view(VIEW), KEYS)]
    assert events[4:6] == [day_end(DAY + timedelta(days=1)), day_end(DAY)]


def test_days_are_written_one_by_one_and_only_the_newest_row_of_a_key(filled: FeatureStore) -> None:
    write_view(filled.lake, VIEW, rows() + rows(1, P0=2.0)[:5] + rows(2, P1=3.0)[1:3])
    assert run(filled)[VIEW] == ("full", 20, 3)
    assert stored(filled)[:4] == [2.0, 3.0, 1.0, 1.0]


def test_a_key_that_nobody_would_be_served_is_not_written(filled: FeatureStore) -> None:
    write_view(filled.lake, VIEW, rows()[:5] + rows(30)[5:])
    assert run(filled)[VIEW] == ("full", 15, 1)
    assert stored(filled)[:6] == [None] * 5 + [1.0]


def test_an_online_store_that_was_deleted_is_filled_again(filled: FeatureStore) -> None:
    run(filled)
    (filled.folder / "online.db").unlink()
    again = FeatureStore(root=filled.root, folder=filled.folder, lake=filled.lake)
    assert again.apply()
    assert run(again)[VIEW] == ("full", 20, 1)
    assert stored(again) == [1.0] * 20


def test_other_definitions_write_everything_anew(filled: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run(filled)
    monkeypatch.setattr(type(repository()), "digest", lambda self: "another")
    assert run(filled)[VIEW] == ("full", 20, 1)


def test_a_run_that_dies_is_repeated(filled: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "_record", killed)
        with pytest.raises(KeyboardInterrupt):
            filled.materialise()
    assert run(filled)[VIEW] == ("full", 20, 1)


def test_what_was_done_is_recorded(filled: FeatureStore) -> None:
    run(filled)
    (state,) = filled.lake.query(
        f"select * from {filled.lake.scan('ops', module.STATE)} where view = '{VIEW}'"
    ).to_pylist()
    assert (state["target"], state["mode"], state["rows"], state["gold_version"]) == ("sqlite", "full", 20, 0)
    assert state["until"] == day_end(DAY)


def test_an_empty_gold_is_nothing_to_do(features: FeatureStore) -> None:
    write_all(features.lake)
    features.apply()
    assert {mode for mode, _, _ in run(features).values()} == {"unchanged"}


def test_a_missing_gold_table_is_named(features: FeatureStore) -> None:
    features.apply()
    with pytest.raises(FeatureError, match="gold has no feat_store_product_daily"):
        features.materialise()
