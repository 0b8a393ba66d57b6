"""What is made in the documents is what the code says today: a stale figure, option or check fails here."""

import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from math import isclose
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterEventType

from retail_assets.documents import command_reference
from retail_assets.documents.blocks import BLOCK, HOW, DocumentError, filled, names, table
from retail_assets.documents.checks_table import dbt_tests, gravities
from retail_assets.documents.examples import examples
from retail_assets.documents.written import documents, known, tables
from retail_assets.resources.dagster.instance import prepare
from retail_assets.resources.dagster.jobs import REFRESH_JOB_NAME
from retail_assets.resources.environments import PROJECT_ROOT, Home


def stale(made: Mapping[str, str]) -> list[str]:
    """The blocks of `made` that a document has otherwise, with the document."""
    found = []
    for document in documents():
        text = document.read_text()
        mine = [name for name in names(text) if name in made]
        found += [
            f"{document.name}: {name}" for name in mine if f"<!-- made: {name} -->\n{made[name]}\n<!--" not in text
        ]
    return found


def test_the_command_reference_is_that_of_the_commands() -> None:
    assert command_reference.DOCUMENT.read_text() == command_reference.text(), HOW


def test_tables_of_checks_and_settings_are_those_of_the_code() -> None:
    assert stale(tables()) == [], HOW


@pytest.fixture(scope="module")
def shown(tiny_home: Path) -> dict[str, str]:
    return examples(tiny_home)


def test_examples_are_what_the_commands_print(shown: dict[str, str]) -> None:
    """Up to the last digits: sums and trees differ a little from processor to processor."""
    written = {match["name"]: match[0] for document in documents() for match in BLOCK.finditer(document.read_text())}
    apart = {name: far_apart(written[name], block) for name, block in shown.items() if name in written}
    assert {name: found for name, found in apart.items() if found} == {}, HOW


def far_apart(written: str, made: str) -> list[tuple[str, str]]:
    """Numbers that differ by more than a sixth and 1.5, or all words where more than a tenth of them differ."""
    old, new = (re.findall(r"[A-Za-z_]+|\d[\d.,]*", re.sub("<!--.*?-->", "", text)) for text in (written, made))
    plain = [["#" if word[0].isdigit() else word for word in words] for words in (old, new)]
    if plain[0] != plain[1]:
        return [] if SequenceMatcher(None, *plain, autojunk=False).ratio() >= 0.9 else [(written, made)]
    pairs = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    return [(a, b) for a, b in pairs if not isclose(_number(a), _number(b), rel_tol=1 / 6, abs_tol=1.5)]


def _number(text: str) -> float:
    return float(text.replace(",", "").rstrip("."))


def test_an_example_that_is_stale_is_found() -> None:
    said = "- 51 units are expected from 03 Jan to 30 Jan 2026: 3.3 a day."
    assert far_apart(said, said.replace("3.3", "3.2")) == []
    assert far_apart(said, said.replace("51", "33")) == [("51", "33")]
    assert far_apart(said, "nothing is known of it") != []


def test_every_block_that_can_be_made_stands_in_a_document() -> None:
    used = {name for document in documents() for name in names(document.read_text())}
    assert used == known()


def test_no_example_has_an_identifier_that_the_next_home_would_draw_anew(
    tiny_home: Path, shown: dict[str, str]
) -> None:
    versions = {path.name for path in (tiny_home / "models").rglob("*") if re.fullmatch("[0-9a-f]{12}", path.name)}
    assert len(versions) > 1
    assert [(name, version) for name, block in shown.items() for version in versions if version in block] == []


def test_severities_and_what_blocks_are_those_of_a_run(tiny_home: Path) -> None:
    told = gravities()
    prepare(Home.at(tiny_home))
    seen: dict[tuple[str, str], dg.AssetCheckEvaluation] = {}
    with dg.DagsterInstance.get() as instance:
        for run in instance.get_runs(dg.RunsFilter(job_name=REFRESH_JOB_NAME)):
            records = instance.get_records_for_run(run.run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION).records
            events = [record.event_log_entry.dagster_event for record in records]
            found = [event.asset_check_evaluation_data for event in events if event is not None]
            seen |= {(each.asset_key.to_user_string(), each.check_name): each for each in found}
    assert set(seen) == set(told)
    # A dbt test that passes is reported without its severity, which stands in dbt's manifest.
    ours = {key: each for key, each in seen.items() if key[1] not in dbt_tests() or not each.passed}
    severity = {
        key: "warning" if each.severity == dg.AssetCheckSeverity.WARN else "error" for key, each in ours.items()
    }
    assert {key: told[key].replace("stops", "error") for key in ours} == severity
    assert {key for key, each in seen.items() if each.blocking} == {key for key in told if told[key] == "stops"}


def test_a_block_is_replaced_and_nothing_else() -> None:
    text = "before\n<!-- made: a -->\nold\n<!-- end -->\nbetween\n<!-- made: b -->\n<!-- end -->\nafter"
    new = filled(text, {"a": "A\nA", "b": r"\1"})
    assert new == "before\n<!-- made: a -->\nA\nA\n<!-- end -->\nbetween\n<!-- made: b -->\n\\1\n<!-- end -->\nafter"
    assert filled(new, {"a": "A\nA", "b": r"\1"}) == new
    with pytest.raises(DocumentError, match="nothing makes the block 'b'"):
        filled(text, {"a": "A"})


def test_a_cell_of_a_table_stays_one_cell() -> None:
    assert table(["a", "b"], [["x | y", "two\nlines"]]).splitlines()[-1] == "| x \\| y | two lines |"


def test_every_example_shown_of_a_home_is_made() -> None:
    """A block that shows what `retail` printed and that nobody makes is stale one day."""
    by_hand, nothing = [], dict.fromkeys(known(), "")
    for document in [PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").glob("*.md"))]:
        text = filled(document.read_text(), nothing)
        if document != command_reference.DOCUMENT:
            by_hand += [f"{document.name}: {line}" for line in text.splitlines() if line.startswith("$ retail")]
    assert by_hand == []
