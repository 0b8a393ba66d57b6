"""Prophet works for a limited time: the largest series first, every series in its turn, and nothing twice."""

from collections.abc import Iterator
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from retail_assets.forecasting.explain import decomposition_assets as assets
from retail_assets.forecasting.explain.decomposition import FitTask, Fitted, decompose
from retail_assets.forecasting.explain.decomposition_rows import TABLE
from retail_assets.forecasting.explain.decomposition_run import Decomposed, decompose_demand, reached, recent_units
from retail_assets.forecasting.explain.demand_panel import SERIES_KEYS, read_series
from retail_assets.forecasting.views_config import VIEWS_FILE, DecompositionConfig, ViewsConfig
from retail_assets.resources.fanout import Fanout
from retail_assets.resources.lake import Lake
from tests.forecasting.small_gold import NEWEST

NO_TIME = 1e-9  # a run still fits one series: a budget that is too small is slow, not stuck
ALL = 15


@pytest.fixture
def quick() -> DecompositionConfig:
    """The shipped settings where every series is told by its mean, which takes no time."""
    return ViewsConfig.load().decomposition.model_copy(update={"shortest_history": 1000, "budget_seconds": NO_TIME})


def patient(config: DecompositionConfig) -> DecompositionConfig:
    """The same with all the time it needs."""
    return config.model_copy(update={"budget_seconds": 1e9})


def use(config: DecompositionConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes it the configuration that the asset reads."""
    views = ViewsConfig.load(VIEWS_FILE).model_copy(update={"decomposition": config})
    monkeypatch.setattr(assets, "ViewsConfig", Stated(views))


class Stated:
    """Stands for the file of the configuration."""

    def __init__(self, views: ViewsConfig) -> None:
        self._views = views

    def load(self) -> ViewsConfig:
        return self._views


def keys(rows: pa.Table) -> list[tuple[str, ...]]:
    found = rows.select(list(SERIES_KEYS)).to_pylist()
    return list(dict.fromkeys(tuple(row[name] for name in SERIES_KEYS) for row in found))


def told(lake: Lake) -> dict[str, object]:
    return dict(assets.demand_components(lake=lake).metadata or {})


def test_runs_go_on_with_the_largest_until_all_is_there(
    own_lake: Lake, quick: DecompositionConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest = [one.key for one in sorted(read_series(own_lake, NEWEST, 28), key=recent_units, reverse=True)]
    use(quick, monkeypatch)
    for number in (1, 2, 3):
        said = told(own_lake)
        assert said["status"] == f"{number} of {ALL} series are decomposed; the next run goes on, the largest first"
        assert said["series_fitted"] == 1 and reached(own_lake) == (number, ALL)
        assert set(keys(own_lake.open("gold", TABLE).to_pyarrow_table())) == set(largest[:number])
    use(patient(quick), monkeypatch)
    said = told(own_lake)
    assert (said["status"], said["series_fitted"], reached(own_lake)) == ("decomposed", ALL - 3, (ALL, ALL))
    assert told(own_lake)["status"] == "unchanged"
    use(quick, monkeypatch)
    assert told(own_lake)["status"] == "unchanged"  # a budget changes no part of a series


def test_short_runs_give_what_a_long_one_gives(own_lake: Lake, quick: DecompositionConfig) -> None:
    at_once = decompose_demand(own_lake, NEWEST, patient(quick), Fanout(), False)
    assert at_once.is_complete and at_once.fitted == ALL
    for budget in (quick, quick, patient(quick)):
        made = decompose_demand(own_lake, NEWEST, budget, Fanout(), False)
        own_lake.overwrite("gold", TABLE, made.rows)
    assert made.is_complete and made.fitted == ALL - 2 and made.rows.equals(at_once.rows)


def test_after_a_new_day_what_was_never_told_comes_before_what_is_old(
    own_lake: Lake, quick: DecompositionConfig
) -> None:
    before = NEWEST - timedelta(days=1)
    largest = [one.key for one in sorted(read_series(own_lake, before, 28), key=recent_units, reverse=True)]
    old = decompose_demand(own_lake, before, patient(quick), Fanout(), False).rows
    own_lake.overwrite("gold", TABLE, old.filter(pc.invert(of_series(old, largest[-1]))))
    made = decompose_demand(own_lake, NEWEST, quick, Fanout(), False)
    assert (made.fresh, made.fitted, set(keys(made.rows))) == (1, 1, set(largest))
    assert newest_day(made.rows, largest[-1]) == NEWEST + timedelta(days=28)
    assert made.rows.filter(of_series(made.rows, largest[0])).equals(old.filter(of_series(old, largest[0])))
    own_lake.overwrite("gold", TABLE, made.rows)
    again = decompose_demand(own_lake, NEWEST, quick, Fanout(), False)
    assert again.fresh == 2 and newest_day(again.rows, largest[0]) == NEWEST + timedelta(days=28)


def of_series(rows: pa.Table, key: tuple[str, ...]) -> pa.ChunkedArray:
    """Which rows are of a series."""
    flags = [pc.equal(rows[name], value) for name, value in zip(SERIES_KEYS, key, strict=True)]
    return pc.and_(pc.and_(flags[0], flags[1]), flags[2])


def newest_day(rows: pa.Table, key: tuple[str, ...]) -> date:
    """The last day that is told of a series."""
    found: date = pc.max(rows.filter(of_series(rows, key))["day"]).as_py()
    return found


class Killed(BaseException):
    """Stands for a process that ends in the middle of its work."""


def test_what_was_fitted_before_a_run_was_killed_is_not_fitted_again(
    own_lake: Lake, quick: DecompositionConfig
) -> None:
    careful = patient(quick).model_copy(update={"keep_every_seconds": NO_TIME})

    def dies_at_the_fifth(done: int, of: int) -> None:
        if done == 5:
            raise Killed

    def keep(made: Decomposed) -> None:
        own_lake.overwrite("gold", TABLE, made.rows, metadata={"fresh": str(made.fresh), "series": str(made.series)})

    with pytest.raises(Killed):
        decompose_demand(own_lake, NEWEST, careful, Fanout(), False, dies_at_the_fifth, keep)
    assert reached(own_lake) == (4, ALL)
    assert decompose_demand(own_lake, NEWEST, careful, Fanout(), False).fitted == ALL - 4


def test_only_the_largest_are_proven(own_lake: Lake, quick: DecompositionConfig) -> None:
    few = patient(quick).model_copy(update={"proven_series": 2, "shortest_history": 100})
    made = decompose_demand(own_lake, NEWEST, few, Fanout(), True)
    largest = [one.key for one in sorted(read_series(own_lake, NEWEST, 28), key=recent_units, reverse=True)]
    assert made.proof is not None and set(keys(made.proof)) == set(largest[:2]) and made.fitted == ALL


def test_who_stops_asking_stops_the_work(own_lake: Lake, quick: DecompositionConfig) -> None:
    tasks = [FitTask(one, quick) for one in read_series(own_lake, NEWEST, 28)]
    for place in (Fanout(), Fanout(processes=2)):
        results: Iterator[Fitted] = place.each(decompose, tasks)
        assert next(results).key == tasks[0].series.key
        results.close()  # type: ignore[attr-defined]
        assert next(results, None) is None
