"""Checks of planning. The decisions are in policy.py; here they meet the tables."""

from collections.abc import Iterator

import dagster as dg

from retail_assets.forecasting.config import ForecastingConfig, quantile_name
from retail_assets.forecasting.policy import Verdict, never_negative, quantiles_ascend
from retail_assets.planning import level_tables
from retail_assets.planning.assets import LEVELS_REPORT
from retail_assets.planning.check_results import NONE_TO_JUDGE, newest_rows, result
from retail_assets.planning.config import PlanningConfig
from retail_assets.planning.order_checks import CHECKS as ORDER_CHECKS
from retail_assets.planning.policy import adds_up, levels_beat_baselines, levels_calibrated, levels_complete
from retail_assets.planning.weekly_checks import CHECKS as WEEKLY_CHECKS
from retail_assets.resources.lake import Lake

LEVELS = dg.AssetKey(["planning", "forecast_levels"])
REPORT = dg.AssetKey(["planning", "levels_report"])


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "levels_add_up",
            asset=LEVELS,
            blocking=True,
            description="Each level is the sum of its store-SKUs to the last bit: two reports never disagree.",
        ),
        dg.AssetCheckSpec(
            "every_level_is_complete", asset=LEVELS, description="Twelve levels, each group with every day ahead once."
        ),
        dg.AssetCheckSpec(
            "levels_are_never_negative",
            asset=LEVELS,
            blocking=True,
            description="Means and quantiles of every level are numbers, zero or more, and quantiles do not cross.",
        ),
    ]
)
def level_checks(lake: dg.ResourceParam[Lake]) -> Iterator[dg.AssetCheckResult]:
    """Looks at the levels of the newest origin."""
    if not lake.exists("gold", level_tables.TABLE):
        verdicts = dict.fromkeys(
            ("levels_add_up", "every_level_is_complete", "levels_are_never_negative"), NONE_TO_JUDGE
        )
    else:
        config, rows = ForecastingConfig.load(), newest_rows(lake, level_tables.TABLE)
        quantiles = [quantile_name(level) for level in config.intervals.levels]
        signs, order = never_negative(rows, ["mean", *quantiles]), quantiles_ascend(rows, quantiles)
        verdicts = {
            "levels_add_up": adds_up(rows, newest_rows(lake, "forecasts")),
            "every_level_is_complete": levels_complete(rows, config.horizon),
            "levels_are_never_negative": Verdict(
                signs.passed and order.passed, (*signs.reasons, *order.reasons), signs.numbers
            ),
        }
    for name, verdict in verdicts.items():
        yield result(name, LEVELS, verdict, dg.AssetCheckSeverity.ERROR)


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "level_intervals_are_calibrated",
            asset=REPORT,
            description="At each level of size the 90 % interval covered 88 to 92 % of the weeks that were left out.",
        ),
        dg.AssetCheckSpec(
            "every_level_beats_both_baselines",
            asset=REPORT,
            description="At each level of size the RMSE of the summed mean is below seasonal naive and weekday mean.",
        ),
    ]
)
def level_proof_checks(lake: dg.ResourceParam[Lake]) -> Iterator[dg.AssetCheckResult]:
    """Looks at the newest scores of the levels."""
    config = PlanningConfig.load().levels
    calibrated = beaten = NONE_TO_JUDGE
    if lake.exists("reports", LEVELS_REPORT):
        scores = lake.open("reports", LEVELS_REPORT).to_pyarrow_table().to_pandas()
        calibrated, beaten = levels_calibrated(scores, config), levels_beat_baselines(scores, config)
    yield result("level_intervals_are_calibrated", REPORT, calibrated, dg.AssetCheckSeverity.WARN)
    yield result("every_level_beats_both_baselines", REPORT, beaten, dg.AssetCheckSeverity.WARN)


CHECKS = [level_checks, level_proof_checks, *ORDER_CHECKS, *WEEKLY_CHECKS]
