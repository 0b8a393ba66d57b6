"""A mistake in a settings file is named by file, line, key and value, in plain words and not in those of a library."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from retail_assets.core.settings import SettingsError, read_model
from retail_assets.environments import PROJECT_ROOT
from retail_assets.features.config import FeaturesConfig
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.views_config import ViewsConfig
from retail_assets.lineage.config import LineageConfig
from retail_assets.planning.config import PlanningConfig
from retail_assets.pricing.config import PricingConfig
from retail_assets.serving.config import ServingConfig
from retail_assets.serving.releases import ReleaseConfig

LIBRARY = ("Extra inputs", "Input should", "Field required", "pydantic", "Value error", "type=")
FILES = {
    "features": FeaturesConfig,
    "forecasting": ForecastingConfig,
    "forecast_views": ViewsConfig,
    "lineage": LineageConfig,
    "planning": PlanningConfig,
    "pricing": PricingConfig,
    "releases": ReleaseConfig,
    "serving": ServingConfig,
}


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    share: float = Field(ge=0, le=1)
    kind: Literal["a", "b"] = "a"


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    days: int
    inner: Inner

    @model_validator(mode="after")
    def _whole(self) -> "Outer":
        if self.days == 13:
            raise ValueError("13 days bring no luck")
        return self


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("days: 1\ninner: {share: 0.5, shere: 1}\n", 2, "inner.shere: there is no such key; the nearest is 'share'"),
        ("days: 1\ninner:\n  kind: a\n", 2, "inner.share: this key is missing"),
        ("days: 1\ninner:\n  share: 3\n", 3, "inner.share: must be less than or equal to 1, not '3'"),
        (
            "days: many\ninner: {share: 1}\n",
            1,
            "days: must be a valid integer, not 'many'",
        ),
        ("days: 1\ninner: {share: 1, kind: c}\n", 2, "inner.kind: must be 'a' or 'b', not 'c'"),
        ("days: 13\ninner: {share: 1}\n", 1, "the file: 13 days bring no luck"),
        ("days: 1\ndays: 2\ninner: {share: 1}\n", 2, "the key 'days' is given twice"),
        ("days: [1\n", 2, "not valid YAML"),
    ],
)
def test_each_kind_of_mistake(tmp_path: Path, text: str, line: int, says: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as found:
        read_model(file, Outer)
    assert says in found.value.what
    assert found.value.where == f"{file}:{line}"
    assert not any(word in str(found.value) for word in LIBRARY)


@pytest.mark.parametrize("name", FILES)
def test_every_settings_file_reads_and_says_where_a_key_is_unknown(name: str, tmp_path: Path) -> None:
    shipped = PROJECT_ROOT / "configs" / f"{name}.yaml"
    read_model(shipped, FILES[name])
    text = shipped.read_text()
    broken = tmp_path / f"{name}.yaml"
    broken.write_text(f"{text}\nno_such_key_at_all: 1\n")
    with pytest.raises(SettingsError) as found:
        read_model(broken, FILES[name])
    assert found.value.where == f"{broken}:{text.count(chr(10)) + 2}"
    assert not any(word in str(found.value) for word in LIBRARY)
