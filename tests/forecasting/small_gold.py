"""A small retailer's gold, simulated with known demand: three stores, ten SKUs, 150 days."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from retail_assets.core.calendar import retail_calendar
from retail_assets.resources.lake import Lake

FIRST, DAYS = date(2026, 1, 5), 150
NEWEST = FIRST + timedelta(days=DAYS - 1)
STORES = {"US-001": "US", "UK-001": "UK", "DE-001": "DE"}
SKUS = [f"SKU-{n:05d}" for n in range(1, 11)]
WEEKDAY = np.array([0.8, 0.8, 0.9, 1.0, 1.2, 1.5, 1.3])
MEANS = {7: "units_mean_7", 28: "units_mean_28", 56: "units_mean_56"}


def demand() -> pd.DataFrame:
    """Daily demand of every series: Poisson with weekday, promotion and a closed Sunday in Germany."""
    chance = np.random.default_rng(20260105)
    grid = pd.MultiIndex.from_product(
        [sorted(STORES), SKUS, pd.date_range(FIRST, periods=DAYS)], names=["store_id", "sku", "day"]
    ).to_frame(index=False)
    level = dict(zip(SKUS, np.geomspace(0.3, 20.0, len(SKUS)), strict=True))
    weekday = grid["day"].dt.weekday.to_numpy()
    grid["on_promotion"] = (grid["sku"] == SKUS[6]) & (grid["day"].dt.day <= 7)
    rate = grid["sku"].map(level).to_numpy() * WEEKDAY[weekday] * np.where(grid["on_promotion"], 2.0, 1.0)
    grid["rate"] = np.where((grid["store_id"] == "DE-001") & (weekday == 6), 0.0, rate)
    grid["units"] = chance.poisson(grid["rate"]).astype(float)
    grid["is_stocked_out"] = chance.random(len(grid)) < 0.02
    grid["gross_units"] = np.where(grid["is_stocked_out"], np.floor(grid["units"] / 2), grid["units"])
    return grid[(grid["store_id"] != "DE-001") | (weekday != 6)].reset_index(drop=True)


def features(sales: pd.DataFrame) -> pd.DataFrame:
    """The feature table's columns that matter here, over calendar-day windows that end with the row's day."""
    parts = [_features_of(key, rows) for key, rows in sales.groupby(["store_id", "sku"])]
    return pd.concat(parts, ignore_index=True)


def _features_of(key: tuple[str, str], rows: pd.DataFrame) -> pd.DataFrame:
    days = pd.date_range(rows["day"].min(), NEWEST)
    units = rows.set_index("day")["gross_units"].reindex(days, fill_value=0.0)
    promoted = rows.set_index("day")["on_promotion"].reindex(days, fill_value=False).astype(float)
    found = {"store_id": key[0], "sku": key[1], "business_date": days.date, "units_lag_1": units.to_numpy()}
    found |= {name: units.rolling(window, min_periods=1).mean().to_numpy() for window, name in MEANS.items()}
    for number, day in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun")):
        own = units.where(days.weekday == number).rolling(56, min_periods=1).mean()
        found[f"units_{day}_mean_8"] = own.to_numpy()
    found["promo_share_28"] = promoted.rolling(28, min_periods=1).mean().to_numpy()
    found["active_days_56"] = 56
    frame = pd.DataFrame(found)
    closed = (key[0] == "DE-001") & (days.weekday == 6)
    return frame[~closed]


@dataclass(frozen=True)
class Features:
    """Answers as the feature store does, from a frame."""

    frame: pd.DataFrame

    def features(self, service: str) -> list[str]:
        assert service == "demand_forecast"
        return [name for name in self.frame.columns if name not in ("store_id", "sku", "business_date")]

    def gold_versions(self, service: str) -> dict[str, int]:
        return {"feat_store_product_daily": 0}

    def training_set(
        self,
        service: str,
        start: date,
        end: date,
        *,
        version: dict[str, int] | None = None,
        days: Collection[date] | None = None,
        names: Collection[str] | None = None,
    ) -> pa.Table:
        rows = self.frame[(self.frame["business_date"] >= start) & (self.frame["business_date"] <= end)]
        chosen = rows if days is None else rows[rows["business_date"].isin(days)]
        return pa.Table.from_pandas(chosen, preserve_index=False)


def write_gold(lake: Lake, sales: pd.DataFrame, frame: pd.DataFrame) -> Lake:
    """Writes the tables that forecasting reads, in the columns it reads."""
    facts = sales.assign(business_date=sales["day"].dt.date, on_hand=np.where(sales["is_stocked_out"], 0, 9))
    facts["returned_units"] = 0.0
    columns = ["store_id", "sku", "business_date", "gross_units", "returned_units", "on_hand", "is_stocked_out",
               "on_promotion"]  # fmt: skip
    lake.overwrite(
        "gold", "fct_sales_daily", pa.Table.from_pandas(facts[columns], preserve_index=False), ["business_date"]
    )
    lake.overwrite(
        "gold", "feat_store_product_daily", pa.Table.from_pandas(frame, preserve_index=False), ["business_date"]
    )
    lake.overwrite("gold", "dim_calendar", retail_calendar(FIRST, date(2026, 12, 31), sorted(STORES.values())))
    stores = [
        {"store_id": s, "country": c, "time_zone": "Europe/Berlin", "is_inferred": False} for s, c in STORES.items()
    ]
    lake.overwrite("gold", "dim_store", pa.Table.from_pylist(stores))
    schema = pa.schema([("sku", pa.string()), ("category", pa.string()), ("department", pa.string()),
                        ("launched_on", pa.date32()), ("discontinued_on", pa.date32())])  # fmt: skip
    products = [{"sku": s, "category": f"c{n % 3}", "department": f"d{n % 2}"} for n, s in enumerate(SKUS)]
    lake.overwrite("gold", "dim_product", pa.Table.from_pylist(products, schema=schema))
    lake.overwrite("gold", "dim_promotion", pa.Table.from_pylist(promotions()))
    return lake


def promotions() -> list[dict[str, object]]:
    """One planned promotion in the first week of each month, announced 30 days before."""
    firsts = [date(2026, month, 1) for month in range(1, 8)]
    return [
        {"promo_code": f"P{first.month}", "country": country, "sku": SKUS[6], "starts_on": first,
         "ends_on": first + timedelta(days=6), "discount_pct": 25.0, "announced_on": first - timedelta(days=30)}
        for first in firsts for country in sorted(STORES.values())
    ]  # fmt: skip
