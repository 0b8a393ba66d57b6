"""A pricing model with one fault in it is refused with a sentence, or it is sound: it ends nobody."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.faults import documents
from retail_assets.pricing.probe import examine
from retail_assets.pricing.response.model import (
    BASE_FILE,
    RESPONSE_FILE,
    STORES_FILE,
    Local,
    PriceModel,
    PriceModelError,
)
from tests.hostile_files import answers, lay, refuse_silence
from tests.pricing.conftest import model_with

PROBE = "retail_assets.pricing.probe"
SEED = 20261130


@pytest.fixture(scope="module")
def model() -> PriceModel:
    """A model with rows by store, so that every file is there."""
    plain = model_with({f"SKU-{number:05d}": -1.0 - number / 10 for number in range(12)})
    store, sku = np.array([0, 0, 1, 1]), np.array([0, 3, 1, 7])
    return replace(plain, local=Local(("US-001", "US-002"), store, sku, plain.table[sku]))


@pytest.mark.parametrize("file", [RESPONSE_FILE, BASE_FILE, STORES_FILE])
def test_no_fault_in_a_file_ends_or_holds_a_process(model: PriceModel, file: str, tmp_path: Path) -> None:
    names: list[str] = []
    for number, (name, content) in enumerate(documents.mutations(SEED, model.files()[file])):
        lay(tmp_path, number, model.files() | {file: content})
        names.append(name)
    found = answers(PROBE, tmp_path, names)
    refuse_silence(found)
    assert sum(said["outcome"] == "unsound" for said in found.values()) > len(names) / 3


def test_the_model_itself_is_sound(model: PriceModel, tmp_path: Path) -> None:
    lay(tmp_path, 0, model.files())
    assert answers(PROBE, tmp_path, ["the model"])["the model"]["outcome"] == "sound"


@pytest.mark.parametrize(
    ("measure", "value", "said"),
    [
        (0, 0.3, "not below zero inside their interval .SKU-00002"),
        (0, float("nan"), "not below zero inside their interval .SKU-00002"),
        (1, -1.0, "standard errors"),
        (5, -0.2, "a share of own sales below zero"),
    ],
)
def test_an_unsound_row_is_refused(model: PriceModel, measure: int, value: float, said: str, tmp_path: Path) -> None:
    table = model.table.copy()
    table[2, measure] = value
    lay(tmp_path, 0, replace(model, table=table).files())
    with pytest.raises(PriceModelError, match=said):
        examine(tmp_path / "0000")


def test_an_elasticity_beyond_all_bounds_is_refused(model: PriceModel, tmp_path: Path) -> None:
    table = model.table.copy()
    table[2, :4] = (-1e6, 0.1, -2e6, -0.1)
    lay(tmp_path, 0, replace(model, table=table).files())
    with pytest.raises(PriceModelError, match="an elasticity of -2e"):
        examine(tmp_path / "0000")


@pytest.mark.parametrize("name", ["skus", "categories", "elasticity", "weight"])
def test_a_list_of_another_length_is_refused(model: PriceModel, name: str, tmp_path: Path) -> None:
    document = json.loads(model.files()[RESPONSE_FILE])
    document[name] = [*document[name], document[name][-1]]
    lay(tmp_path, 0, model.files() | {RESPONSE_FILE: json.dumps(document).encode()})
    with pytest.raises(PriceModelError, match="not sound"):
        PriceModel.load(tmp_path / "0000")
