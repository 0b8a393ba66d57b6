"""configs/forecast_views.yaml: Prophet's decomposition of demand, and how often each series is retrained."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from retail_assets.core.settings import read_model
from retail_assets.forecasting.config import ForecastingConfigError
from retail_assets.resources.environments import PROJECT_ROOT

VIEWS_FILE = PROJECT_ROOT / "configs" / "forecast_views.yaml"

HOW_A_RUN_WORKS = {"processes", "series_per_process", "proof_every_days", "proven_series", "budget_seconds",
                   "keep_every_seconds"}  # fmt: skip
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0.0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DecompositionConfig(_Frozen):
    """How Prophet is fitted, reconciled and proven."""

    horizon: Count
    processes: Count
    series_per_process: Count
    shortest_history: Annotated[int, Field(ge=14)]
    yearly_from_days: Annotated[int, Field(ge=365)]
    seasonality_mode: Literal["additive", "multiplicative"]
    changepoint_range: Annotated[float, Field(gt=0.0, le=1.0)]
    changepoint_prior_scale: Positive
    seasonality_prior_scale: Positive
    holidays_prior_scale: Positive
    promotion_prior_scale: Positive
    largest_rescaling: Annotated[float, Field(gt=1.0)]
    history_days: Count
    proof_every_days: Count
    proven_series: Count
    budget_seconds: Positive
    keep_every_seconds: Positive

    def fit_settings(self) -> str:
        """What the parts of a series depend on, as text; where and for how long a run fits is no part of it."""
        return self.model_dump_json(exclude=HOW_A_RUN_WORKS)


class TiersConfig(_Frozen):
    """When a series counts as fast, how often each tier is retrained, and how its model is refreshed in between."""

    decide_training: bool
    fast_from: Positive
    slow_below: Positive
    fast_days: Count
    slow_days: Count
    full_share: Annotated[float, Field(gt=0.0, le=1.0)]
    grace_days: Annotated[int, Field(ge=0)]
    refresh_days: Annotated[int, Field(ge=28)]
    refresh_rows: Annotated[int, Field(ge=1000)]
    refresh_keep: Annotated[float, Field(gt=0.0, lt=1.0)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not (self.slow_below <= self.fast_from and self.fast_days <= self.slow_days):
            raise ValueError("slow_below must not exceed fast_from, nor fast_days slow_days")
        return self


class ViewsConfig(_Frozen):
    """The whole file."""

    decomposition: DecompositionConfig
    tiers: TiersConfig

    @classmethod
    def load(cls, file: Path = VIEWS_FILE) -> Self:
        """Reads and checks `file`; raises ForecastingConfigError that names the key and the value."""
        return read_model(file, cls, ForecastingConfigError)[0]
