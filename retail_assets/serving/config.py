"""What services allow their callers: scopes, rates and limits, from configs/serving.yaml."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from retail_assets.core.settings import read_model
from retail_assets.resources.environments import PROJECT_ROOT, allowed_hosts
from retail_assets.serving.connections.hosts import Hosts
from retail_assets.serving.connections.wire_limits import Manners, WireLimits

CONFIG_FILE = PROJECT_ROOT / "configs" / "serving.yaml"

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]


class Rate(BaseModel):
    """Requests a second that a key may make, and how many at once after a pause."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_second: Positive
    burst: Annotated[float, Field(ge=1, allow_inf_nan=False)]


class LoadLimits(BaseModel):
    """What one process takes on before it says 503. Times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    body_bytes: Count
    active: Count
    ahead: Count
    late_s: Positive
    shed_s: Positive
    deadline_s: Positive
    slow_deadline_s: Positive
    waiting_traces: Count

    @model_validator(mode="after")
    def _late_comes_before_shed(self) -> "LoadLimits":
        if not self.late_s <= self.shed_s <= self.deadline_s <= self.slow_deadline_s:
            raise ValueError("late_s, shed_s, deadline_s and slow_deadline_s must not decrease")
        return self


class ServingConfig(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scopes: dict[str, str]
    rate: Rate
    wrong_keys: Rate
    load: LoadLimits
    hosts: tuple[str, ...]
    wire: WireLimits
    centre_wire: WireLimits

    def manners(self) -> Manners:
        """How the services speak. Raises HostError for a host that is none."""
        return Manners(self.wire, Hosts((*self.hosts, *allowed_hosts())))

    def centre_manners(self) -> Manners:
        """How the centre of stores speaks. Raises HostError for a host that is none."""
        return Manners(self.centre_wire, Hosts((*self.hosts, *allowed_hosts())))

    @classmethod
    def load_file(cls) -> "ServingConfig":
        """Reads configs/serving.yaml; raises SettingsError for a key that is unknown or out of range."""
        return read_model(CONFIG_FILE, cls)[0]
