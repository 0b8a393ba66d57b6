"""A version that ends, holds or fills the process that loads it does so to a process of its own, once."""

import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from retail_assets.core.manifest import Manifest
from retail_assets.resources import model_proof
from retail_assets.resources.model_proof import UnfitModel, known, proven, verdict_of, why_refused
from retail_assets.resources.model_store import ModelStore, ModelStoreError


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    monkeypatch.setattr(model_proof, "probe_of", lambda _: "tests.resources.hostile_probes")
    monkeypatch.setattr(model_proof, "CPU_S", 1.0)
    monkeypatch.setattr(model_proof, "MEMORY_MB", 400.0)
    return ModelStore.at(tmp_path / "models")


def saved(store: ModelStore, text: str) -> str:
    day = date(2026, 11, 8)
    manifest = Manifest(
        product="pricing", created_at=datetime(2026, 11, 8, tzinfo=UTC), gold={}, feature_service="s", features=[],
        git_commit="c", config={}, seed=7, metrics={}, train_from=day, train_until=day, rows=1,
    )  # fmt: skip
    return store.save("pricing", {"model.json": text.encode()}, manifest)


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on a process that is started fails the test."""

    def start(*_: Any, **__: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(model_proof.subprocess, "Popen", start)


@pytest.mark.parametrize(
    ("text", "outcome", "said"),
    [
        ("abort", "crashed", "ended by signal SIGABRT"),
        ("exit", "crashed", "without an answer"),
        ("loop", "too slow", "within 1 seconds of computing"),
        ("fill", "too large", "more than 400 MB"),
        ("at once", "too large", "more memory than a version of its size may"),
        ("unforeseen", "crashed", "KeyError: 'elasticity'"),
        ("unsound", "unsound", "the version answers what no price can be"),
    ],
)
def test_a_version_that_harms_its_process_is_refused_by_name_once(
    store: ModelStore, text: str, outcome: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = saved(store, text)
    with pytest.raises(UnfitModel, match=f"pricing {version} is refused: .*") as caught:
        proven(store, "pricing", version)
    assert said in caught.value.what and caught.value.todo is not None
    verdict = known(store, "pricing", version)
    assert verdict is not None and verdict.outcome == outcome
    assert said in (why_refused(store, "pricing", version) or "")
    forbid(monkeypatch)
    with pytest.raises(UnfitModel):
        proven(store, "pricing", version)


def test_a_sound_version_is_asked_once_and_measured(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    version = saved(store, "fine")
    assert proven(store, "pricing", version) == store.path("pricing", version)
    assert why_refused(store, "pricing", version) is None
    forbid(monkeypatch)
    begun = time.process_time()
    for _ in range(100):
        proven(store, "pricing", version)
    assert time.process_time() - begun < 5, "a warm look is a matter of milliseconds"
    verdict = verdict_of(store, "pricing", version, measured_within=timedelta(hours=1))
    assert verdict.answer_ms is not None and verdict.answer_ms >= 0


def test_a_version_that_prints_without_an_end_of_lines_is_heard_out(store: ModelStore) -> None:
    assert proven(store, "pricing", saved(store, "noise")).is_dir()


def test_a_changed_byte_is_refused_before_any_process(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    version = saved(store, "fine")
    proven(store, "pricing", version)
    (store.home / "models" / "pricing" / version / "model.json").write_text("abort")
    forbid(monkeypatch)
    with pytest.raises(ModelStoreError, match="was changed"):
        proven(store, "pricing", version)


@pytest.mark.parametrize("content", [b"", b"\0" * 300, b'{"outcome": "sound"}', b"[" * 5000])
def test_a_torn_verdict_is_no_verdict(store: ModelStore, content: bytes) -> None:
    version = saved(store, "unsound")
    with pytest.raises(UnfitModel):
        proven(store, "pricing", version)
    (store.home / "proofs" / "pricing" / f"{version}.json").write_bytes(content)
    assert known(store, "pricing", version) is None
    with pytest.raises(UnfitModel):
        proven(store, "pricing", version)


def test_other_code_asks_again(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    version = saved(store, "fine")
    proven(store, "pricing", version)
    monkeypatch.setattr(model_proof, "CODE", "another")
    assert known(store, "pricing", version) is None


def test_a_refusal_is_doubted_after_a_while_and_a_proof_is_not(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = saved(store, "unsound"), saved(store, "fine")
    with pytest.raises(UnfitModel):
        proven(store, "pricing", bad)
    proven(store, "pricing", good)
    monkeypatch.setattr(model_proof, "DOUBTED_FOR", timedelta())
    assert known(store, "pricing", bad) is None
    assert known(store, "pricing", good) is not None


def test_what_fails_before_the_version_is_looked_at_refuses_no_version(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = saved(store, "fine")
    monkeypatch.setattr(model_proof, "probe_of", lambda _: "retail_assets.nothing.probe")
    with pytest.raises(ModelStoreError, match="could not start: ModuleNotFoundError") as caught:
        proven(store, "pricing", version)
    assert not isinstance(caught.value, UnfitModel)
    assert known(store, "pricing", version) is None


def test_a_proof_that_is_not_wanted_any_more_ends_at_once(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_proof, "CPU_S", 60.0)
    version, wanted = saved(store, "loop"), threading.Event()
    threading.Timer(1.0, wanted.set).start()
    begun = time.monotonic()
    with pytest.raises(ModelStoreError, match="was given up") as caught:
        proven(store, "pricing", version, wanted.is_set)
    assert time.monotonic() - begun < 30 and not isinstance(caught.value, UnfitModel)
    assert known(store, "pricing", version) is None


def test_two_processes_that_want_the_same_version_ask_it_once(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    real = model_proof._prove

    def count(*arguments: Any) -> Any:
        started.append(1)
        return real(*arguments)

    monkeypatch.setattr(model_proof, "_prove", count)
    version = saved(store, "fine")
    threads = [threading.Thread(target=proven, args=(store, "pricing", version)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(started) == 1
