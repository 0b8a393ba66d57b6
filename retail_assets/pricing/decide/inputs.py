"""What a pricing decision is made from: the schema of a batch, one row of it, and gold -> batch."""

from datetime import date
from decimal import Decimal
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator

from retail_assets.core.errors import RetailError
from retail_assets.core.money import MoneyError, cost_to_minor, digits, to_minor

MEASURED = (
    "previous_price", "week_price", "unit_cost", "competitor_price", "reference_price", "base_demand", "on_hand",
)  # fmt: skip
"""Fields that carry the day they are from, in `<field>_at`."""

INPUTS = pa.schema(
    [
        pa.field("store_id", pa.string(), nullable=False),
        pa.field("sku", pa.string(), nullable=False),
        pa.field("country", pa.string(), nullable=False),
        pa.field("currency", pa.string(), nullable=False),
        pa.field("department", pa.string()),
        pa.field("category", pa.string()),
        pa.field("business_date", pa.date32(), nullable=False),
        pa.field("costs_delivered", pa.bool_(), nullable=False),
        pa.field("on_promotion", pa.bool_(), nullable=False),
        pa.field("family_low", pa.int64()),
        pa.field("family_high", pa.int64()),
        pa.field("base_demand_source", pa.string()),
        pa.field("demand_deviation", pa.float64()),
        pa.field("cost_weight", pa.float64()),
        pa.field("previous_price", pa.int64(), nullable=False),
        pa.field("previous_price_at", pa.date32()),
        pa.field("week_price", pa.int64()),
        pa.field("week_price_at", pa.date32()),
        pa.field("unit_cost", pa.int64()),
        pa.field("unit_cost_at", pa.date32()),
        pa.field("competitor_price", pa.int64()),
        pa.field("competitor_price_at", pa.date32()),
        pa.field("reference_price", pa.int64()),
        pa.field("reference_price_at", pa.date32()),
        pa.field("base_demand", pa.float64()),
        pa.field("base_demand_at", pa.date32()),
        pa.field("on_hand", pa.int64()),
        pa.field("on_hand_at", pa.date32()),
        pa.field("price_source", pa.string()),
        pa.field("price_lines", pa.int64()),
        pa.field("price_agreement", pa.float64()),
        pa.field("price_low", pa.int64()),
        pa.field("price_high", pa.int64()),
        pa.field("price_tiers", pa.string()),
        pa.field("asked_price", pa.int64()),
        pa.field("asked_by", pa.string()),
        pa.field("asked_why", pa.string()),
        pa.field("insisted", pa.bool_()),
    ]
)
ASKED = ("asked_price", "asked_by", "asked_why", "insisted")
"""Fields that only a price has which a person asks for."""
OBSERVED = ("price_lines", "price_agreement", "price_low", "price_high", "price_tiers")
"""How sure a price in force is that was read off the lines of a till."""
LATER = {"week_price", "demand_deviation", "cost_weight", "price_source", *OBSERVED, *ASKED}
"""Fields that rows written before they existed lack: not known."""
PLAIN = tuple(n for n in INPUTS.names if n not in MEASURED and n.removesuffix("_at") not in MEASURED)


class PricingInputError(RetailError):
    """Inputs from which no price may be decided."""


class DecisionInputs(BaseModel):
    """One row of INPUTS. Prices and costs are integer minor units of `currency`.

    `previous_price` is the list price in force, `week_price` the one seven days before the decided price takes effect,
    `reference_price` the mean list price of the last 180 days, `base_demand` the units expected per day at the previous
    price and `demand_deviation` the standard deviation of one day of it, `family_low` and `family_high` bounds from the
    price family, `cost_weight` what a margin target shared with the rest of its category asks of an item (see
    `shared_targets`). `costs_delivered` says whether the retailer delivers costs at all.

    `price_source` says where the price in force comes from: `price_list`, or `observed` in the lines of the till. Then
    `price_lines` are the lines it rests on, `price_agreement` the share of them within 2 % of it (0 to 1, recent ones
    count more), `price_low` and `price_high` what one and nine in ten of them asked at most, and `price_tiers` says
    whether other prices are usual (`quantity_breaks`, `several_prices`). `asked_price` is what a person wants instead
    of what would be decided, `insisted` whether the guardrails only watch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    store_id: str = Field(min_length=1)
    sku: str = Field(min_length=1)
    country: str
    currency: str
    department: str | None = None
    category: str | None = None
    business_date: date
    costs_delivered: bool = True
    on_promotion: bool = False
    family_low: int | None = None
    family_high: int | None = None
    base_demand_source: str | None = None
    demand_deviation: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    cost_weight: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    previous_price: int = Field(gt=0, lt=2**40)
    previous_price_at: date | None = None
    week_price: int | None = Field(default=None, gt=0, lt=2**40)
    week_price_at: date | None = None
    unit_cost: int | None = Field(default=None, ge=0, lt=2**40)
    unit_cost_at: date | None = None
    competitor_price: int | None = Field(default=None, gt=0, lt=2**40)
    competitor_price_at: date | None = None
    reference_price: int | None = Field(default=None, gt=0, lt=2**40)
    reference_price_at: date | None = None
    base_demand: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    base_demand_at: date | None = None
    on_hand: int | None = None
    on_hand_at: date | None = None
    price_source: Literal["price_list", "observed"] | None = None
    price_lines: int | None = Field(default=None, gt=0)
    price_agreement: float | None = Field(default=None, gt=0, le=1)
    price_low: int | None = Field(default=None, gt=0, lt=2**40)
    price_high: int | None = Field(default=None, gt=0, lt=2**40)
    price_tiers: Literal["quantity_breaks", "several_prices"] | None = None
    asked_price: int | None = Field(default=None, gt=0, lt=2**40)
    asked_by: str | None = None
    asked_why: str | None = None
    insisted: bool | None = None

    @field_validator("currency")
    @classmethod
    def _known_currency(cls, currency: str) -> str:
        try:
            digits(currency)
        except MoneyError as error:
            raise ValueError(error.what) from error
        return currency

    @classmethod
    def of(
        cls,
        *,
        currency: str,
        previous_price: Decimal | str,
        unit_cost: Decimal | str | None,
        competitor_price: Decimal | str | None = None,
        reference_price: Decimal | str | None = None,
        **rest: Any,
    ) -> "DecisionInputs":
        """From amounts in currency units; costs are rounded up, prices to the nearest minor unit."""
        prices = {"previous_price": previous_price, "competitor_price": competitor_price}
        prices["reference_price"] = previous_price if reference_price is None else reference_price
        minor = {name: None if amount is None else to_minor(amount, currency) for name, amount in prices.items()}
        cost = None if unit_cost is None else cost_to_minor(unit_cost, currency)
        return cls(currency=currency, unit_cost=cost, **minor, **rest)

    def table(self) -> pa.Table:
        """This row as a table of INPUTS."""
        return pa.Table.from_pydict({name: [getattr(self, name)] for name in INPUTS.names}, schema=INPUTS)

    def document(self) -> dict[str, Any]:
        """The form in which a decision row records its inputs: measured values with their day."""
        plain = {name: _plain(getattr(self, name)) for name in PLAIN}
        measured = {
            name: {"value": getattr(self, name), "at": _plain(getattr(self, f"{name}_at"))} for name in MEASURED
        }
        return plain | measured

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "DecisionInputs":
        """The inverse of `document`; raises PricingInputError for anything else."""
        if missing := sorted({*PLAIN, *MEASURED} - LATER - document.keys()):
            raise PricingInputError(f"recorded inputs lack {', '.join(missing)}")
        there = [name for name in MEASURED if name in document]
        measured = {n: document[n]["value"] for n in there} | {f"{n}_at": document[n]["at"] for n in there}
        return cls(**{name: document[name] for name in PLAIN if name in document}, **measured)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
