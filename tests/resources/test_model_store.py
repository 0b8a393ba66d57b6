"""A model that is read is the model that was written, or nothing is read at all."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from retail_assets.core.manifest import Manifest, installed
from retail_assets.resources.model_store import ModelStore, ModelStoreError

FILES = {"model_mean.txt": b"tree\nversion=v4\n", "spec.json": b'{"horizon": 28}'}


def manifest(**changes: object) -> Manifest:
    values: dict[str, object] = {
        "product": "forecasting",
        "created_at": datetime(2026, 11, 8, 12, tzinfo=UTC),
        "gold": {"fct_sales_daily": 3},
        "feature_service": "demand_forecast",
        "features": ["units_mean_28"],
        "git_commit": "0ceb6b5",
        "config": {"trees": 300},
        "seed": 7,
        "metrics": {"wape": 0.31},
        "train_from": date(2025, 10, 5),
        "train_until": date(2026, 11, 8),
        "rows": 600_000,
        "libraries": {"lightgbm": "4.7.0"},
    }
    return Manifest.model_validate(values | changes)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore.at(tmp_path / "models")


def test_a_saved_model_comes_back_byte_for_byte(store: ModelStore) -> None:
    version = store.save("forecasting", FILES, manifest())
    folder = store.path("forecasting", version)
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert store.manifest("forecasting", version).metrics == {"wape": 0.31}
    assert len(version) == 12 and int(version, 16) >= 0


def test_the_same_training_twice_is_the_same_version(store: ModelStore) -> None:
    first = store.save("forecasting", FILES, manifest())
    again = store.save("forecasting", FILES, manifest(created_at=datetime(2027, 1, 1, tzinfo=UTC)))
    assert first == again and store.versions("forecasting") == [first]


@pytest.mark.parametrize("change", [{"seed": 8}, {"gold": {"fct_sales_daily": 4}}, {"metrics": {"wape": 0.32}}])
def test_another_training_is_another_version(store: ModelStore, change: dict[str, object]) -> None:
    first = store.save("forecasting", FILES, manifest())
    other = store.save("forecasting", FILES, manifest(**change, created_at=datetime(2026, 11, 9, tzinfo=UTC)))
    assert store.versions("forecasting") == [first, other]


def test_other_bytes_are_another_version(store: ModelStore) -> None:
    first = store.save("forecasting", FILES, manifest())
    assert store.save("forecasting", {**FILES, "spec.json": b'{"horizon": 27}'}, manifest()) != first


@pytest.mark.parametrize("name", sorted(FILES))
def test_one_changed_byte_is_refused_with_both_hashes(store: ModelStore, name: str) -> None:
    version = store.save("forecasting", FILES, manifest())
    file = store.path("forecasting", version) / name
    recorded = store.manifest("forecasting", version).files[name]
    file.write_bytes(b"X" + file.read_bytes()[1:])
    with pytest.raises(ModelStoreError) as caught:
        store.path("forecasting", version)
    assert name in str(caught.value) and recorded in str(caught.value)
    assert len([word for word in str(caught.value).replace(",", " ").split() if len(word) == 64]) == 2


def test_a_changed_manifest_is_refused(store: ModelStore) -> None:
    version = store.save("forecasting", FILES, manifest())
    file = store.path("forecasting", version) / "manifest.json"
    content = json.loads(file.read_text())
    content["metrics"]["wape"] = 0.01
    file.write_text(json.dumps(content))
    with pytest.raises(ModelStoreError, match="manifest.json .* was changed"):
        store.path("forecasting", version)


def test_a_missing_and_an_added_file_are_refused(store: ModelStore) -> None:
    version = store.save("forecasting", FILES, manifest())
    folder = store.path("forecasting", version)
    (folder / "custom_objects.pkl").write_bytes(b"cos\nsystem\n")
    with pytest.raises(ModelStoreError, match="custom_objects.pkl .* is not in the manifest"):
        store.path("forecasting", version)
    (folder / "custom_objects.pkl").unlink()
    (folder / "spec.json").unlink()
    with pytest.raises(ModelStoreError, match="spec.json .* is missing"):
        store.path("forecasting", version)


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "../out.txt", "manifest.json", "model.yaml", "model"])
def test_files_that_could_run_code_or_escape_are_not_stored(store: ModelStore, name: str) -> None:
    with pytest.raises(ModelStoreError, match="cannot be stored"):
        store.save("forecasting", {name: b"x"}, manifest())
    assert store.products() == []


def test_a_version_that_is_not_there_lists_those_that_are(store: ModelStore) -> None:
    version = store.save("forecasting", FILES, manifest())
    with pytest.raises(ModelStoreError, match=version):
        store.manifest("forecasting", "0" * 12)


def test_a_manifest_of_another_product_is_refused(store: ModelStore) -> None:
    with pytest.raises(ModelStoreError, match="'forecasting', not of 'pricing'"):
        store.save("pricing", FILES, manifest())


def test_what_a_killed_save_left_behind_is_replaced(store: ModelStore) -> None:
    version = manifest().sealed(FILES).version
    half = store.home / "models" / "forecasting" / version
    half.mkdir(parents=True)
    (half / "spec.json").write_bytes(b"{")
    assert store.versions("forecasting") == []
    assert store.save("forecasting", FILES, manifest()) == version
    assert (store.path("forecasting", version) / "spec.json").read_bytes() == FILES["spec.json"]


def test_a_metric_that_is_not_a_number_survives_the_round_trip(store: ModelStore) -> None:
    version = store.save("forecasting", FILES, manifest(metrics={"wape": float("nan")}))
    wape = store.manifest("forecasting", version).metrics["wape"]
    assert wape != wape


def test_two_savers_of_the_same_model_agree(store: ModelStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        versions = set(pool.map(lambda _: store.save("forecasting", FILES, manifest()), range(4)))
    assert store.versions("forecasting") == sorted(versions)
    assert not list(store.home.glob(".saving-*"))


def test_bentoml_lists_the_model_and_the_reader_never_imports_bentoml(store: ModelStore, tmp_path: Path) -> None:
    version = store.save("forecasting", FILES, manifest())
    environment = os.environ | {"BENTOML_HOME": str(store.home), "HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"}
    listing = (
        "import bentoml; print([str(m.tag) for m in bentoml.models.list()], bentoml.models.get('forecasting').tag)"
    )
    listed = subprocess.run(
        [sys.executable, "-c", listing], env=environment, capture_output=True, text=True, check=True
    )
    assert listed.stdout.strip() == f"['forecasting:{version}'] forecasting:{version}"
    reading = (
        "import sys; from retail_assets.resources.model_store import ModelStore;"
        f"ModelStore.at({str(store.home)!r}).path('forecasting', {version!r}); assert 'bentoml' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", reading], check=True)


def test_installed_names_what_is_absent() -> None:
    assert installed("no-such-package")["no-such-package"] == "absent"
    assert installed("lightgbm")["lightgbm"][0].isdigit()


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b'{"product": "fore', b"[]", b"\xff\xfe", b"[" * 100_000])
def test_a_manifest_that_cannot_be_read_is_named_and_passed_over(
    store: ModelStore, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    torn = store.save("forecasting", FILES, manifest(seed=8))
    whole = store.save("forecasting", FILES, manifest())
    (store.home / "models" / "forecasting" / torn / "manifest.json").write_bytes(content)
    assert store.versions("forecasting") == [whole] and torn in caplog.text
    (reason,) = store.unreadable("forecasting").values()
    assert torn in reason and len(reason) < 400
    with pytest.raises(ModelStoreError, match=torn):
        store.path("forecasting", torn)


def test_a_pipe_and_a_folder_are_no_files_of_a_model(store: ModelStore) -> None:
    version = store.save("forecasting", FILES, manifest())
    file = store.path("forecasting", version) / "spec.json"
    for make in (os.mkfifo, os.mkdir):
        file.unlink()
        make(file)
        with pytest.raises(ModelStoreError, match="no plain file"):
            store.path("forecasting", version)
        file.rmdir() if file.is_dir() else file.unlink()
        file.write_bytes(FILES["spec.json"])


@pytest.mark.parametrize("name", ["manifest.json", "spec.json"])
def test_training_again_replaces_a_damaged_version(store: ModelStore, name: str) -> None:
    version = store.save("forecasting", FILES, manifest())
    (store.path("forecasting", version) / name).write_bytes(b"")
    assert store.save("forecasting", FILES, manifest()) == version
    assert (store.path("forecasting", version) / "spec.json").read_bytes() == FILES["spec.json"]
    assert not list(store.home.glob(".saving-*"))


def test_what_is_saved_is_on_disk(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def note(opened: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{opened}").readlink()))
        fsync(opened)

    monkeypatch.setattr(os, "fsync", note)
    version = store.save("forecasting", FILES, manifest())
    names = {Path(path).name for path in synced}
    assert {*FILES, "manifest.json", "model.yaml", version, "forecasting"} <= names
