"""Checks of weekly forecasts."""

from collections.abc import Iterator

import dagster as dg
import pandas as pd

from retail_assets.forecasting.config import ForecastingConfig, quantile_name
from retail_assets.forecasting.policy import Verdict, never_negative, quantiles_ascend
from retail_assets.planning import weekly_tables
from retail_assets.planning.check_results import NONE_TO_JUDGE, newest_rows, result
from retail_assets.planning.config import PlanningConfig
from retail_assets.resources.lake import Lake

WEEKLY = dg.AssetKey(["planning", "forecasts_weekly"])
SERIES = weekly_tables.SERIES
ROUNDING = 1e-9
BLOCKING = {
    "weeks_agree_with_days": "The first four weeks are the sums of the daily forecasts of the same origin.",
    "every_series_has_every_week": "Each store-SKU that is forecast by day has each of the weeks ahead once.",
    "weeks_are_never_negative": "Means and quantiles are numbers, zero or more, and quantiles do not cross.",
}
BEATS = "weeks_beat_seasonal_naive"


@dg.multi_asset_check(
    specs=[
        *(dg.AssetCheckSpec(name, asset=WEEKLY, blocking=True, description=said) for name, said in BLOCKING.items()),
        dg.AssetCheckSpec(
            BEATS, asset=WEEKLY, description="In each band of weeks held back, WAPE is below that of seasonal naive."
        ),
    ]
)
def weekly_checks(lake: dg.ResourceParam[Lake]) -> Iterator[dg.AssetCheckResult]:
    """Looks at the weeks of the newest origin and at what was held back."""
    verdicts = dict.fromkeys((*BLOCKING, BEATS), NONE_TO_JUDGE)
    if lake.exists("gold", weekly_tables.TABLE):
        rows, daily = newest_rows(lake, weekly_tables.TABLE), newest_rows(lake, "forecasts")
        quantiles = [quantile_name(level) for level in ForecastingConfig.load().intervals.levels]
        signs, order = never_negative(rows, ["mean", *quantiles]), quantiles_ascend(rows, quantiles)
        scores = lake.open("reports", weekly_tables.REPORT).to_pyarrow_table().to_pandas()
        verdicts = {
            "weeks_agree_with_days": agrees(rows, daily),
            "every_series_has_every_week": every_week(rows, daily, PlanningConfig.load().weekly.weeks),
            "weeks_are_never_negative": Verdict(
                signs.passed and order.passed, (*signs.reasons, *order.reasons), signs.numbers
            ),
            BEATS: beats_naive(scores),
        }
    for name, verdict in verdicts.items():
        severity = dg.AssetCheckSeverity.WARN if name == BEATS else dg.AssetCheckSeverity.ERROR
        yield result(name, WEEKLY, verdict, severity)


def agrees(weekly: pd.DataFrame, daily: pd.DataFrame) -> Verdict:
    """The means of the first weeks are the sums of their days, to rounding."""
    days = daily[daily["horizon"] <= 7 * weekly_tables.DAILY_WEEKS]
    sums = days.assign(week=(days["horizon"] - 1) // 7 + 1).groupby([*SERIES, "week"], as_index=False)["mean"].sum()
    first = weekly[weekly["week"] <= weekly_tables.DAILY_WEEKS]
    both = first[[*SERIES, "week", "mean"]].merge(sums, how="outer", on=[*SERIES, "week"], suffixes=("", "_days"))
    off = ~((both["mean"] - both["mean_days"]).abs() <= ROUNDING * (1 + both["mean_days"]))
    wrong = int(off.sum())
    reasons = (f"{wrong} weeks are not the sum of their days",) if wrong else ()
    return Verdict(not wrong, reasons, {"weeks": float(len(both)), "wrong": float(wrong)})


def every_week(weekly: pd.DataFrame, daily: pd.DataFrame, weeks: int) -> Verdict:
    """Each series of `daily` has weeks 1 to `weeks` once, and no other series has any."""
    found = weekly.groupby(SERIES)["week"].agg(["count", "nunique", "max"])
    expected = daily[SERIES].drop_duplicates().set_index(SERIES)
    both = expected.join(found, how="outer")
    whole = (both["count"] == weeks) & (both["nunique"] == weeks) & (both["max"] == weeks)
    wrong = int((~whole).sum()) + len(both) - len(expected)
    reasons = (f"{wrong} series lack weeks or have too many",) if wrong else ()
    return Verdict(not wrong, reasons, {"series": float(len(expected)), "wrong": float(wrong)})


def beats_naive(scores: pd.DataFrame) -> Verdict:
    """WAPE below seasonal naive's in every band of weeks that history could hold back."""
    reasons = [
        f"weeks {row['weeks']}: WAPE {row['wape']:.3f}, seasonal naive {row['wape_seasonal_naive']:.3f}"
        for row in scores.to_dict("records")
        if not row["wape"] < row["wape_seasonal_naive"]
    ]
    return Verdict(not reasons, tuple(reasons), {"bands": float(len(scores))})


CHECKS = [weekly_checks]
