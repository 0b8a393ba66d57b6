"""How far sums at every level were off, from several earlier origins: what the intervals of levels are learnt from.

A level has as many independent errors as it has weeks, and a total as few as that. One backtest has four of them; the
model that proved the newest full version has seen none of the eight weeks and more before the newest day, and is asked
from an origin a week.
"""

from datetime import date, timedelta

import pandas as pd
import pyarrow as pa

from retail_assets.core.manifest import Manifest
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.frames import Gold, crossed
from retail_assets.forecasting.model import DemandForecaster
from retail_assets.forecasting.training import TrainingSource, features_of
from retail_assets.planning.levels import DIMENSIONS, UPPER, WEEK, at_levels
from retail_assets.resources.lake import Lake

TABLE = "forecast_level_origins"
MOST_ORIGINS = 9
SCHEMA = pa.schema(
    [
        ("origin_date", pa.date32()),
        ("level", pa.string()),
        *((name, pa.string()) for name in DIMENSIONS),
        ("target_date", pa.date32()),
        ("horizon", pa.int32()),
        ("units", pa.float64()),
        ("mean", pa.float64()),
    ]
)


def earlier_origins(past_until: date, newest: date, horizon: int) -> list[date]:
    """The latest origins, a week apart from `past_until` on, whose days ahead have all come by `newest`."""
    last = (newest - past_until).days - horizon
    return [past_until + timedelta(days=back) for back in range(0, last + 1, WEEK)][-MOST_ORIGINS:]


def rolling_sums(
    lake: Lake, source: TrainingSource, model: DemandForecaster, origins: list[date], newest: date
) -> pd.DataFrame:
    """Units and mean of every group above the store-SKUs on each day ahead of each origin, in the columns of SCHEMA.

    `model` must not have seen days after the first of `origins`. Both are sums over the same store-SKUs: those whose
    demand is known that day.
    """
    config = ForecastingConfig.load()
    days = {origin - timedelta(days=back) for origin in origins for back in range(config.series.origin_days)}
    features = features_of(source, sorted(days), None, config)
    gold, parts = Gold(lake, newest), []
    try:
        for origin in origins:
            gold.learn_baseline(origin, config.reach)
            frame = gold.examples(crossed(gold.at_origin(features, origin, config.series), config.horizon, origin))
            rows = frame.assign(mean=model.mean(frame, config.threads))
            sums = at_levels(rows[rows["units"].notna()], ["units", "mean"], levels=UPPER)
            parts.append(sums.assign(origin_date=origin))
    finally:
        gold.close()
    made = pd.concat(parts, ignore_index=True)
    return made.assign(target_date=made["target_date"].dt.date)[SCHEMA.names]


def stored_sums(lake: Lake) -> pd.DataFrame | None:
    """The rows of reports/forecast_level_origins; None while there are none."""
    if not lake.exists("reports", TABLE):
        return None
    rows: pd.DataFrame = lake.open("reports", TABLE).to_pyarrow_table().to_pandas()
    return rows if len(rows) else None


def stated(full: Manifest, origins: list[date]) -> dict[str, str]:
    """What the rows follow from, for the commit of the table."""
    return {"made_from": f"{full.version} from {', '.join(map(str, origins))}"}
