"""From gold/forecasts to gold/forecast_levels, and from the backtest to the errors of every level."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from retail_assets.core import accuracy
from retail_assets.forecasting.cold_start import OWN
from retail_assets.forecasting.config import quantile_name
from retail_assets.planning.levels import (
    DIMENSIONS,
    LEVELS,
    LOWEST,
    LevelIntervals,
    at_levels,
    on_grid,
    week_by_week,
)
from retail_assets.resources.lake import Lake

PROOF = "forecast_backtest"
TABLE = "forecast_levels"
BASELINES = ("seasonal_naive", "weekday_mean")
PROVEN = ("units", "mean", *BASELINES)


def schema(quantile_levels: Sequence[float]) -> pa.Schema:
    """The Arrow schema of gold/forecast_levels."""
    return pa.schema(
        [
            ("level", pa.string()),
            *((name, pa.string()) for name in DIMENSIONS),
            ("target_date", pa.date32()),
            ("horizon", pa.int32()),
            ("mean", pa.float64()),
            *((quantile_name(level), pa.float64()) for level in quantile_levels),
            ("series", pa.int32()),
            ("origin_date", pa.date32()),
            ("model_version", pa.string()),
            ("business_date", pa.date32()),
        ]
    )


def forecasts_with_dimensions(lake: Lake, origin: date) -> pd.DataFrame:
    """The rows of gold/forecasts from `origin` with country, department and category."""
    found = lake.query(
        f"""select f.* exclude (business_date), s.country, p.department, p.category
            from {lake.scan("gold", "forecasts")} f
            left join {lake.scan("gold", "dim_store")} s on s.store_id = f.store_id
            left join {lake.scan("gold", "dim_product")} p on p.sku = f.sku
            where f.business_date = date '{origin}' order by f.store_id, f.sku, f.target_date"""
    )
    rows: pd.DataFrame = found.to_pandas(date_as_object=False)
    return rows if "rung" in rows else rows.assign(rung=OWN)


def proof_of(lake: Lake, quantile_levels: Sequence[float]) -> pd.DataFrame:
    """The held-back store-SKU days of the newest backtest whose demand is known."""
    names = [quantile_name(level) for level in quantile_levels]
    wanted = [*DIMENSIONS, "target_date", "horizon", *PROVEN, *names]
    proof: pd.DataFrame = lake.open("reports", PROOF).to_pyarrow_table(columns=wanted).to_pandas()
    return proof[proof["units"].notna()].reset_index(drop=True)


def level_forecasts(
    forecasts: pd.DataFrame, proof: pd.DataFrame, origin: date, quantile_levels: Sequence[float]
) -> pa.Table:
    """Rows of gold/forecast_levels: `forecasts` of `forecasts_with_dimensions` with intervals learnt from `proof`.

    A store-SKU keeps the quantiles of its own forecast; higher levels get those of their own errors.
    """
    names = [quantile_name(level) for level in quantile_levels]
    low = forecasts.assign(mean=on_grid(forecasts["mean"].to_numpy(float)), series=1)
    made = at_levels(low, ["mean", "series"])
    quantiles = np.full((len(made), len(names)), np.nan)
    proven = at_levels(proof, PROVEN)
    intervals = LevelIntervals.fit(proven[proven["level"] != LOWEST], quantile_levels)
    for level in LEVELS:
        rows = (made["level"] == level).to_numpy(bool)
        if level == LOWEST:
            own = made[rows][["store_id", "sku", "target_date"]].merge(
                forecasts[["store_id", "sku", "target_date", *names]], how="left", validate="one_to_one"
            )
            quantiles[rows] = own[names].to_numpy(float)
        else:
            quantiles[rows] = intervals.quantiles(level, made.loc[rows, "mean"].to_numpy(float))
    made[names] = quantiles
    versions = ", ".join(sorted(forecasts["model_version"].unique()))
    made = made.assign(origin_date=origin, model_version=versions, business_date=origin)
    return pa.Table.from_pandas(made, schema=schema(quantile_levels), preserve_index=False)


def level_scores(proof: pd.DataFrame, quantile_levels: Sequence[float]) -> pd.DataFrame:
    """One row per level: errors of the forecast and of both baselines, and what intervals covered in weeks left out.

    Store-SKUs are scored with the quantiles of their own forecast, which were learnt on days before `proof`.
    """
    names, shares = [quantile_name(level) for level in quantile_levels], np.array(quantile_levels)
    proven = at_levels(proof, [*PROVEN, *names])
    own, rows = (proven["level"] == LOWEST).to_numpy(bool), []
    quantiles = np.empty((len(proven), len(names)))
    quantiles[~own] = week_by_week(proven[~own].reset_index(drop=True), quantile_levels)
    quantiles[own] = proven.loc[own, names].to_numpy(float)
    for level in LEVELS:
        here = (proven["level"] == level).to_numpy(bool)
        part, made = proven[here], quantiles[here]
        units, mean = part["units"].to_numpy(float), part["mean"].to_numpy(float)
        rmse = {name: accuracy.rmse(units, part[name].to_numpy(float)) for name in BASELINES}
        rows.append(
            {
                "level": level,
                "rows": len(part),
                "wape": accuracy.wape(units, mean),
                "bias": accuracy.bias(units, mean),
                "rmse": accuracy.rmse(units, mean),
                **{f"rmse_{name}": value for name, value in rmse.items()},
                "rmse_ratio": accuracy.rmse(units, mean) / max(min(rmse.values()), 1e-12),
                "coverage_90": accuracy.coverage(units, made[:, 0], made[:, -1]),
                "pinball": accuracy.pinball(units, made, shares) / max(float(units.mean()), 1e-12),
            }
        )
    return pd.DataFrame(rows)
