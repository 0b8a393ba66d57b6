"""configs/features.yaml: how much the checks of features look at."""

from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from retail_assets.environments import PROJECT_ROOT
from retail_assets.features.errors import FeatureError

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
        try:
            return cls.model_validate(yaml.safe_load(file.read_text()))
        except (ValidationError, yaml.YAMLError) as error:
            raise FeatureError(str(error), where=str(file), todo="correct the file") from error
