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
    UPPER,
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
    forecasts: pd.DataFrame,
    proof: pd.DataFrame,
    earlier: pd.DataFrame | None,
    origin: date,
    quantile_levels: Sequence[float],
) -> pa.Table:
    """Rows of gold/forecast_levels: `forecasts` of `forecasts_with_dimensions` with the intervals of each level.

    A store-SKU keeps the quantiles of its own forecast; higher levels get those of their own errors from several
    `earlier` origins (`level_origins.stored_sums`), or of `proof` where there are none.
    """
    names = [quantile_name(level) for level in quantile_levels]
    low = forecasts.assign(mean=on_grid(forecasts["mean"].to_numpy(float)), series=1)
    made = at_levels(low, ["mean", "series"])
    quantiles = np.full((len(made), len(names)), np.nan)
    intervals = LevelIntervals.fit(_errors_of(proof, earlier), quantile_levels)
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


def _errors_of(proof: pd.DataFrame, earlier: pd.DataFrame | None) -> pd.DataFrame:
    """Units and mean of each group above the store-SKUs on days that its forecast had not seen."""
    if earlier is not None:
        return earlier
    return at_levels(proof, PROVEN, levels=UPPER)


def level_scores(proof: pd.DataFrame, earlier: pd.DataFrame | None, quantile_levels: Sequence[float]) -> pd.DataFrame:
    """One row per level: errors of the forecast and of both baselines on `proof`, and what intervals covered.

    Coverage and pinball loss are of weeks left out in turn, from all `earlier` origins. Store-SKUs are scored on
    `proof`, with the quantiles of their own forecast, which were learnt on days before; their `coverage_90` is that of
    counts (`accuracy.coverage_of_counts`), `coverage_90_closed` counts both ends as inside. `judged` is the number of
    rows behind a coverage.
    """
    names = [quantile_name(level) for level in quantile_levels]
    proven, sums = at_levels(proof, [*PROVEN, *names]), _errors_of(proof, earlier)
    made, rows = week_by_week(sums, quantile_levels), []
    for level in LEVELS:
        part = proven[proven["level"] == level]
        units, mean = part["units"].to_numpy(float), part["mean"].to_numpy(float)
        rmse = {name: accuracy.rmse(units, part[name].to_numpy(float)) for name in BASELINES}
        if level == LOWEST:
            found = _interval_scores(units, part[names].to_numpy(float), quantile_levels)
            low, high = part[names[0]].to_numpy(float), part[names[-1]].to_numpy(float)
            nominal = quantile_levels[-1] - quantile_levels[0]
            found["coverage_90"] = accuracy.coverage_of_counts(units, low, high, mean, nominal)
        else:
            here = (sums["level"] == level).to_numpy(bool)
            found = _interval_scores(sums.loc[here, "units"].to_numpy(float), made[here], quantile_levels)
        rows.append(
            {
                "level": level,
                "rows": len(part),
                "wape": accuracy.wape(units, mean),
                "bias": accuracy.bias(units, mean),
                "rmse": accuracy.rmse(units, mean),
                **{f"rmse_{name}": value for name, value in rmse.items()},
                "rmse_ratio": accuracy.rmse(units, mean) / max(min(rmse.values()), 1e-12),
                **found,
            }
        )
    return pd.DataFrame(rows)


def _interval_scores(units: np.ndarray, made: np.ndarray, quantile_levels: Sequence[float]) -> dict[str, float]:
    covered = accuracy.coverage(units, made[:, 0], made[:, -1])
    pinball = accuracy.pinball(units, made, np.array(quantile_levels)) / max(float(units.mean()), 1e-12)
    return {"judged": float(len(units)), "coverage_90": covered, "coverage_90_closed": covered, "pinball": pinball}
