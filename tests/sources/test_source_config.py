"""Contracts and mappings: what ships is valid, and a mistake is named by file and line."""

import shutil
from pathlib import Path

import pytest

from retail_assets.core.settings import SettingsError, read_yaml
from retail_assets.sources.assets import SOURCES
from retail_assets.sources.config import MAPPINGS_DIR, SOURCES_DIR, load_contracts, load_mapping
from retail_assets.sources.errors import SourceConfigError


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    """A copy of the shipped contracts that a test may spoil."""
    return Path(shutil.copytree(SOURCES_DIR, tmp_path / "sources"))


def replaced(configs: Path, source: str, old: str, new: str) -> int:
    """Replaces the first `old` in a contract and returns the number of the line where `new` begins."""
    file = configs / f"{source}.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1


def test_shipped_contracts_come_after_what_they_refer_to() -> None:
    contracts = load_contracts()
    order = list(contracts)
    for name, contract in contracts.items():
        assert all(order.index(reference.source) < order.index(name) for reference in contract.references)


def test_assets_say_what_the_contracts_say() -> None:
    contracts = load_contracts()
    assert {spec.name for spec in SOURCES} == set(contracts)
    for spec in SOURCES:
        contract = contracts[spec.name]
        assert (spec.grain, spec.owner, spec.fresh_within_hours) == (
            contract.grain,
            contract.owner,
            contract.fresh_within_hours,
        )
        assert set(spec.after) == {reference.source for reference in contract.references}


@pytest.mark.parametrize("mapping", sorted(MAPPINGS_DIR.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_mappings_are_valid(mapping: Path) -> None:
    assert load_mapping(mapping, load_contracts()).mapping == mapping.stem


MISTAKES = [
    ("unknown key", "    format: csv\n", "    formta: csv\n", 0, "formta"),
    ("unknown type", 'type: "decimal(12,3)"', "type: money", 0, "quantity.type"),
    ("unknown format", "    format: csv\n", "    format: xml\n", 0, "format"),
    ("not a condition", "quarantine_if: quantity = 0", "quarantine_if: quantity = = 0", 0, "not valid SQL"),
    ("two statements", "quarantine_if: quantity = 0", "quarantine_if: 1); DROP TABLE x; SELECT (1", 0, "SQL"),
    ("unknown column", "      sku: sku\n", "      skew: sku\n", 0, "skew"),
    ("unfilled column", "      quantity: quantity\n", "", -6, "quantity"),
    ("unknown key column", "key: {columns: [store_id,", "key: {columns: [shop_id,", 0, "shop_id"),
    ("unknown reference", "to: products.sku", "to: products.code", 0, "products.code"),
    ("unknown zone", "time_zone: store", "time_zone: Mars/Base", 0, "Mars/Base"),
    ("bad file date", 'file_date: "_(\\\\d{8})_d"', 'file_date: "_(\\\\d{8}_d"', 0, "file_date"),
    ("not YAML", "feeds:\n", "feeds: [\n", None, "YAML"),
    ("common column", "  promo_code: {type: text}", "  row_id: {type: text}", 0, "row_id"),
]


@pytest.mark.parametrize(("old", "new", "offset", "named"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_a_mistake_is_named_by_file_and_line(configs: Path, old: str, new: str, offset: int | None, named: str) -> None:
    line = replaced(configs, "pos_lines", old, new)
    with pytest.raises(SourceConfigError) as raised:
        load_contracts(configs)
    assert named in str(raised.value)
    assert raised.value.where is not None
    place = raised.value.where.rsplit(":", 1)
    assert place[0].endswith("pos_lines.yaml")
    if offset is not None:
        assert int(place[1]) == line + offset


def test_a_repeated_key_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "twice.yaml"
    file.write_text("a: 1\nb: 2\na: 3\n")
    with pytest.raises(SettingsError, match="given twice") as raised:
        read_yaml(file)
    assert raised.value.where == f"{file}:3"


def test_a_contract_in_a_file_of_another_name_is_an_error(configs: Path) -> None:
    (configs / "weather.yaml").rename(configs / "climate.yaml")
    with pytest.raises(SourceConfigError, match=r"climate\.yaml"):
        load_contracts(configs)


def test_references_in_a_circle_are_an_error(configs: Path) -> None:
    replaced(
        configs, "stores", "rules:\n", "references:\n  - {column: name, to: weather.store_id, as: weather}\nrules:\n"
    )
    with pytest.raises(SourceConfigError, match="circle"):
        load_contracts(configs)


def test_a_mapping_for_no_source_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(
        "mapping: m\ndescription: d\nfeeds:\n"
        "  - name: f\n    source: sales\n    files: x\n    format: csv\n    columns: {}\n"
    )
    with pytest.raises(SourceConfigError, match="sales") as raised:
        load_mapping(file, load_contracts())
    assert raised.value.where == f"{file}:5"


def test_a_missing_mapping_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceConfigError, match="does not exist"):
        load_mapping(tmp_path / "none.yaml", load_contracts())
