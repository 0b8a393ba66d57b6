"""A model that reads differently than it was written decides other prices than were proven."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retail_assets.pricing.response.model import (
    BASE_FILE,
    RESPONSE_FILE,
    SOURCES,
    STORES_FILE,
    BaseDemand,
    Local,
    PriceModel,
    PriceModelError,
)


@pytest.fixture
def folder(model: PriceModel, tmp_path: Path) -> Path:
    target = tmp_path / "abc123"
    target.mkdir()
    for name, content in model.files().items():
        (target / name).write_bytes(content)
    return target


def test_a_model_survives_its_files(model: PriceModel, folder: Path) -> None:
    loaded = PriceModel.load(folder)
    assert loaded.version == "abc123"
    assert np.array_equal(loaded.table, model.table)
    assert (loaded.skus, loaded.categories, loaded.until) == (model.skus, model.categories, model.until)
    assert loaded.base.equals(model.base)
    assert loaded.files() == model.files()


def test_what_is_not_known_of_a_sku_comes_from_its_category_then_the_chain(model: PriceModel) -> None:
    response = model.response(
        ["US-001"] * 4, ["SKU-00003", "SKU-NEW", "SKU-NEW", "SKU-NEW"], ["other", "known", "other", None]
    )
    assert [SOURCES[s] for s in response.source] == ["sku", "category", "chain", "chain"]
    assert response.elasticity.tolist() == [-0.6, -1.8, -2.0, -2.0]


@pytest.fixture
def by_store(model: PriceModel) -> PriceModel:
    """The model with two store-SKUs that answer otherwise."""
    table = np.array([[-1.1, 0.2, -1.5, -0.7, -1.8, 0.6], [-3.0, 0.3, -3.6, -2.4, -1.8, 0.6]])
    store, sku = np.array([0, 1]), np.array([3, 0])
    return replace(model, local=Local(("US-001", "US-002"), store, sku, table))


def test_what_is_known_of_a_store_comes_before_what_all_stores_say(by_store: PriceModel) -> None:
    stores = ["US-001", "US-002", "US-002", "US-009", "US-001"]
    skus = ["SKU-00003", "SKU-00003", "SKU-00000", "SKU-00003", "SKU-NEW"]
    response = by_store.response(stores, skus, ["known"] * 5)
    assert response.elasticity.tolist() == [-1.1, -0.6, -3.0, -0.6, -1.8]
    assert [SOURCES[s] for s in response.source] == ["store", "sku", "store", "sku", "category"]


def test_differences_by_store_survive_the_files(by_store: PriceModel, tmp_path: Path) -> None:
    for name, content in by_store.files().items():
        (tmp_path / name).write_bytes(content)
    loaded = PriceModel.load(tmp_path)
    assert loaded.files() == by_store.files()
    assert loaded.response(["US-002"], ["SKU-00000"], [None]).elasticity.tolist() == [-3.0]
    (tmp_path / STORES_FILE).unlink()
    with pytest.raises(PriceModelError, match=STORES_FILE):
        PriceModel.load(tmp_path)


def test_a_model_from_before_stores_were_told_apart_is_still_read(model: PriceModel, folder: Path) -> None:
    document = json.loads((folder / RESPONSE_FILE).read_text())
    del document["stores"]
    (folder / RESPONSE_FILE).write_text(json.dumps(document | {"format": 1}))
    assert np.array_equal(PriceModel.load(folder).table, model.table)


def test_recent_demand_is_found_by_store_and_sku(model: PriceModel) -> None:
    assert model.base_demand("US-001", "SKU-00000") == BaseDemand(3.5, 4.25)
    assert model.base_demand("US-002", "SKU-00000") is None


def test_files_of_another_format_are_refused(folder: Path) -> None:
    document = json.loads((folder / RESPONSE_FILE).read_text())
    (folder / RESPONSE_FILE).write_text(json.dumps(document | {"format": 9}))
    with pytest.raises(PriceModelError, match="format 9"):
        PriceModel.load(folder)


@pytest.mark.parametrize("name", [RESPONSE_FILE, BASE_FILE])
def test_a_missing_or_broken_file_is_a_named_error(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(PriceModelError, match=name):
        PriceModel.load(folder)


def test_unsound_rows_are_found(model: PriceModel) -> None:
    assert model.unsound() == (0, [])
    table = model.table.copy()
    table[2, 3], table[5, 0], table[-1, 2] = 0.1, np.nan, -0.1  # hi above zero, no elasticity, lo above it (the chain)
    assert replace(model, table=table).unsound() == (3, ["SKU-00002", "SKU-00005"])


def test_unsound_rows_of_stores_are_found(by_store: PriceModel) -> None:
    by_store.local.table[0, 3] = 0.2
    assert by_store.unsound() == (1, ["SKU-00003"])
