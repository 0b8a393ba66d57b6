"""What the forecasting service is asked and what it answers."""

from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MAX_HORIZON = 28

Id = Annotated[str, Field(strict=True, min_length=1, max_length=64)]


class ForecastRequest(BaseModel):
    """One store and SKU, and how many days ahead of the newest business day."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"example": {"store_id": "UK-001", "sku": "SKU-00001", "horizon": 7}},
    )

    store_id: Id
    sku: Id
    horizon: Annotated[int, Field(strict=True, ge=1, le=MAX_HORIZON)] = MAX_HORIZON


class DayForecast(BaseModel):
    """Units of one business day: the mean and quantiles (`q05` is the 5 % quantile); a seasonal naive one has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    date: date
    horizon: int
    mean: float
    quantiles: dict[str, float]


class ForecastAnswer(BaseModel):
    """A forecast, which model made it and how old what it knew was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decision_id: str
    store_id: str
    sku: str
    origin_date: Annotated[date, Field(description="Last business day the forecast knows")]
    days: list[DayForecast]
    model_version: str
    rung: Annotated[
        str,
        Field(
            description="What the forecast was made from: `own history` of the SKU in the store or, of one that has "
            "none, its `analogues`, its `category in other stores` or the `store average`",
            examples=["own history"],
        ),
    ]
    decided_at: datetime
    features_at: Annotated[datetime | None, Field(description="End of the business day the features describe")]
    feature_age_s: Annotated[float | None, Field(description="Age of the features at the retailer's newest day")]
    fallback: Annotated[
        bool, Field(description="True: the last batch forecast or a seasonal naive one; `fallback_reason` says why")
    ]
    fallback_reason: str | None
    cache_age_s: Annotated[
        float | None,
        Field(description="Seconds since features or gold were last looked at, where their store does not answer now"),
    ]
