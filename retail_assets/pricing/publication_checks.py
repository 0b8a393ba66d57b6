"""Checks of what leaves the house: the circuit breaker, decisions of every open store, and prices at the till."""

import dagster as dg

from retail_assets.pricing.config import load_config
from retail_assets.pricing.integrity import REPORT, wrong_share
from retail_assets.pricing.publication import ALERTS, BATCHES, publications
from retail_assets.pricing.switch import stopped
from retail_assets.resources.lake import Lake

PUBLISHED = dg.AssetKey(["pricing", "price_publications"])
INTEGRITY = dg.AssetKey(["pricing", "price_integrity"])


@dg.asset_check(
    asset=PUBLISHED,
    description="The circuit breaker let the newest batch pass, or a person has released or rejected it since. While "
    "it fails, the last good prices stay: `retail prices pending` says what to do.",
)
def circuit_breaker_holds(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    """Looks at the newest batch, and at what is stopped."""
    if not lake.exists("ops", BATCHES):
        return dg.AssetCheckResult(passed=True, metadata={"status": "no batch yet"})
    newest = lake.query(
        f"""select batch_id, business_date::varchar as business_date, tripped from {lake.scan("ops", BATCHES)}
            order by "at" desc limit 1"""
    ).to_pylist()[0]
    words: list[str] = []
    if newest["tripped"]:
        alerts = lake.open("ops", ALERTS).to_pyarrow_table().to_pylist()
        words = [row["words"] for row in alerts if row["batch_id"] == newest["batch_id"]]
    status = {row.store_id: row.status for row in publications(lake) if row.batch_id == newest["batch_id"]}
    withheld = sorted(store for store, value in status.items() if value == "withheld")
    return dg.AssetCheckResult(
        passed=not withheld,
        metadata={
            "batch": newest["batch_id"],
            "business_date": newest["business_date"],
            "tripped": words,
            "withheld_in": withheld,
            "stopped": [turn.place for turn in stopped(lake).turns],
        },
    )


@dg.asset_check(
    asset=INTEGRITY,
    description="In every store the share of prices scanned at the till that differ from the one that should be asked "
    "is at most what configs/pricing.yaml allows.",
)
def prices_at_the_till_are_right(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    """Reads the newest report."""
    if not lake.exists("reports", REPORT):
        return dg.AssetCheckResult(passed=True, metadata={"status": "no report yet"})
    config = load_config().publication.integrity
    column = wrong_share(config)
    rows = lake.open("reports", REPORT).to_pyarrow_table().to_pylist()
    wrong = {row["store_id"]: round(row[column], 4) for row in rows if row[column] > config.wrong_share}
    return dg.AssetCheckResult(
        passed=not wrong,
        metadata={
            "stores": len(rows),
            "limit": config.wrong_share,
            "wrong_shares": wrong,
            "worst": max((row[column] for row in rows), default=0.0),
        },
    )


CHECKS = [circuit_breaker_holds, prices_at_the_till_are_right]
