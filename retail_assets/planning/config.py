"""configs/planning.yaml: what planners get beyond the daily forecast of each store and SKU."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from retail_assets.core.errors import RetailError
from retail_assets.core.settings import read_model
from retail_assets.planning.weekly import WeeklySettings
from retail_assets.resources.environments import PROJECT_ROOT

CONFIG_FILE = PROJECT_ROOT / "configs" / "planning.yaml"

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class PlanningConfigError(RetailError):
    """A planning configuration has an unknown key or an impossible value."""


class Frozen(BaseModel):
    """Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def read(cls, file: Path) -> Self:
        """Reads and checks `file`; raises PlanningConfigError that names the key and the value."""
        return read_model(file, cls, PlanningConfigError)[0]


class LevelsConfig(Frozen):
    """When the checks of forecasts at levels fail."""

    gated_rows: Count
    covered: tuple[Share, Share]


class WeeklyConfig(Frozen):
    """Weeks ahead, the longest history read, the method's settings, and how its intervals are learnt and checked."""

    weeks: Annotated[int, Field(ge=5, le=104)]
    history_weeks: Annotated[int, Field(ge=4)]
    settings: WeeklySettings
    held_back: list[Count]
    bands: Count
    rows_per_band: Count


class PlanningConfig(Frozen):
    """The whole file."""

    levels: LevelsConfig
    weekly: WeeklyConfig

    @classmethod
    def load(cls, file: Path = CONFIG_FILE) -> Self:
        """Reads the shipped file, or `file`."""
        return cls.read(file)
