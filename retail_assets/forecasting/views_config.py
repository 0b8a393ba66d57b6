"""configs/forecast_views.yaml: Prophet's decomposition of demand, and how often each series is retrained."""

from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from retail_assets.environments import PROJECT_ROOT
from retail_assets.forecasting.config import ForecastingConfigError

VIEWS_FILE = PROJECT_ROOT / "configs" / "forecast_views.yaml"

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


class ViewsConfig(_Frozen):
    """The whole file."""

    decomposition: DecompositionConfig

    @classmethod
    def load(cls, file: Path = VIEWS_FILE) -> Self:
        """Reads and checks `file`; raises ForecastingConfigError that names the key and the value."""
        try:
            return cls.model_validate(yaml.safe_load(file.read_text()))
        except (ValidationError, yaml.YAMLError) as error:
            raise ForecastingConfigError(str(error), where=str(file), todo="correct the file") from error
