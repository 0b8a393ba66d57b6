"""`retail prices` as a category manager uses it, on a lake of real batches."""

import getpass
import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner, Result

from retail_assets.core.errors import RetailError
from retail_assets.pricing.commands import prices
from retail_assets.resources.environments import Home
from tests.pricing.test_publication import DE, TIGHT, US, Shop, shop

assert shop  # a fixture
WHO = ("--by", "maria", "--reason", "wrong labels")


@pytest.fixture
def run(home: Home, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `retail prices ...` on the home of the test."""
    monkeypatch.setenv("RETAIL_HOME", str(home.root))
    monkeypatch.setenv("RETAIL_ENV", "test")

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(prices, list(arguments))

    return invoke


def test_the_published_price_is_shown_with_its_decision(shop: Shop, run: Any) -> None:
    done = shop.batch()
    shown = run("--store", US, "--sku", "SKU-00001")
    assert f"{US} SKU-00001: {shop.prices(US)['SKU-00001']} USD from" in shown.stdout
    document = json.loads(run("--store", US, "--sku", "SKU-00001", "--json").stdout)
    assert [(row["batch_id"], row["sku"]) for row in document] == [(done.batch_id, "SKU-00001")]
    assert len(json.loads(run("--json").stdout)) == 24


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--store", "ZZ-404"), "there is no store_id 'ZZ-404'"),
        (("--sku", "ZZ-404"), "there is no sku 'ZZ-404'"),
        (("--store", US, "--sku", "SKU-00001"), "no price is published for US-000 SKU-00001"),
        (("approve", "nope", "--by", "maria"), "there is no batch 'nope'"),
        (("stop", "--store", "ZZ-404", *WHO), "there is no store 'ZZ-404'"),
        (("resume", "--chain", *WHO), "the chain is not stopped"),
        (("files", "--store", "ZZ-404"), "there is no store_id 'ZZ-404'"),
        (("integrity",), "no till has been compared with its prices yet"),
        (("release", "nope", *WHO), "there is no batch 'nope'"),
        (("reject", "nope", *WHO), "there is no batch 'nope'"),
    ],
)
def test_what_makes_no_sense_is_a_named_error(shop: Shop, run: Any, arguments: tuple[str, ...], says: str) -> None:
    shop.batch(mode="shadow")
    result = run(*arguments)
    assert isinstance(result.exception, RetailError)
    assert says in str(result.exception)


@pytest.mark.parametrize("places", [(), ("--chain", "--store", US)])
def test_a_stop_is_of_one_place(shop: Shop, run: Any, places: tuple[str, ...]) -> None:
    result = run("stop", *places, *WHO)
    assert result.exit_code == 2
    assert "one of --store, --category and --chain" in result.output


def test_a_stop_needs_why_and_is_by_the_user_of_the_machine_unless_said(shop: Shop, run: Any) -> None:
    assert run("stop", "--chain", "--by", "maria").exit_code == 2
    stop = json.loads(run("stop", "--chain", "--reason", "x", "--json").stdout)
    assert (stop["by"], stop["reason"]) == (getpass.getuser(), "x")


def test_pending_batches_are_listed_approved_and_written(shop: Shop, run: Any, home: Home) -> None:
    done = shop.batch(mode="approve")
    listed = run("pending").stdout
    assert f"{done.batch_id} " in listed
    assert f"pending in 2 stores ({DE}, {US})" in listed
    approved = run("approve", done.batch_id, "--store", DE, "--by", "maria").stdout
    assert f"{done.batch_id} {DE}: published by maria" in approved
    written = [Path(line.removeprefix("wrote ")) for line in approved.splitlines() if line.startswith("wrote ")]
    assert [path.name for path in written] == [f"{DE}.csv"]
    assert written[0].is_file()
    assert f"pending in 1 store ({US})" in run("pending").stdout
    assert json.loads(run("reject", done.batch_id, "--store", US, *WHO, "--json").stdout)["files"] == []
    assert "nothing waits for a person" in run("pending").stdout
    assert f"rejected in 1 store ({US}), maria: wrong labels" in run("pending", "--all").stdout


def test_a_tripped_batch_is_listed_with_its_number_and_released(shop: Shop, run: Any) -> None:
    done = shop.batch(breaker=shop.config.model_dump()["breaker"] | {"limits": TIGHT})
    assert "withheld in 2 stores" in run("pending").stdout
    assert "circuit breaker: chain: the share of prices that change is" in run("pending").stdout
    released = run("release", done.batch_id, *WHO)
    assert f"{done.batch_id} {US}: published by maria" in released.stdout


def test_stopping_and_resuming_is_shown(shop: Shop, run: Any) -> None:
    assert "price changes of store US-000 are stopped" in run("stop", "--store", US, *WHO).stdout
    assert "price changes of the chain are stopped" in run("stop", "--chain", *WHO).stdout
    shown = run("stopped").stdout
    assert "store US-000: stopped by maria" in shown
    assert "wrong labels" in shown
    run("resume", "--store", US, *WHO)
    assert [row["scope"] for row in json.loads(run("stopped", "--json").stdout)] == ["chain"]
    run("resume", "--chain", *WHO)
    assert "nothing is stopped" in run("stopped").stdout


def test_files_are_listed_and_a_damaged_one_is_written_again(shop: Shop, run: Any) -> None:
    assert "no store has a published price" in run("files").stdout
    shop.batch()
    first = json.loads(run("files", "--json").stdout)
    assert [(row["store_id"], row["rows"], row["written"]) for row in first] == [(DE, 12, True), (US, 12, True)]
    path = Path(first[1]["path"])
    path.write_text("store_id\n")
    again = run("files", "--store", US).stdout
    assert again == f"{path}: 12 prices, {first[1]['changed']} changed, sha256 {first[1]['sha256']}, written now\n"
    assert json.loads(run("files", "--store", US, "--json").stdout) == [first[1] | {"written": False}]


def test_the_tills_are_shown_worst_first(shop: Shop, run: Any) -> None:
    row = {"business_date": date(2026, 4, 26), "lines": 200, "wrong_share_listed": 0.0, "wrong_share_published": 0.0}
    rows = [row | {"store_id": DE}, row | {"store_id": US, "wrong_share_listed": 0.077}]
    shop.lake.overwrite("reports", "price_integrity", pa.Table.from_pylist(rows))
    shown = run("integrity").stdout.splitlines()
    assert (
        shown[0] == f"{US}: 7.70% of prices wrong against those listed, 200 lines in the 7 days up to 2026-04-26, "
        "more than allowed"
    )
    assert shown[1].startswith(f"{DE}: 0.00%")
    assert [row["store_id"] for row in json.loads(run("integrity", "--json").stdout)] == [US, DE]


def test_an_approval_is_undone_by_a_rejection(shop: Shop, run: Any, home: Home) -> None:
    shop.batch(-3.5)
    good = shop.prices(US)
    done = shop.batch(-1.2, mode="approve")
    run("approve", done.batch_id, "--by", "maria")
    assert shop.prices(US) != good
    undone = run("reject", done.batch_id, "--store", US, *WHO).stdout
    assert f"{done.batch_id} {US}: withdrawn by maria" in undone
    assert shop.prices(US) == good
    assert "wrote " in undone
    twice = run("reject", done.batch_id, "--store", US, *WHO)
    assert f"batch {done.batch_id} is withdrawn: there is nothing to reject" in str(twice.exception)
