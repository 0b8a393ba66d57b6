"""A load or a replay that is killed at any step leaves the last good state, and repeating it gives the same tables."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from retail_assets.sources import load as load_module
from retail_assets.sources import quality
from retail_assets.sources.config import SOURCES_DIR
from retail_assets.sources.replay import replay
from tests.sources.landing import Retailer, us_line

CHILD = Path(__file__).with_name("dying_load.py")
PROJECT = Path(__file__).parents[2]
LOAD_STEPS = 8  # two batches of four steps
REPLAY_STEPS = 5


def dying(retailer: Retailer, what: str, step: int, *arguments: str) -> int:
    """The exit code of a process that dies at `step`."""
    command = [sys.executable, str(CHILD), str(retailer.home.root), what, str(step), *arguments]
    return subprocess.run(command, cwd=PROJECT, env=os.environ | {"PYTHONPATH": str(PROJECT)}, check=False).returncode


def deliver(retailer: Retailer) -> None:
    lines = [us_line(receipt=n) for n in range(1, 4)]
    retailer.put_pos([*lines, us_line(receipt=4, quantity="abc"), us_line(receipt=1)])
    more = [us_line(receipt=n, price="2.60") for n in (3, 5)]
    retailer.put_pos([*more, us_line(receipt=6, quantity="3x")], stamp="20251008T030000Z")


def tables(retailer: Retailer) -> dict[str, list[dict[str, object]]]:
    """Everything but the time of loading and the batch's number."""
    found = {"bronze": retailer.bronze(), "quarantine": retailer.quarantine(), "loads": retailer.loads()}
    left_out = {"loaded_at", "batch_id", "mtime_us"}
    return {
        name: sorted(({k: v for k, v in row.items() if k not in left_out} for row in rows), key=str)
        for name, rows in found.items()
    }


@pytest.fixture
def undisturbed(another: Callable[[], Retailer], monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, object]]]:
    """What the tables hold when nothing dies."""
    monkeypatch.setattr(load_module, "BATCH_BYTES", 1)
    retailer = another()
    deliver(retailer)
    retailer.load_pos()
    return tables(retailer)


@pytest.mark.slow
def test_a_load_killed_at_any_step_can_be_repeated(
    another: Callable[[], Retailer], undisturbed: dict[str, list[dict[str, object]]]
) -> None:
    for step in range(1, LOAD_STEPS + 1):
        retailer = another()
        deliver(retailer)
        assert dying(retailer, "load", step) == 9
        committed = {row["load_id"] for row in retailer.loads()}
        assert len(committed) == step // 4
        report = retailer.load_pos()
        assert report.batches_rolled_back == (step % 4 != 0)
        assert tables(retailer) == undisturbed, f"killed at step {step}"
        assert quality.sums(retailer.lake, ["pos_lines"])["pos_lines"].add_up


@pytest.mark.slow
def test_a_load_killed_again_while_it_cleans_up_can_be_repeated(
    retailer: Retailer, undisturbed: dict[str, list[dict[str, object]]]
) -> None:
    deliver(retailer)
    assert dying(retailer, "load", 7) == 9
    assert dying(retailer, "load", 1) == 9
    assert dying(retailer, "load", 4) == 9
    retailer.load_pos()
    assert tables(retailer) == undisturbed


@pytest.mark.slow
def test_a_replay_killed_at_any_step_moves_each_row_once(another: Callable[[], Retailer], tmp_path: Path) -> None:
    corrected = Path(shutil.copytree(SOURCES_DIR, tmp_path / "sources"))
    contract = corrected / "pos_lines.yaml"
    contract.write_text(contract.read_text().replace("      quantity: quantity\n", CORRECTED))
    for step in range(1, REPLAY_STEPS + 1):
        retailer = another()
        retailer.put_pos([us_line(), us_line(receipt=2, quantity="2x"), us_line(receipt=2, quantity="2x")])
        retailer.load_pos()
        assert dying(retailer, "replay", step, str(corrected)) == 9
        replay(retailer.lake, retailer.home, "pos_lines", corrected)
        assert sorted(row["receipt_id"] for row in retailer.bronze()) == ["R1", "R2"], f"killed at step {step}"
        assert retailer.quarantine() == []
        sums = quality.sums(retailer.lake, ["pos_lines"])["pos_lines"]
        assert sums.add_up
        assert (sums.read, sums.duplicate) == (3, 1)


CORRECTED = "      quantity: {sql: \"replace(quantity, 'x', '')\"}\n"
