"""Work fans out over a real Dask cluster of two worker processes, and every byte is what one process makes."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.forecasting import forecast_tasks, training
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.explain.decomposition import FitTask, decompose
from retail_assets.forecasting.explain.demand_panel import read_series
from retail_assets.forecasting.views_config import ViewsConfig
from retail_assets.releases.assignment import Assignment
from retail_assets.releases.ledger import Ledger
from retail_assets.resources import environments
from retail_assets.resources.fanout import Fanout, FanoutError
from retail_assets.resources.lake import Lake
from tests.forecasting.small_gold import NEWEST, STORES, Features


@pytest.fixture(scope="module")
def cluster() -> Iterator[Fanout]:
    """Two worker processes with one thread each."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True) as made:
        yield Fanout(scheduler=made.scheduler_address)


@pytest.fixture(scope="module")
def small(config: ForecastingConfig) -> ForecastingConfig:
    few = config.lightgbm.model_copy(update={"num_iterations": 15})
    return config.model_copy(update={"lightgbm": few})


@pytest.fixture(scope="module")
def trained(gold_lake: Lake, feature_store: Features, small: ForecastingConfig) -> training.Training:
    versions = training.gold_versions(gold_lake, feature_store)
    span = training.feature_span(gold_lake)
    assert span is not None
    return training.run_training(gold_lake, feature_store, small, versions, span)


def test_a_training_on_the_cluster_gives_the_same_bytes(
    cluster: Fanout, gold_lake: Lake, feature_store: Features, small: ForecastingConfig, trained: training.Training
) -> None:
    versions, span = training.gold_versions(gold_lake, feature_store), training.feature_span(gold_lake)
    assert span is not None
    again = training.run_training_on(cluster, gold_lake, feature_store, small, versions, span)
    assert again.forecaster.files() == trained.forecaster.files() and again.metrics == trained.metrics
    pd.testing.assert_frame_equal(again.proof, trained.proof, check_exact=True)


@pytest.mark.parametrize("place", ["cluster", "two processes"])
def test_forecasts_are_the_same_byte_for_byte_wherever_they_are_made(
    place: str,
    cluster: Fanout,
    own_lake: Lake,
    feature_store: Features,
    small: ForecastingConfig,
    trained: training.Training,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forecast_tasks, "SERIES_PER_TASK", 10)
    Ledger(own_lake).promote("forecasting", "v1", by="test", reason="test")
    assigned = Assignment.now(own_lake, "forecasting")
    models = {"v1": trained.forecaster}
    here = training.forecast(own_lake, feature_store, models, assigned, NEWEST, small)
    there = cluster if place == "cluster" else Fanout(processes=2)
    made = training.forecast(own_lake, feature_store, models, assigned, NEWEST, small, there)
    assert len(here) == len(STORES) * 10 * 28
    assert made.equals(here) and _bytes(made) == _bytes(here)


@given(st.lists(st.sampled_from("abcdef"), max_size=60), st.integers(1, 30))
def test_chunks_cover_everything_once_and_split_no_store(stores: list[str], most: int) -> None:
    stores = sorted(stores)
    found = forecast_tasks.chunks(stores, most)
    covered = [at for first, length in found for at in range(first, first + length)]
    assert covered == list(range(len(stores)))
    for first, length in found:
        own = stores[first : first + length]
        assert len(own) <= most or len(set(own)) == 1
        assert first == 0 or stores[first - 1] != own[0]


def _bytes(table: object) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:  # type: ignore[attr-defined]
        writer.write_table(table.combine_chunks())  # type: ignore[attr-defined]
    return bytes(sink.getvalue().to_pybytes())


def test_prophet_is_the_same_on_the_cluster(cluster: Fanout, gold_lake: Lake) -> None:
    config = ViewsConfig.load().decomposition
    tasks = [FitTask(one, config) for one in read_series(gold_lake, NEWEST, 28)[:4]]
    heard: list[int] = []
    for a, b in zip(Fanout().map(decompose, tasks), cluster.map(decompose, tasks, heard.append), strict=True):
        assert a.key == b.key
        pd.testing.assert_frame_equal(a.parts, b.parts, check_exact=True)
    assert heard == [1, 2, 3, 4]


def _fails_on_three(number: int) -> int:
    if number == 3:
        raise ValueError(f"{number} is not liked")
    return number * number


def test_an_error_on_a_worker_is_the_error_here_and_order_is_kept(cluster: Fanout) -> None:
    for place in (Fanout(), Fanout(processes=2), cluster):
        assert place.map(_fails_on_three, [5, 1, 4]) == [25, 1, 16] and place.map(_fails_on_three, []) == []
        with pytest.raises(ValueError, match="3 is not liked"):
            place.map(_fails_on_three, [1, 3])


def test_a_scheduler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retail_assets.resources.fanout.CONNECT_S", "1s")
    with pytest.raises(FanoutError, match="no Dask scheduler answers at tcp://127.0.0.1:9"):
        Fanout(scheduler="tcp://127.0.0.1:9").map(_fails_on_three, [1])


def test_the_environment_says_where_work_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RETAIL_DASK", raising=False)
    assert environments.fanout() == Fanout() and environments.fanout(2) == Fanout(processes=2)
    monkeypatch.setenv("RETAIL_DASK", "tcp://scheduler:8786")
    assert environments.fanout(2).scheduler == "tcp://scheduler:8786" and not environments.fanout().is_local
