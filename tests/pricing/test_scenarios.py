"""Days on which pricing systems fail: a cost shock, a price war, a model gone wild, empty shelves, broken data."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retail_assets.core.guardrails import RULES
from retail_assets.pricing.config import PricingConfig
from retail_assets.pricing.decide.gold_inputs import gold_versions, read_inputs
from retail_assets.pricing.decide.inputs import DecisionInputs
from retail_assets.pricing.decide.policy import CHANGED, CONFLICT, HELD, REASONS, Batch, decide_batch
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.publish.gate import Gate
from retail_assets.pricing.publish.publication import publications
from retail_assets.pricing.response.model import PriceModel
from retail_assets.resources.lake import Lake
from tests.pricing.test_price_inputs import rewrite
from tests.pricing.test_publication import US, Shop, shop

assert shop  # a fixture


def decide(lake: Lake, rulebook: Rulebook, model: PriceModel) -> tuple[pd.DataFrame, Batch]:
    inputs = read_inputs(lake, gold_versions(lake)).rows
    batch = decide_batch(model, rulebook, inputs)
    frame = inputs.to_pandas().assign(
        price=batch.price, outcome=batch.outcome, reason=[REASONS[code] for code in batch.reason]
    )
    return frame, batch


def broken(batch: Batch, rule: str) -> np.ndarray:
    return batch.broken[RULES.index(rule)]


def test_a_cost_shock_raises_prices_step_by_step_and_never_through_the_floor(shop: Shop, rulebook: Rulebook) -> None:
    """Costs rise by two thirds over night: what one step can mend is mended, the rest stays and is reported."""

    def shock(history: pd.DataFrame) -> pd.DataFrame:
        hit = history["sku"].isin(["SKU-00001", "SKU-00002"])
        dear = [cost * Decimal("1.66") if now else cost for cost, now in zip(history["unit_cost"], hit, strict=True)]
        return history.assign(unit_cost=dear)

    model = shop.model(-2.5)
    before, _ = decide(shop.lake, rulebook, model)
    rewrite(shop.lake, "fct_price_history", shock)
    after, batch = decide(shop.lake, rulebook, model)
    hit = after["sku"].isin(["SKU-00001", "SKU-00002"]).to_numpy()
    assert (after["price"][~hit] == before["price"][~hit]).all()
    assert (after["price"][hit] >= before["price"][hit]).all()
    changed = after["outcome"] == CHANGED
    assert ((after["price"] - after["unit_cost"]) / after["price"] >= 0.05)[changed].all()
    below = broken(batch, "margin_floor")
    assert (after["outcome"][below] == CONFLICT).all()
    assert (after["price"][below] == after["previous_price"][below]).all()


def test_a_price_war_is_followed_by_steps_inside_the_margin_and_never_to_the_bottom(
    shop: Shop, rulebook: Rulebook
) -> None:
    """The competitor halves its prices for three weeks; ours follow no further than the guardrails allow."""
    rewrite(
        shop.lake,
        "fct_sales_daily",
        lambda s: s.assign(competitor_price=[None if p is None else p / 2 for p in s["competitor_price"]]),
    )
    after, batch = decide(shop.lake, rulebook, shop.model(-2.5))
    change = after["price"] / after["previous_price"] - 1
    assert (change >= -0.10 - 1e-9).all()
    assert ((after["price"] - after["unit_cost"]) / after["price"] >= 0.05)[change != 0].all()
    war = broken(batch, "competitor_band")
    assert war.any()
    assert (after["price"][war] == after["previous_price"][war]).all()
    assert set(after["outcome"][war]) <= {CONFLICT, HELD}


def test_a_model_gone_wild_is_stopped_by_the_breaker_and_the_last_prices_stay(
    shop: Shop, config: PricingConfig
) -> None:
    shop.batch(-2.5)
    good = shop.prices(US)
    done = shop.batch(-0.11, breaker=config.publication.model_dump()["breaker"])
    assert done.findings
    assert {row.status for row in publications(shop.lake) if row.batch_id == done.batch_id} == {"withheld"}
    assert shop.prices(US) == good
    assert str(Gate.read(shop.lake).why_not(US, None)).startswith("the circuit breaker holds")


def test_a_model_without_numbers_moves_no_price(shop: Shop, rulebook: Rulebook) -> None:
    model = shop.model(-2.5)
    model.table[:, 0] = np.nan
    after, _ = decide(shop.lake, rulebook, model)
    assert set(after["reason"][~after["on_promotion"]]) == {"response_unsound"}
    assert set(after["reason"][after["on_promotion"]]) <= {"promotion"}
    assert (after["price"] == after["previous_price"]).all()


def test_an_empty_shelf_is_not_read_as_demand_that_vanished(shop: Shop, rulebook: Rulebook) -> None:
    """Three weeks without stock: no sales. Neither the demand nor the price may follow them down."""
    model = shop.model(-2.5)
    before, _ = decide(shop.lake, rulebook, model)

    def run_dry(sales: pd.DataFrame) -> pd.DataFrame:
        days = pd.to_datetime(sales["business_date"])
        dry = (sales["sku"] == "SKU-00003") & (days > days.max() - pd.Timedelta(days=21))
        return sales.assign(
            gross_units=sales["gross_units"].where(~dry, 0.0),
            on_hand=sales["on_hand"].where(~dry, 0),
            is_stocked_out=sales["is_stocked_out"] | dry,
        )

    rewrite(shop.lake, "fct_sales_daily", run_dry)
    after, _ = decide(shop.lake, rulebook, model)
    mine = (after["sku"] == "SKU-00003").to_numpy()
    assert (after["on_hand"][mine] == 0).all()
    assert (after["price"] == before["price"]).all()
    sales = shop.lake.open("gold", "fct_sales_daily").to_pyarrow_table().to_pandas()
    days = pd.to_datetime(sales["business_date"])
    stocked = sales[
        (sales["sku"] == "SKU-00003") & ~sales["is_stocked_out"] & (days > days.max() - pd.Timedelta(56, "D"))
    ]
    expected = stocked.groupby("store_id")["gross_units"].mean()
    assert after["base_demand"][mine].tolist() == pytest.approx(expected[after["store_id"][mine]].tolist(), abs=1e-4)


def without(column: str, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        hit = frame["sku"] == "SKU-00002"
        return frame.assign(**{column: frame[column].where(~hit, value)})

    return change


@pytest.mark.parametrize(
    ("table", "column", "value", "expected"),
    [
        ("fct_price_history", "unit_cost", None, "cost_unknown"),
        ("fct_sales_daily", "competitor_price", None, ""),
        ("fct_sales_daily", "on_hand", -7, ""),
    ],
)
def test_a_gap_in_the_data_invents_no_price(
    shop: Shop, rulebook: Rulebook, table: str, column: str, value: Any, expected: str
) -> None:
    rewrite(shop.lake, table, without(column, value))
    after, batch = decide(shop.lake, rulebook, shop.model(-2.5))
    mine = (after["sku"] == "SKU-00002").to_numpy()
    assert mine.sum() == 2
    assert set(after["reason"][mine]) == {expected}
    if expected:
        assert (after["price"][mine] == after["previous_price"][mine]).all()
    if column == "competitor_price":
        assert not batch.lines[RULES.index("competitor_band")].applies[mine].any()


def test_a_price_in_another_currency_publishes_nothing_for_that_item(shop: Shop) -> None:
    rewrite(shop.lake, "fct_price_history", without("currency", "CHF"))
    shop.batch()
    assert "SKU-00002" not in shop.prices(US)
    assert len(shop.prices(US)) == 11


def test_items_nobody_knows_get_no_price(shop: Shop) -> None:
    inputs = read_inputs(shop.lake, gold_versions(shop.lake)).rows
    assert not {("US-000", "ZZ-404"), ("ZZ-404", "SKU-00001")} & set(
        zip(inputs["store_id"].to_pylist(), inputs["sku"].to_pylist(), strict=True)
    )
    assert DecisionInputs(**inputs.slice(0, 1).to_pylist()[0]).previous_price > 0
