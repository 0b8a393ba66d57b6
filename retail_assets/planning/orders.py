"""Order proposals: what to order today, so that the shelf lasts until the order after this one arrives.

    order = needed - on hand - on order, in whole cases

where `needed` is the quantile, at the target service level, of the demand of all days until the next order arrives.
"""

from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from retail_assets.core.intervals import QuantileTable
from retail_assets.forecasting.cold_start import OWN
from retail_assets.planning.ordering import OrderingConfig
from retail_assets.planning.sum_quantiles import SERIES, complete_days, learnt, needed, period_sums
from retail_assets.resources.lake import Lake

TABLE = "order_proposals"
SCHEMA = pa.schema(
    [
        ("store_id", pa.string()),
        ("sku", pa.string()),
        ("service_level", pa.float64()),
        ("lead_days", pa.int32()),
        ("review_days", pa.int32()),
        ("protection_days", pa.int32()),
        ("expected_units", pa.float64()),
        ("needed_units", pa.float64()),
        ("on_hand", pa.int32()),
        ("on_order", pa.int32()),
        ("counted_on", pa.date32()),
        ("case_pack", pa.int32()),
        ("proposed_cases", pa.int32()),
        ("proposed_units", pa.int32()),
        ("reason", pa.string()),
        ("origin_date", pa.date32()),
        ("model_version", pa.string()),
        ("business_date", pa.date32()),
    ]
)


def stock(lake: Lake, origin: date) -> pd.DataFrame:
    """The newest count of each store-SKU up to `origin`: SERIES, on_hand, on_order, counted_on."""
    found = lake.query(
        f"""select store_id, sku, max(business_date) as counted_on, arg_max(on_hand, business_date) as on_hand,
                   arg_max(coalesce(on_order, 0), business_date) as on_order
            from {lake.scan("gold", "fct_sales_daily")}
            where on_hand is not null and business_date <= date '{origin}' and business_date > date '{origin}' - 28
            group by all"""
    )
    rows: pd.DataFrame = found.to_pandas()
    return rows


def held_back_sums(lake: Lake, config: OrderingConfig, proof: pd.DataFrame) -> pd.DataFrame:
    """`period_sums` of the backtest `proof`, for every number of days that an order of its series must last."""
    first, last = proof["target_date"].min(), proof["target_date"].max()
    sold = lake.query(
        f"""select store_id, sku, business_date::timestamp as target_date, gross_units
            from {lake.scan("gold", "fct_sales_daily")} where is_stocked_out
            and business_date between date '{first:%Y-%m-%d}' and date '{last:%Y-%m-%d}'"""
    ).to_pandas()
    series = proof[[*SERIES, "department", "category"]].drop_duplicates(SERIES)
    days = complete_days(proof, sold.assign(target_date=sold["target_date"].astype(proof["target_date"].dtype)))
    return period_sums(days, config.terms(series)["protection_days"].unique())


def learnt_needs(sums: pd.DataFrame, config: OrderingConfig) -> QuantileTable:
    """The quantiles of what is needed, at every service level of `config`."""
    return learnt(sums, config.service_levels(), config.calibration)


def expected_units(forecasts: pd.DataFrame, terms: pd.DataFrame) -> pd.DataFrame:
    """Expected units of each series until the next order arrives.

    `forecasts` has SERIES, horizon, mean; `terms` SERIES and protection_days. Where forecasts end earlier, their mean
    day stands for the rest. Returns `terms` with `expected_units`.
    """
    days = forecasts.merge(terms[[*SERIES, "protection_days"]], on=SERIES)
    inside = days[days["horizon"] <= days["protection_days"]].groupby(SERIES)["mean"].agg(["sum", "count"])
    rows = terms.merge(inside, left_on=SERIES, right_index=True, how="left")
    stretched = rows["sum"] * rows["protection_days"] / rows["count"]
    return rows.assign(expected_units=stretched).drop(columns=["sum", "count"])


def proposals(
    forecasts: pd.DataFrame, on_stock: pd.DataFrame, table: QuantileTable, origin: date, config: OrderingConfig
) -> pd.DataFrame:
    """One row per forecast store-SKU in the columns of SCHEMA.

    `forecasts` are those of `level_tables.forecasts_with_dimensions`, `on_stock` those of `stock`. A series without a
    count is proposed nothing, as nobody knows what it lacks, unless it has not sold yet: then its shelf is empty.
    """
    series = forecasts.drop_duplicates(SERIES)[[*SERIES, "department", "category", "model_version", "rung"]]
    series = series.reset_index(drop=True)
    rows = expected_units(forecasts, pd.concat([series, config.terms(series)], axis=1))
    rows["needed_units"] = needed(
        table,
        rows["expected_units"].to_numpy(),
        rows["protection_days"].to_numpy(),
        rows["service_level"].to_numpy(),
    )
    rows = _with_stock(rows, on_stock)
    shelf = rows["on_hand"].clip(lower=0) + rows["on_order"]
    short = (rows["needed_units"] - shelf).clip(lower=0).fillna(0.0)
    rows["proposed_cases"] = np.ceil(short / rows["case_pack"]).astype(int)
    rows["proposed_units"] = rows["proposed_cases"] * rows["case_pack"]
    rows["reason"] = _reasons(rows, short)
    return rows.assign(origin_date=origin, business_date=origin)


def _with_stock(rows: pd.DataFrame, on_stock: pd.DataFrame) -> pd.DataFrame:
    rows = rows.merge(on_stock, on=SERIES, how="left")
    empty = rows["on_hand"].isna() & rows["rung"].notna() & (rows["rung"] != OWN)
    rows.loc[empty, ["on_hand", "on_order"]] = 0
    return rows


def _reasons(rows: pd.DataFrame, short: pd.Series) -> pd.Series:
    """Why so much: one sentence per row."""

    def whole(name: str) -> pd.Series:
        return rows[name].fillna(0).astype(int).astype(str)

    need = (
        rows["expected_units"].map("{:.1f}".format) + " units expected in the " + whole("protection_days")
        + " days until the next order arrives; " + (100 * rows["service_level"]).map("{:g}".format)
        + " % service needs " + whole("needed_units") + "; "
    )  # fmt: skip
    have = whole("on_hand") + " on the shelf and " + whole("on_order") + " on the way: "
    cases = np.where(rows["proposed_cases"] == 1, " case of ", " cases of ")
    order = short.astype(int).astype(str) + " short, " + whole("proposed_cases") + cases + whole("case_pack")
    done = np.where(short > 0, order, "enough, nothing to order")
    counted: pd.Series = need + have + done
    return counted.where(rows["on_hand"].notna(), need + "stock was not counted in 28 days, so nothing is proposed")


def proposal_table(rows: pd.DataFrame) -> pa.Table:
    """`proposals` as Arrow, sorted by store and SKU."""
    return pa.Table.from_pandas(rows.sort_values(SERIES)[SCHEMA.names], schema=SCHEMA, preserve_index=False)
