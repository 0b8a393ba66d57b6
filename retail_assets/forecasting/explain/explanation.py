"""Why a stored forecast is what it is: its reasons in units, and what they are beside in the store's department.

Both models tell one story: the reasons of the SKU forecasts are summed over the department, Prophet's parts of the same
department are scaled to the same sum, and what Prophet alone would have said stays beside them. All units are whole
millionths, so that every sum on the page is equal and not nearly equal.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from retail_assets.core.errors import RetailError
from retail_assets.forecasting.context import ForecastContext
from retail_assets.forecasting.explain.contributions import GROUPS, contributions
from retail_assets.forecasting.explain.decomposition_rows import TABLE as COMPONENTS
from retail_assets.forecasting.explain.decomposition_run import reached
from retail_assets.forecasting.explain.demand_panel import STORE_DEPARTMENT
from retail_assets.forecasting.explain.reconciliation_view import UNIT, decimals, grouped, millionths
from retail_assets.forecasting.model import DemandForecaster, recorded_baseline, request_frame
from retail_assets.forecasting.training import PRODUCT
from retail_assets.provenance.forecasts import LAST_DIGITS, read_features
from retail_assets.provenance.snapshots import Snapshots
from retail_assets.releases.refused import explained
from retail_assets.resources.environments import Environment
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_proof import proven
from retail_assets.resources.model_store import ModelStore

HISTORY_DAYS, RECENT_DAYS = 56, 28


class ExplainError(RetailError):
    """There is no forecast of the series, or what it was made from is gone."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sold(_Frozen):
    """A day of the past."""

    day: date
    units: float
    is_stocked_out: bool


class DayAhead(_Frozen):
    """A day of the forecast: mean and 90 % interval in units, and `reasons` per group that add up to the mean."""

    day: date
    mean: Decimal
    q05: float
    q95: float
    reasons: dict[str, Decimal]
    discount: float
    holiday: str | None


class DepartmentDay(_Frozen):
    """A day of the department: `total` is the sum of its SKU forecasts and of each of both dictionaries."""

    day: date
    total: Decimal
    skus: dict[str, Decimal]
    prophet: dict[str, Decimal] | None
    prophet_alone: float | None


class Department(_Frozen):
    """The department of the SKU in the store. `history` are Prophet's parts per day of the past, in units."""

    place: str
    product_group: str
    series: int
    days: list[DepartmentDay]
    history: list[dict[str, Any]]
    note: str | None


class Explanation(_Frozen):
    """The whole answer. `is_reproduced`: the recorded version gives the recorded forecast from the recorded gold.

    `rung` is what the forecast rests on where it is not the series' own history; `recent_mean` is in units a day.
    """

    store_id: str
    sku: str
    product_name: str | None
    department_name: str | None
    category: str | None
    origin: date
    model_version: str
    is_reproduced: bool
    rung: str | None = None
    recent_mean: float | None
    history: list[Sold]
    days: list[DayAhead]
    department: Department | None

    @property
    def total(self) -> Decimal:
        """Units over the whole horizon."""
        return sum((day.mean for day in self.days), Decimal(0))

    def total_of(self, group: str) -> Decimal:
        """Units over the whole horizon that belong to a group of reasons."""
        return sum((day.reasons[group] for day in self.days), Decimal(0))


@dataclass(frozen=True)
class _Stored:
    """The newest forecast of a store: rows of its department, and the gold it was made from."""

    rows: pd.DataFrame
    origin: date
    versions: dict[str, int]


def explain(environment: Environment, store_id: str, sku: str) -> Explanation:
    """Explains the newest forecast of a store-SKU.

    Raises ExplainError where there is none, VersionGone or ModelStoreError where gold or model of that time are gone.
    """
    lake = environment.lake
    product = _product(lake, sku)
    stored = _stored(lake, store_id, sku, product)
    own = stored.rows[stored.rows["sku"] == sku]
    context = ForecastContext.read(lake, since=stored.origin, versions=stored.versions)
    store = ModelStore.at(environment.home.models)
    reasons, reproduced = _reasons(lake, store, stored, context, store_id)
    days = [day.date() for day in own["target_date"]]
    discounts = context.planned_discount(context.store(store_id).country, sku, stored.origin, days)
    history = _history(lake, store_id, sku, stored)
    recent = [day.units for day in history if day.day > stored.origin - timedelta(days=RECENT_DAYS)]
    return Explanation(
        store_id=store_id,
        sku=sku,
        product_name=product.get("name"),
        department_name=product.get("department"),
        category=product.get("category"),
        origin=stored.origin,
        model_version=str(own["model_version"].iloc[0]),
        is_reproduced=reproduced,
        rung=str(own["rung"].iloc[0]) if "rung" in own else None,
        recent_mean=sum(recent) / RECENT_DAYS if recent else None,
        history=history,
        days=_days(own, discounts, reasons.loc[own.index], _holidays(lake, context, store_id)),
        department=_department(lake, store_id, product, stored, reasons),
    )


def _product(lake: Lake, sku: str) -> dict[str, Any]:
    lake.open("gold", "dim_product")  # says what to do where there is none
    with lake.connect() as db:
        asked = f"select * from {lake.scan('gold', 'dim_product')} where sku = ?"
        rows = db.execute(asked, [sku]).to_arrow_table().to_pylist()
    if not rows:
        raise ExplainError(f"SKU {sku!r} is not in gold/dim_product", todo="check the spelling of --sku")
    return dict(rows[0])


def _stored(lake: Lake, store_id: str, sku: str, product: Mapping[str, Any]) -> _Stored:
    """The newest rows of the store for every SKU of the department (of the SKU alone where it has none)."""
    if not lake.exists("gold", "forecasts"):
        none = ExplainError("there are no forecasts yet", where=f"{lake.uri}/gold/forecasts", todo="`retail run`")
        raise explained(lake, "forecasting", none)
    made_from = lake.open("gold", "forecasts").history(1)[0].get("gold")
    table, products = lake.scan("gold", "forecasts"), lake.scan("gold", "dim_product")
    with lake.connect() as db:
        newest = f"select max(business_date) from {table}"
        rows = db.execute(
            f"""select f.* from {table} f join {products} p on p.sku = f.sku
                where f.store_id = ? and (f.sku = ? or p.department = ?) and f.business_date = ({newest})
                order by f.sku, f.target_date""",
            [store_id, sku, product.get("department")],
        ).df()
    if not (rows["sku"] == sku).any():
        raise ExplainError(
            f"the newest forecasts have no SKU {sku!r} in store {store_id!r}",
            where=f"{lake.uri}/gold/forecasts",
            todo="check --store and --sku; a SKU that is not active in a store is not forecast there",
        )
    if made_from is None:
        raise ExplainError("the forecasts do not say which gold they were made from", todo="`retail run`")
    return _Stored(rows, rows["business_date"].iloc[0].date(), json.loads(made_from))


def _reasons(
    lake: Lake, store: ModelStore, stored: _Stored, context: ForecastContext, store_id: str
) -> tuple[pd.DataFrame, bool]:
    """Units per group (columns GROUPS) of each stored row, and whether the model makes the recorded forecasts again.

    A SKU without features was not forecast from a history of its own: its forecast is level.
    """
    frames, rows = [], stored.rows
    with Snapshots(lake) as reader:
        for sku, own in rows.groupby("sku", sort=True):
            features = read_features(reader, stored.versions, store_id, str(sku), stored.origin)
            if features is None:
                continue
            horizon = (own["target_date"].max().date() - features.day).days
            baseline = recorded_baseline(own.to_dict("records"))
            frame = request_frame(store_id, str(sku), features.values(), context, features.day, horizon, baseline)
            frames.append(frame[pd.to_datetime(frame["target_date"]) > pd.Timestamp(stored.origin)])
    reasons = pd.DataFrame(0.0, index=rows.index, columns=list(GROUPS)).assign(level=rows["mean"])
    if not frames:
        return reasons, True
    frame = pd.concat(frames, ignore_index=True)
    warm = rows["sku"].isin(frame["sku"].unique()).to_numpy()
    model = DemandForecaster.load(proven(store, PRODUCT, str(rows["model_version"][warm].iloc[0])))
    recorded = rows["mean"][warm].to_numpy(float)
    if len(frame) != len(recorded):
        raise ExplainError(
            f"{len(recorded)} days are recorded, {len(frame)} can be forecast again",
            where=f"{lake.uri}/gold/forecasts",
            todo="`retail run` makes the forecasts again",
        )
    reasons.loc[warm] = contributions(model, frame).to_numpy()
    same = abs(model.mean(frame) - recorded) <= LAST_DIGITS * recorded.clip(min=1.0)
    return reasons, bool(same.all())


def _history(lake: Lake, store_id: str, sku: str, stored: _Stored) -> list[Sold]:
    table = lake.scan("gold", "fct_sales_daily", stored.versions.get("fct_sales_daily"))
    first = stored.origin - timedelta(days=HISTORY_DAYS - 1)
    with lake.connect() as db:
        rows = db.execute(
            f"""select business_date, gross_units, coalesce(is_stocked_out, false) from {table}
                where store_id = ? and sku = ? and business_date between ? and ? order by 1""",
            [store_id, sku, first, stored.origin],
        ).fetchall()
    return [Sold(day=day, units=units, is_stocked_out=out) for day, units, out in rows]


def _holidays(lake: Lake, context: ForecastContext, store_id: str) -> dict[date, str]:
    with lake.connect() as db:
        rows = db.execute(
            f"select calendar_date, coalesce(holiday_name, 'holiday') from {lake.scan('gold', 'dim_calendar')} "
            "where country = ? and is_holiday",
            [context.store(store_id).country],
        ).fetchall()
    return dict(rows)


def _days(
    rows: pd.DataFrame, discounts: NDArray[np.float64], reasons: pd.DataFrame, holidays: Mapping[date, str]
) -> list[DayAhead]:
    days = [day.date() for day in rows["target_date"]]
    means, told = exact(reasons, rows["mean"].to_numpy(float))
    return [
        DayAhead(day=day, mean=mean, q05=low, q95=high, reasons=why, discount=off, holiday=holidays.get(day))
        for day, mean, why, low, high, off in zip(days, means, told, rows["q05"], rows["q95"], discounts, strict=True)
    ]


def exact(reasons: pd.DataFrame, totals: Any) -> tuple[list[Decimal], list[dict[str, Decimal]]]:
    """`totals` and `reasons` (columns GROUPS, rows that add up to them) as decimals that add up exactly.

    What rounding to millionths leaves over is level.
    """
    whole = millionths(totals)
    made = {group: millionths(reasons[group].to_numpy(float)) for group in GROUPS}
    made["level"] = whole - sum(values for group, values in made.items() if group != "level")
    columns = {group: decimals(values) for group, values in made.items()}
    return decimals(whole), [{group: columns[group][at] for group in GROUPS} for at in range(len(whole))]


def _department(
    lake: Lake, store_id: str, product: Mapping[str, Any], stored: _Stored, reasons: pd.DataFrame
) -> Department | None:
    name = product.get("department")
    if name is None:
        return None
    by_day = stored.rows.groupby("target_date", sort=True)["mean"].sum()
    summed = reasons.groupby(stored.rows["target_date"].to_numpy()).sum()
    days = [day.date() for day in by_day.index]
    components = _components(lake, store_id, name)
    ahead = _ahead(components)
    sums = [_same_sum(ahead.get(day), total) for day, total in zip(days, by_day, strict=True)]
    totals, skus = exact(summed, np.array(sums))
    told = [_prophet(ahead.get(day), total) for day, total in zip(days, totals, strict=True)]
    return Department(
        place=store_id,
        product_group=name,
        series=stored.rows["sku"].nunique(),
        days=[
            DepartmentDay(day=day, total=total, skus=why, prophet=parts, prophet_alone=alone)
            for day, total, why, (parts, alone) in zip(days, totals, skus, told, strict=True)
        ],
        history=_past(components),
        note=_note(lake, components, all(parts is not None for parts, _ in told)),
    )


def _note(lake: Lake, components: pd.DataFrame | None, is_of_these_forecasts: bool) -> str | None:
    """Why Prophet's view is not told, where it is not; runs decompose the largest series first, for a limited time."""
    if components is not None and is_of_these_forecasts:
        return None
    fresh, series = reached(lake) or (0, 0)
    far = f" ({fresh:,} of {series:,} series are done, the largest first)" if fresh < series else ""
    if components is None:
        return f"Prophet's view of the department is not there yet{far}: `retail run` goes on with it"
    return f"Prophet's view was made from other forecasts than these{far}: `retail run` makes it again"


def _components(lake: Lake, store_id: str, department: str) -> pd.DataFrame | None:
    if not lake.exists("gold", COMPONENTS):
        return None
    with lake.connect() as db:
        asked = f"""select * from {lake.scan("gold", COMPONENTS)}
                    where hierarchy = ? and place = ? and product_group = ? order by day"""
        rows = db.execute(asked, [STORE_DEPARTMENT, store_id, department]).to_arrow_table().to_pandas()
    return rows if len(rows) else None


def _ahead(components: pd.DataFrame | None) -> dict[date, dict[str, Any]]:
    if components is None:
        return {}
    rows = components[components["is_forecast"]]
    return {row["day"]: {str(name): value for name, value in row.items()} for row in rows.to_dict("records")}


def _same_sum(row: Mapping[str, Any] | None, total: float) -> float:
    """The published sum where it is `total` in all but the last place: the order of a sum moves that one."""
    published = None if row is None else row["bottom_up"]
    return float(published) if published is not None and abs(float(published) - total) < 2 / UNIT else total


def _prophet(row: Mapping[str, Any] | None, total: Decimal) -> tuple[dict[str, Decimal] | None, float | None]:
    """Prophet's parts of a day, where they were scaled to this very total, and what Prophet alone says."""
    if row is None:
        return None, None
    parts = {group: row[f"{group}_units"] for group in GROUPS} if row["bottom_up"] == total else None
    return parts, float(row["prophet"])


def _past(components: pd.DataFrame | None) -> list[dict[str, Any]]:
    if components is None:
        return []
    past = components[~components["is_forecast"]].reset_index(drop=True)
    groups = grouped(past).round(3)
    units = [None if pd.isna(sold) else float(sold) for sold in past["units"]]
    return [
        {"day": day, "units": sold, **{group: float(groups[group].iloc[at]) for group in GROUPS}}
        for at, (day, sold) in enumerate(zip(past["day"], units, strict=True))
    ]


def mismatches(explanation: Explanation) -> list[str]:
    """Every sum on the page that is not equal; empty for any explanation that `explain` makes."""
    wrong = [f"the reasons of {d.day}" for d in explanation.days if _sum(d.reasons.values()) != d.mean]
    for day in explanation.department.days if explanation.department else []:
        told: Sequence[dict[str, Decimal] | None] = (day.skus, day.prophet)
        wrong += [f"the department on {day.day}" for parts in told if parts and _sum(parts.values()) != day.total]
    return wrong


def _sum(values: Any) -> Decimal:
    return sum(values, Decimal(0))
