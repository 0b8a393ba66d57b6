"""configs/forecasting.yaml: which series are forecast, how the model learns and how it is proven."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from retail_assets.core.errors import RetailError
from retail_assets.core.settings import read_model
from retail_assets.resources.environments import PROJECT_ROOT

CONFIG_FILE = PROJECT_ROOT / "configs" / "forecasting.yaml"

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class ForecastingConfigError(RetailError):
    """configs/forecasting.yaml has an unknown key or an impossible value."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SeriesConfig(_Frozen):
    """Which store-SKU pairs are forecast."""

    max_series: Count
    min_active_days: Annotated[int, Field(ge=0)]
    origin_days: Count


class TrainingConfig(_Frozen):
    """How many examples are drawn, and from which origins."""

    rows: Annotated[int, Field(ge=1000)]
    origin_every: Count
    days: Count
    warmup_days: Annotated[int, Field(ge=0)]


class BacktestConfig(_Frozen):
    """Days of the calibration window and of the proving window."""

    window_days: Count
    shortest_window_days: Count


class LightGBMConfig(_Frozen):
    """LightGBM's own parameter names. Only objectives with a log link fit the offset of the model.

    `tweedie_variance_power` null: measured on the examples.
    """

    objective: Literal["poisson", "tweedie"]
    learning_rate: Share
    num_iterations: Count
    num_leaves: Annotated[int, Field(ge=2)]
    min_data_in_leaf: Count
    feature_fraction: Annotated[float, Field(gt=0.0, le=1.0)]
    bagging_fraction: Annotated[float, Field(gt=0.0, le=1.0)]
    bagging_freq: Annotated[int, Field(ge=0)]
    lambda_l2: Annotated[float, Field(ge=0.0)]
    max_bin: Annotated[int, Field(ge=2)]
    cat_smooth: Annotated[float, Field(ge=0.0)]
    min_data_per_group: Count
    tweedie_variance_power: Annotated[float, Field(gt=1.0, lt=2.0)] | None


class IntervalConfig(_Frozen):
    """Quantile levels, ascending, and the size of the conformal table."""

    levels: list[Share]
    bands: Count
    rows_per_band: Count

    @field_validator("levels")
    @classmethod
    def _ascending(cls, levels: list[float]) -> list[float]:
        if levels != sorted(set(levels)) or not {0.05, 0.5, 0.95} <= set(levels):
            raise ValueError(f"levels must ascend without repetition and contain 0.05, 0.5 and 0.95, not {levels}")
        return levels


class ReportConfig(_Frozen):
    """Segments of the report, and when its checks fail."""

    volume_bands: list[float]
    gated_rows: Count
    coverage_tolerance: Share
    calibration_tolerance: Share


class ForecastingConfig(_Frozen):
    """The whole file."""

    horizon: Count
    seed: int
    threads: Count
    series: SeriesConfig
    training: TrainingConfig
    backtest: BacktestConfig
    exclude_features: list[str]
    lightgbm: LightGBMConfig
    max_categories: Count
    intervals: IntervalConfig
    report: ReportConfig

    @classmethod
    def load(cls, file: Path = CONFIG_FILE) -> Self:
        """Reads and checks `file`; raises ForecastingConfigError that names the key and the value."""
        return read_model(file, cls, ForecastingConfigError)[0]

    @property
    def reach(self) -> int:
        """Days that a forecast may lie after the newest day: those of a store whose file is late are fewer."""
        return self.horizon + self.series.origin_days

    def fingerprint(self) -> str:
        """16 hex characters that change with any value."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


def quantile_name(level: float) -> str:
    """The column of a quantile level: 0.05 is `q05`."""
    return f"q{round(level * 100):02d}"
