"""What a trace says, as data: the JSON of the command, of the service and of the pages."""

from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from retail_assets.pricing.trace.agreement import Sum
from retail_assets.pricing.trace.models import ModelStory
from retail_assets.pricing.trace.replay import Replay
from retail_assets.provenance.forecasts import ForecastFeatures


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Feature(_Frozen):
    """One input of the decision with its value, the day it is of, and where it comes from."""

    name: str
    value: Any
    at: date | None
    gold: str | None
    how: str | None
    bronze: list[str]


class Rows(_Frozen):
    """Rows of one table at one Delta version. `version` None: the newest one."""

    table: str
    version: int | None
    rows: list[dict[str, Any]]


class DbtModel(_Frozen):
    """A dbt model between bronze and gold."""

    name: str
    path: str
    reads: list[str]


class Warehouse(_Frozen):
    """The dbt project that made the gold: its hash, and per mart the models it went through."""

    code_hash: str | None
    marts: dict[str, list[DbtModel]]


class LoadedFile(_Frozen):
    """A file that raw rows came in, as it was loaded."""

    load_id: str
    source: str
    file: str
    sha256: str
    loaded_at: datetime


class Policy(_Frozen):
    """The policy of the decision, and the rules it sets for the item's category. `missing`: why they are not shown."""

    policy_hash: str
    rules: dict[str, Any]
    missing: str | None


class Trace(_Frozen):
    """A price and everything it was made from. Amounts of `price` are in `currency`; instants are UTC.

    `family` are raw rows of the other packs of its price family, whose prices bound this one. `forecast_from` are the
    gold tables and Delta versions that the forecast behind the base demand was made from, `forecast_features` what it
    was made of, or why that cannot be shown.
    """

    decision_id: str
    store_id: str
    sku: str
    product_name: str | None
    business_date: date
    effective_from: date
    decided_at: datetime
    mode: str
    price: str
    previous_price: str
    currency: str
    outcome: str
    words: list[str]
    trail: list[dict[str, Any]]
    output: dict[str, Any]
    corrects: str | None
    corrected_by: str | None
    dagster_run_id: str | None
    git_commit: str | None
    policy: Policy
    models: list[ModelStory]
    features: list[Feature]
    gold: list[Rows]
    forecast_from: dict[str, int]
    forecast_features: ForecastFeatures | str | None
    warehouse: Warehouse
    raw: list[Rows]
    family: list[Rows]
    files: list[LoadedFile]
    quarantined: list[Rows]
    sums: list[Sum]
    sums_agree: bool
    first_difference: str | None
    replay: Replay | None
    seconds: float

    def table(self, name: str) -> list[dict[str, Any]]:
        """The traced rows of a gold table."""
        return next((rows.rows for rows in self.gold if rows.table == name), [])
