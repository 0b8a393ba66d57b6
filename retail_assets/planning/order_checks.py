"""Checks of order proposals."""

from collections.abc import Iterator

import dagster as dg

from retail_assets.forecasting.policy import Verdict
from retail_assets.planning.check_results import NONE_TO_JUDGE, newest_rows, result
from retail_assets.planning.order_policy import needs_covered, proposed_for_all, sums_calibrated, whole_cases
from retail_assets.planning.ordering import OrderingConfig
from retail_assets.planning.orders import TABLE
from retail_assets.resources.lake import Lake

ORDERS = dg.AssetKey(["planning", "order_proposals"])
CLAIMS = {
    "every_forecast_series_has_a_proposal": "Each store-SKU that is forecast has one row, be it to order nothing.",
    "orders_are_whole_cases": "Orders are whole cases, zero or more.",
    "needs_are_covered": "Stock, what is on the way and the order cover what is needed, by less than a case too much.",
}


@dg.multi_asset_check(
    specs=[
        *(dg.AssetCheckSpec(name, asset=ORDERS, blocking=True, description=claim) for name, claim in CLAIMS.items()),
        dg.AssetCheckSpec(
            "sums_are_calibrated",
            asset=ORDERS,
            description="On held-back periods, demand stayed within what was needed as often as promised.",
        ),
    ]
)
def order_checks(lake: dg.ResourceParam[Lake]) -> Iterator[dg.AssetCheckResult]:
    """Looks at the proposals of the newest origin."""
    verdicts = dict.fromkeys((*CLAIMS, "sums_are_calibrated"), NONE_TO_JUDGE)
    if lake.exists("gold", TABLE):
        rows, config = newest_rows(lake, TABLE), OrderingConfig.load()
        commit = lake.open("gold", TABLE).history(1)[0]
        verdicts = {
            "every_forecast_series_has_a_proposal": proposed_for_all(rows, newest_rows(lake, "forecasts")),
            "orders_are_whole_cases": whole_cases(rows),
            "needs_are_covered": needs_covered(rows),
            "sums_are_calibrated": _calibrated(commit, config),
        }
    for name, verdict in verdicts.items():
        severity = dg.AssetCheckSeverity.ERROR if name in CLAIMS else dg.AssetCheckSeverity.WARN
        yield result(name, ORDERS, verdict, severity)


def _calibrated(commit: dict[str, str], config: OrderingConfig) -> Verdict:
    shares = {level: float(commit.get(f"covered_{level:g}", "nan")) for level in config.service_levels()}
    return sums_calibrated(shares, int(commit.get("periods", 0)), config.calibration)


CHECKS = [order_checks]
