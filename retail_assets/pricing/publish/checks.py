"""Checks of what leaves the house: the circuit breaker, decisions of every open store, and prices at the till."""

from typing import Any

import dagster as dg

from retail_assets.pricing.config import load_config
from retail_assets.pricing.publish.integrity import REPORT, wrong_share
from retail_assets.pricing.publish.paid import NEAR_10, NEAR_30
from retail_assets.pricing.publish.publication import ALERTS, BATCHES, CORRECTION, publications
from retail_assets.pricing.publish.switch import stopped
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
    newest = _newest_batch(lake) if lake.exists("ops", BATCHES) else {}
    if not newest:
        return dg.AssetCheckResult(passed=True, metadata={"status": "no batch yet"})
    words: list[str] = []
    if newest["tripped"]:
        alerts = lake.open("ops", ALERTS).to_pyarrow_table().to_pylist()
        words = [row["words"] for row in alerts if row["batch_id"] == newest["batch_id"]]
    withheld = _withheld_in(lake, newest["batch_id"])
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
    asset=PUBLISHED,
    description="Decided prices are near what customers paid of late, by revenue, or a person has released or rejected "
    "the newest batch since. Promotions and what is held back are left out; configs/pricing.yaml says how near.",
)
def decided_prices_are_near_those_paid(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    """Looks at the newest batch; one that fails is withheld."""
    newest = _newest_batch(lake) if lake.exists("ops", BATCHES) else {}
    if newest.get(NEAR_10) is None or newest.get(NEAR_30) is None:
        return dg.AssetCheckResult(passed=True, metadata={"status": "no batch has been compared yet"})
    limits = load_config().publication.paid
    far = newest[NEAR_10] < limits.within_10 or newest[NEAR_30] < limits.within_30
    return dg.AssetCheckResult(
        passed=not (far and _withheld_in(lake, newest["batch_id"])),
        metadata={
            "batch": newest["batch_id"],
            "within_10_pct": newest[NEAR_10],
            "at_least_within_10_pct": limits.within_10,
            "within_30_pct": newest[NEAR_30],
            "at_least_within_30_pct": limits.within_30,
        },
    )


def _newest_batch(lake: Lake) -> dict[str, Any]:
    rows = lake.query(
        f"""select * replace (business_date::varchar as business_date) from {lake.scan("ops", BATCHES)}
            where batch_id not like '{CORRECTION}%' order by "at" desc limit 1"""
    ).to_pylist()
    return rows[0] if rows else {}


def _withheld_in(lake: Lake, batch_id: str) -> list[str]:
    """The stores in which a batch is withheld."""
    status = {row.store_id: row.status for row in publications(lake) if row.batch_id == batch_id}
    return sorted(store for store, value in status.items() if value == "withheld")


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


CHECKS = [circuit_breaker_holds, decided_prices_are_near_those_paid, prices_at_the_till_are_right]
