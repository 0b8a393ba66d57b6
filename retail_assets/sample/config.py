"""What the sample retailer is made of: sizes, countries, departments and categories, read from configs/sample.yaml."""

from datetime import date
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from retail_assets.core.errors import RetailError
from retail_assets.core.settings import read_model
from retail_assets.resources.environments import PROJECT_ROOT

CONFIG_FILE = PROJECT_ROOT / "configs" / "sample.yaml"


class SampleError(RetailError):
    """The sample retailer cannot be simulated as asked."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Scale(_Frozen):
    """How big the retailer is; `store_lines`, `web_lines` and `web_sessions` are means per open shop and day."""

    name: str
    stores: dict[str, int]
    skus: int = Field(ge=20)
    days: int = Field(ge=60)
    customers: int = Field(ge=100)
    store_lines: float = Field(gt=0)
    web_lines: float = Field(gt=0)
    web_sessions: float = Field(gt=0)


class Country(_Frozen):
    """One country: money, calendar, opening days, competitors and (city, region, time zone, mean, amplitude) rows."""

    currency: str
    price_level: float
    rate_to_usd: float
    holidays: str
    fiscal_calendar: Literal["4-5-4", "calendar"]
    black_friday: float
    closed_weekdays: list[int]
    closed_holidays: list[str] | Literal["all"]
    competitors: list[str]
    cities: list[tuple[str, str, str, float, float]]


class Department(_Frozen):
    """What the categories of a department share."""

    weekday: list[float] = Field(min_length=7, max_length=7)
    holiday: float
    black_friday: float
    lead_days: int
    restock_returns: bool


class Category(_Frozen):
    """The planted truth about one category; units are explained in configs/sample.yaml."""

    department: str
    own: float = Field(lt=-1)
    cross: float
    rival: float
    margin: float = Field(gt=0.3, lt=0.9)
    price: tuple[float, float]
    weight: float
    season: float
    peak: int
    degree: float
    noise: float = Field(gt=0)
    lot: float = Field(ge=1)
    returned: float
    promo: float
    unit: str
    packs: list[float]
    nouns: dict[str, str]


class SampleConfig(_Frozen):
    """All of configs/sample.yaml except the scales."""

    first_day: date
    countries: dict[str, Country]
    departments: dict[str, Department]
    categories: dict[str, Category]
    colours: list[dict[str, str]]
    brands: list[str]


class _File(SampleConfig):
    """All of configs/sample.yaml; a scale is named by its key."""

    scales: dict[str, Scale]

    @field_validator("scales", mode="before")
    @classmethod
    def _named(cls, scales: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {name: {"name": name, **values} for name, values in scales.items()}


@cache
def _read() -> _File:
    return read_model(CONFIG_FILE, _File, SampleError)[0]


def load_config() -> SampleConfig:
    """The sample retailer's configuration; raises SampleError for unknown or impossible values."""
    return _read()


def scale_named(name: str) -> Scale:
    """The scale of that name in configs/sample.yaml; raises SampleError for any other name."""
    scales = _read().scales
    if name not in scales:
        raise SampleError(f"{name!r} is not a scale", where=str(CONFIG_FILE), todo=f"use one of {', '.join(scales)}")
    return scales[name]
