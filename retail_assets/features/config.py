"""configs/features.yaml: how much the checks of features look at."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from retail_assets.core.settings import read_model
from retail_assets.features.errors import FeatureError
from retail_assets.resources.environments import PROJECT_ROOT

CONFIG_FILE = PROJECT_ROOT / "configs" / "features.yaml"

Count = Annotated[int, Field(ge=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ParityConfig(_Frozen):
    """The sample of keys whose online values are compared with gold."""

    keys: Count
    seed: int


class TrainingCheckConfig(_Frozen):
    """The training set that is built to see whether it is complete."""

    days: Count
    min_known_share: Annotated[float, Field(ge=0.0, le=1.0)]


class FeaturesConfig(_Frozen):
    """All of configs/features.yaml."""

    parity: ParityConfig
    training: TrainingCheckConfig

    @classmethod
    def load(cls, file: Path = CONFIG_FILE) -> Self:
        """Reads and checks `file`; raises FeatureError that names the key and the value."""
        return read_model(file, cls, FeatureError)[0]
