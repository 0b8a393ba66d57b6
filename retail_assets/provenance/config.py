"""configs/lineage.yaml: what the trace of a price promises."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from retail_assets.core.errors import RetailError
from retail_assets.core.settings import read_model
from retail_assets.resources.environments import PROJECT_ROOT

CONFIG_FILE = PROJECT_ROOT / "configs" / "lineage.yaml"


class LineageConfigError(RetailError):
    """configs/lineage.yaml has an unknown key or an impossible value."""


class LineageConfig(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    live_decision_days: int = Field(ge=1)
    most_decision_files: int = Field(ge=1)

    @classmethod
    def load(cls, file: Path = CONFIG_FILE) -> Self:
        """Reads and checks `file`; raises LineageConfigError that names the key and the value."""
        return read_model(file, cls, LineageConfigError)[0]
