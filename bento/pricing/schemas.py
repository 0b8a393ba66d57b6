"""What the pricing service is asked and what it answers. Money is a decimal in text, as in the decision log."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_BATCH = 200

Id = Annotated[str, Field(strict=True, min_length=1, max_length=64)]


class PriceRequest(BaseModel):
    """One store and SKU. A service decides from what is recorded: callers cannot override an input."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"example": {"store_id": "UK-001", "sku": "SKU-00001"}}
    )

    store_id: Id
    sku: Id


class PricesRequest(BaseModel):
    """Up to 200 stores and SKUs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: Annotated[list[PriceRequest], Field(min_length=1, max_length=MAX_BATCH)]


class PriceAnswer(BaseModel):
    """A decided price: what to charge, what it was, why, and which model and policy decided."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decision_id: str
    store_id: str
    sku: str
    price: Decimal
    currency: str
    previous_price: Annotated[Decimal, Field(description="The list price in force")]
    outcome: Literal["changed", "kept", "held", "conflict"]
    effective_from: date
    reasons: Annotated[
        list[str], Field(description="Sentences: the decision, each step that mattered, what is expected")
    ]
    model_version: str
    policy_hash: str
    decided_at: datetime
    business_date: Annotated[date, Field(description="The business day the inputs are of")]
    fallback: Annotated[bool, Field(description="True: the last published price, as nothing newer may be answered")]
    fallback_reason: str | None
    cache_age_s: Annotated[
        float | None,
        Field(description="Seconds since the inputs were last looked at, where their store does not answer now"),
    ]


class Problem(BaseModel):
    """Why one item of a batch has no price."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store_id: str
    sku: str
    status: int
    detail: str


class PricesAnswer(BaseModel):
    """Prices in the order of the items, and the items that have none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prices: list[PriceAnswer]
    problems: list[Problem]
