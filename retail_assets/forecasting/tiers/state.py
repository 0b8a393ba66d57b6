"""ops/series_tiers read and measured: the days that were forecast and have come; and a full training asked for."""

from datetime import date, timedelta

import pandas as pd
import pyarrow as pa

from retail_assets.forecasting.tiers.tiers import KEYS
from retail_assets.resources.lake import Lake

TABLE = "series_tiers"
SCHEMA = pa.schema(
    [
        ("store_id", pa.string()),
        ("sku", pa.string()),
        ("drift_velocity", pa.float64()),
        ("tier", pa.string()),
        ("last_retrained", pa.date32()),
        ("next_due", pa.date32()),
        ("measured_on", pa.date32()),
    ]
)
DAYS, FEWEST_DAYS = 28, 14


def stored(lake: Lake) -> pd.DataFrame:
    """The rows of ops/series_tiers; none where it was never written."""
    if not lake.exists("ops", TABLE):
        return SCHEMA.empty_table().to_pandas()
    frame: pd.DataFrame = lake.open("ops", TABLE).to_pyarrow_table().to_pandas()
    return frame


def make_due(lake: Lake) -> int:
    """Makes every series due now, so that the next run trains in full where anything changed; how many there are."""
    table = stored(lake)
    due = table.assign(next_due=table["measured_on"])
    if len(due):
        lake.overwrite("ops", TABLE, pa.Table.from_pandas(due, schema=SCHEMA, preserve_index=False))
    return len(due)


def judged(lake: Lake, newest: date) -> tuple[pd.DataFrame, str]:
    """Days that were forecast and have come (store_id, sku, units, mean), and where the forecasts are from.

    The oldest live forecast of each of the last DAYS days, where there are FEWEST_DAYS of them; before that the proof
    of the newest model, which had not seen its days either. `units` is NaN where the shelf was empty at close.
    """
    if lake.exists("gold", "forecasts"):
        live = lake.query(
            f"""select f.store_id, f.sku, f.target_date, f.mean,
                       case when not coalesce(s.is_stocked_out, false) then s.gross_units end as units
                from {lake.scan("gold", "forecasts")} f join {lake.scan("gold", "fct_sales_daily")} s
                  on s.store_id = f.store_id and s.sku = f.sku and s.business_date = f.target_date
                where f.target_date > date '{newest - timedelta(days=DAYS)}' and f.target_date <= date '{newest}'
                qualify row_number() over (partition by f.store_id, f.sku, f.target_date order by f.business_date) = 1
                order by f.store_id, f.sku, f.target_date"""
        ).to_pandas()
        if live["target_date"].nunique() >= FEWEST_DAYS:
            return live, "live forecasts"
    proof = lake.open("reports", "forecast_backtest").to_pyarrow_table(columns=[*KEYS, "units", "mean"])
    return proof.to_pandas(), "proof of the newest model"
