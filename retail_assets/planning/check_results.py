"""What the checks of planning share."""

import dagster as dg
import pandas as pd

from retail_assets.forecasting.policy import Verdict
from retail_assets.planning.read import chosen_origin
from retail_assets.resources.lake import Lake

NONE_TO_JUDGE = Verdict(True, ("there is nothing that could be wrong",), {})


def newest_rows(lake: Lake, table: str) -> pd.DataFrame:
    """The rows of `gold/<table>` of its newest origin."""
    origin = chosen_origin(lake, None, table)
    rows = lake.query(f"select * from {lake.scan('gold', table)} where business_date = date '{origin}'")
    frame: pd.DataFrame = rows.to_pandas()
    return frame


def result(name: str, asset: dg.AssetKey, verdict: Verdict, severity: dg.AssetCheckSeverity) -> dg.AssetCheckResult:
    """The verdict as Dagster shows it."""
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=verdict.passed,
        severity=severity,
        metadata={"reasons": list(verdict.reasons), **verdict.numbers},
    )
