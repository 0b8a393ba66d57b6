"""A forecaster with one fault in it is refused with a sentence, or it answers with sound numbers: it ends nobody."""

import re
from pathlib import Path

import pytest

from benchmarks.faults import documents
from benchmarks.faults.models import MODEL_FILE, forecaster_files, mutations, with_sizes
from retail_assets.forecasting import tree_text
from retail_assets.forecasting.encoding import ForecastModelError
from retail_assets.forecasting.model import SPEC_FILE, DemandForecaster
from retail_assets.forecasting.probe import examine
from tests.hostile_files import answers, lay, refuse_silence

PROBE = "retail_assets.forecasting.probe"
SEED = 20261130


def test_the_model_that_faults_are_put_into_is_real_and_sound(tmp_path: Path) -> None:
    lay(tmp_path, 0, forecaster_files())
    examine(tmp_path / "0000")
    found = tree_text.check(forecaster_files()[MODEL_FILE], MODEL_FILE)
    assert found.trees == 12 and len(found.features) == 18
    assert DemandForecaster.load(tmp_path / "0000").files() == forecaster_files()


def test_no_fault_in_the_trees_ends_or_holds_a_process(tmp_path: Path) -> None:
    names: list[str] = []
    for number, (name, content) in enumerate(mutations(SEED)):
        lay(tmp_path, number, forecaster_files() | {MODEL_FILE: content})
        names.append(name)
    assert len(names) > 250 and len(set(names)) == len(names)
    found = answers(PROBE, tmp_path, names)
    refuse_silence(found)
    refused = [name for name, said in found.items() if said["outcome"] == "unsound"]
    assert len(refused) > 0.8 * len(names), "most of these faults end or hold LightGBM itself"


def test_the_same_seed_makes_the_same_faults() -> None:
    assert list(mutations(3, rounds=1)) == list(mutations(3, rounds=1))
    assert [c for _, c in mutations(3, rounds=1)] != [c for _, c in mutations(4, rounds=1)]


def test_no_fault_in_the_specification_ends_or_holds_a_process(tmp_path: Path) -> None:
    names: list[str] = []
    for number, (name, content) in enumerate(documents.mutations(SEED, forecaster_files()[SPEC_FILE])):
        lay(tmp_path, number, forecaster_files() | {SPEC_FILE: content})
        names.append(name)
    found = answers(PROBE, tmp_path, names)
    refuse_silence(found)
    assert any(said["outcome"] == "unsound" for said in found.values())


def text() -> str:
    return forecaster_files()[MODEL_FILE].decode()


def line(key: str) -> str:
    """The first line of a key, in the first tree."""
    return next(line for line in text().splitlines() if line.startswith(f"{key}="))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (line("left_child"), "left_child=" + " ".join(["0"] * 14), "tree 0: not every node and leaf"),
        (line("num_leaves"), "num_leaves=2147483647", "tree 0: 2,147,483,647 leaves"),
        (line("num_leaves"), "num_leaves=16", "tree 0: leaf_weight has 15 numbers, not 16"),
        (line("leaf_value"), line("leaf_value").replace(" ", " nan ", 1), "leaf_value holds other things than numbers"),
        (
            line("leaf_value"),
            re.sub(r"=\S+", "=1e999", line("leaf_value"), count=1),
            "leaf_value holds a number without an end",
        ),
        (line("split_feature"), "split_feature=" + " ".join(["18"] * 14), "split_feature 18 of 18 features"),
        (line("decision_type"), "decision_type=" + " ".join(["99"] * 14), "decision_type 99"),
        (line("shrinkage"), "shrinkage=", "shrinkage holds other things than numbers"),
        ("is_linear=0", "is_linear=1", "leaves with equations of their own"),
        ("[machines: ]", "[machines: 10.0.0.1:1]", "parameter machines is '10.0.0.1:1'"),
        ("pandas_categorical:null", "pandas_categorical:" + "[" * 1000, "categories of pandas"),
        ("num_class=1", "num_class=3", "num_class is '3', not '1'"),
        ("version=v4", "version=v5", "version is 'v5', not 'v4'"),
        ("objective=tweedie", "objective=lambdarank", "the objective 'lambdarank' is not one of counts"),
    ],
)
def test_what_is_wrong_is_said_by_tree_and_line(old: str, new: str, said: str) -> None:
    with pytest.raises(ForecastModelError, match="model_mean.txt is no model of trees") as caught:
        tree_text.check(with_sizes(text().replace(old, new, 1)).encode(), MODEL_FILE)
    assert said in caught.value.what


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("horizon", 0, "horizon is 0 days"),
        ("largest_factor", float("inf"), "largest factor is inf"),
        ("largest_factor", -1.0, "largest factor is -1"),
        ("features", ["units_mean_7"], "other columns"),
        ("categories", {"store_id": ["a", "a"], "category": ["b"]}, "store_id has a category twice"),
    ],
)
def test_a_specification_that_does_not_fit_is_refused(field: str, value: object, said: str, tmp_path: Path) -> None:
    lay(tmp_path, 0, forecaster_files())
    model = DemandForecaster.load(tmp_path / "0000")
    changed = model.spec.model_copy(update={field: value})
    lay(tmp_path, 1, forecaster_files() | {SPEC_FILE: changed.model_dump_json().replace("null", "1e999").encode()})
    with pytest.raises(ForecastModelError, match=said):
        DemandForecaster.load(tmp_path / "0001")


def test_answers_that_cannot_be_are_refused_although_the_files_agree(tmp_path: Path) -> None:
    lay(tmp_path, 0, forecaster_files())
    spec = DemandForecaster.load(tmp_path / "0000").spec
    assert spec.intervals is not None
    groups = {code: group.model_copy(update={"ratios": [[8e8] * 5 for _ in group.ratios]})
              for code, group in spec.intervals.groups.items()}  # fmt: skip
    wild = spec.model_copy(update={"intervals": spec.intervals.model_copy(update={"groups": groups})})
    lay(tmp_path, 1, forecaster_files() | {SPEC_FILE: wild.model_dump_json().encode()})
    with pytest.raises(ForecastModelError, match="units of one SKU on one day"):
        examine(tmp_path / "0001")
