"""One price that a person corrects: by the rules, with a reason, pointing at what it replaces, and taken back again."""

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from retail_assets.pricing.answers import PriceDesk
from retail_assets.pricing.commands import prices
from retail_assets.pricing.config import PricingConfig
from retail_assets.pricing.decide.decisions import decision_of, replay
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.publish.correction import CorrectionError, correct
from retail_assets.pricing.publish.gate import Gate
from retail_assets.pricing.publish.publication import PUBLICATIONS, earlier_numbers, published_prices
from retail_assets.pricing.publish.switch import turn
from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from tests.pricing.test_pricing_assets import decided, first, newest, refresh, refreshed

assert first  # a fixture
assert refreshed
assert decided
STORE, SKU = "US-000", "SKU-00003"
WHO = ("--by", "eva", "--reason", "the label says so")


@pytest.fixture
def run(refreshed: Home, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `retail prices ...` on the home of the test."""
    monkeypatch.setenv("RETAIL_HOME", str(refreshed.root))
    monkeypatch.setenv("RETAIL_ENV", "test")

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(prices, list(arguments))

    return invoke


def price_of(lake: Lake) -> dict[str, Any]:
    [row] = published_prices(lake, STORE, SKU).to_pylist()
    return dict(row)


def near(row: dict[str, Any]) -> str:
    """A price one ending away from the published one, inside every rule."""
    step = Decimal("0.10") if row["price"] < row["previous_price"] else Decimal("-0.10")
    return str(row["price"] + step)


def in_file(home: Home) -> dict[str, str]:
    [path] = home.outbox.glob(f"prices/*/{STORE}.csv")
    with path.open(newline="") as file:
        return {row["sku"]: row["price"] for row in csv.DictReader(file)}


def test_a_corrected_price_is_published_points_at_the_old_one_and_is_taken_back(
    run: Any, refreshed: Home, decided: Lake
) -> None:
    before = price_of(decided)
    asked = near(before)
    done = run("correct", "--store", STORE, "--sku", SKU, "--price", asked, *WHO, "--insist", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    after = price_of(decided)
    assert (str(after["price"]), after["published_by"]) == (asked, "eva")
    assert in_file(refreshed)[SKU] == asked
    rows = decided.open("decisions", "pricing").to_pyarrow_table().to_pylist()
    [row] = [row for row in rows if row["decision_id"] == after["decision_id"]]
    assert (row["mode"], row["corrects"]) == ("correction", before["decision_id"])
    inputs = decision_of(row).inputs
    assert (inputs.asked_by, inputs.asked_why) == ("eva", "the label says so")
    batch = document["publication"]["batch_id"]
    run("reject", batch, "--by", "eva", "--reason", "the label was wrong")
    assert price_of(decided)["decision_id"] == before["decision_id"]
    assert in_file(refreshed)[SKU] == str(before["price"])


def test_a_correction_replays_and_does_not_count_as_a_batch(
    refreshed: Home, decided: Lake, config: PricingConfig
) -> None:
    chain, gate = len(earlier_numbers(decided)["chain"]), Gate.read(decided)
    models = ModelStore.at(refreshed.models)
    asked = near(price_of(decided))
    correct(decided, models, config, STORE, SKU, asked, by="eva", reason="so", insist=True)
    rows = decided.open("decisions", "pricing").to_pyarrow_table().to_pylist()
    row = next(row for row in rows if row["mode"] == "correction")
    from retail_assets.pricing.response.model import PriceModel

    model = PriceModel.load(models.path("pricing", row["model_version"]))
    assert replay(row, model, Rulebook.of(config.policy)) == decision_of(row)
    assert len(earlier_numbers(decided)["chain"]) == chain
    assert Gate.read(decided).newest == gate.newest
    assert "correction" not in earlier_numbers(decided)


def test_a_service_answers_the_corrected_price_until_the_next_day_is_decided(
    refreshed: Home, decided: Lake, config: PricingConfig
) -> None:
    asked = near(price_of(decided))
    correct(decided, ModelStore.at(refreshed.models), config, STORE, SKU, asked, by="eva", reason="label", insist=True)
    desk = PriceDesk(Environment(name="test", home=refreshed, lake=decided))
    desk.runtime.start()
    answer, other = desk.price(STORE, SKU), desk.price(STORE, "SKU-00004")
    desk.runtime.close()
    assert (answer["price"], answer["fallback_reason"]) == (asked, "eva corrected it: label")
    assert other["fallback_reason"] is None
    day = price_of(decided)["business_date"]
    gate = Gate.read(decided)
    assert gate.correction_of(STORE, SKU, day) is not None
    assert gate.correction_of(STORE, SKU, day.fromordinal(day.toordinal() + 1)) is None


def test_a_batch_decided_again_leaves_the_correction(refreshed: Home, decided: Lake, config: PricingConfig) -> None:
    asked = near(price_of(decided))
    correct(decided, ModelStore.at(refreshed.models), config, STORE, SKU, asked, by="eva", reason="so", insist=True)
    costs = decided.open("gold", "fct_price_history")
    costs.update(predicate="sku = 'SKU-00005'", updates={"unit_cost": "unit_cost + 0.1"})
    assert refresh(refreshed).success
    assert str(price_of(decided)["price"]) == asked
    assert (
        newest(decided)[STORE, "SKU-00005"] == published_prices(decided, STORE, "SKU-00005")["decision_id"][0].as_py()
    )


def test_what_the_rules_do_not_allow_is_refused_with_the_nearest_that_they_do(run: Any, decided: Lake) -> None:
    before = price_of(decided)
    result = run("correct", "--store", STORE, "--sku", SKU, "--price", str(before["previous_price"] * 2), *WHO)
    assert isinstance(result.exception, CorrectionError)
    assert "the rules do not allow" in str(result.exception)
    assert "one step of at most" in str(result.exception)
    assert "--insist" in str(result.exception.todo)
    assert price_of(decided) == before
    assert decided.open("ops", PUBLICATIONS).count() == 4, "two stores: pending, then approved"


@pytest.mark.parametrize(
    ("price", "says"),
    [
        ("abc", "'abc' is no price"),
        ("-1", "-1 is no price in USD"),
        ("0", "0 is no price in USD"),
        ("3.999", "3.999 is no price in USD"),
        ("NaN", "NaN is no price in USD"),
        ("1e99", "1e99 is no price in USD"),
    ],
)
def test_what_is_no_price_is_refused(run: Any, price: str, says: str) -> None:
    result = run("correct", "--store", STORE, "--sku", SKU, "--price", price, *WHO)
    assert isinstance(result.exception, CorrectionError), result.output
    assert says in str(result.exception)


def test_nobody_corrects_a_price_without_a_reason_nor_past_a_stop_or_the_law(
    refreshed: Home, decided: Lake, config: PricingConfig
) -> None:
    models, asked = ModelStore.at(refreshed.models), near(price_of(decided))
    with pytest.raises(CorrectionError, match="needs a person and a reason"):
        correct(decided, models, config, STORE, SKU, asked, by="eva", reason=" ")
    order = {"country": "US", "max_price": "0.50", "from": "2020-01-01", "until": "2099-12-31", "reason": "order 7"}
    capped = PricingConfig.model_validate(config.model_dump(by_alias=True) | {"caps": [order]})
    with pytest.raises(CorrectionError, match="against the law"):
        correct(decided, models, capped, STORE, SKU, asked, by="eva", reason="so", insist=True)
    shadow = config.model_dump()
    shadow["publication"]["stores"] = {STORE: "shadow"}
    with pytest.raises(CorrectionError, match="in the shadow"):
        correct(decided, models, PricingConfig.model_validate(shadow), STORE, SKU, asked, by="eva", reason="so")
    turn(decided, "stop", "store", STORE, by="ceo", reason="strike")
    with pytest.raises(CorrectionError, match="was stopped by ceo: strike"):
        correct(decided, models, config, STORE, SKU, asked, by="eva", reason="so")


def test_what_was_never_decided_cannot_be_corrected(lake: Lake, home: Home, config: PricingConfig) -> None:
    from tests.pricing.conftest import plant

    plant(lake, skus=2, stores=1, days=30)
    with pytest.raises(CorrectionError, match="was decided yet"):
        correct(lake, ModelStore.at(Path(home.models)), config, STORE, "SKU-00001", "2.00", by="eva", reason="so")
