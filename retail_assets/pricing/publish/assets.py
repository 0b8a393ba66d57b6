"""Assets of pricing behind the decisions: what is published, the files for other systems, and what the tills scan."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from retail_assets.core.figures import new_figure
from retail_assets.core.markdown import table
from retail_assets.pricing.config import load_config
from retail_assets.pricing.decide.gold_inputs import gold_versions, read_inputs
from retail_assets.pricing.decide.log import batch_state, is_decided
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.publish.integrity import REPORT, integrity, wrong_share
from retail_assets.pricing.publish.price_files import write_price_files
from retail_assets.pricing.publish.publication import state_to_record
from retail_assets.pricing.publish.publishing import Published, publish
from retail_assets.pricing.publish.repeated import is_noted
from retail_assets.pricing.response.model import PRODUCT, PriceModel
from retail_assets.pricing.response.training import newest_day
from retail_assets.releases.assignment import Assignment
from retail_assets.resources.dagster.unchanged import unchanged
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore

if TYPE_CHECKING:
    import pyarrow as pa

GROUP = "pricing"
OWNERS = ["team:pricing"]
DECISION_CODE = "4"
DECISIONS = dg.AssetKey(["pricing", "price_decisions"])
DAILY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=48), warn_window=timedelta(hours=30))


@dg.asset(
    key=["pricing", "price_publications"],
    deps=[DECISIONS],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"deltalake"},
    code_version="1",
    freshness_policy=DAILY,
    description="ops/price_publications: what became of the newest batch of decisions in each store: published, "
    "waiting for a person, kept in the shadow, stopped, or withheld by the circuit breaker. Append-only.",
)
def price_publications(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], model_store: dg.ResourceParam[ModelStore]
) -> dg.MaterializeResult:
    """Judges the newest batch and publishes it as the modes of its stores say, once."""
    assigned = Assignment.sound(lake, PRODUCT, model_store)
    if not assigned.versions or newest_day(lake) is None:
        return dg.MaterializeResult(metadata={"status": "nothing is decided yet"})
    config, gold = load_config(), gold_versions(lake)
    rulebook = Rulebook.of(config.policy)
    decided = batch_state(gold, assigned.name, rulebook.policy_hash, DECISION_CODE)
    if not is_decided(lake, decided):
        return dg.MaterializeResult(metadata={"status": "the newest inputs are not decided yet"})
    state = state_to_record(lake, decided)
    if state is None or is_noted(lake, state):
        return unchanged(model_version=", ".join(assigned.versions))
    models = assigned.load(model_store, PriceModel.load)
    inputs = read_inputs(lake, gold)
    shares, day = assigned.shares(inputs.rows), inputs.business_date
    if not shares:
        return dg.MaterializeResult(metadata={"status": "no store with prices has a release"})
    manifests = {share.version: model_store.manifest(PRODUCT, share.version) for share in shares}
    done = publish(lake, models, manifests, shares, rulebook, day, state, config.publication, context.run.run_id)
    return dg.MaterializeResult(metadata=_metadata(done))


@dg.asset(
    key=["pricing", "price_files"],
    deps=[price_publications],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"csv"},
    code_version="1",
    description="outbox/prices/<first day of validity>/<store>.csv with the published prices of each store, beside it "
    "a JSON with versions, counts and the checksum. Written only where the content changed.",
)
def price_files(lake: dg.ResourceParam[Lake], home: dg.ResourceParam[Home]) -> dg.MaterializeResult:
    """Writes the price file of every store with published prices."""
    files = write_price_files(lake, home)
    rows = ((f.store_id, f.rows, f.changed, f.path) for f in files)
    written = sum(f.written for f in files)
    return dg.MaterializeResult(
        metadata={
            "status": "written" if written else "unchanged",
            "files": len(files),
            "written": written,
            "dagster/row_count": sum(f.rows for f in files),
            "per_store": dg.MetadataValue.md(table(("store", "rows", "changed", "file"), rows)),
        }
    )


@dg.asset(
    key=["pricing", "price_integrity"],
    deps=[["bronze", "pos_lines"], ["gold", "fct_price_history"], price_publications],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"duckdb"},
    code_version="1",
    freshness_policy=DAILY,
    description="reports/price_integrity: one row per store and newest business date: how many lines without a "
    "promotion the tills scanned at another price than the one listed, and than the one published.",
)
def price_integrity(lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Compares the tills of the last days with the price list and the published prices."""
    day, config = newest_day(lake), load_config().publication.integrity
    if day is None or not lake.exists("bronze", "pos_lines"):
        return dg.MaterializeResult(metadata={"status": "no sales yet"})
    rows = integrity(lake, day, config)
    version = lake.overwrite("reports", REPORT, rows)
    return dg.MaterializeResult(
        metadata={
            "status": "compared",
            "dagster/row_count": rows.num_rows,
            "delta_version": version,
            "lines": int(sum(rows["lines"].to_pylist())),
            "wrong_shares": dg.MetadataValue.md(integrity_plot(rows, wrong_share(config), config.wrong_share)),
        }
    )


def integrity_plot(rows: "pa.Table", column: str, limit: float) -> str:
    """A markdown image (inline PNG): the share of wrong prices of each store, and the limit."""

    from retail_assets.pricing.report import _image

    figure = new_figure(9.0, 2.4)
    axes = figure.subplots()
    axes.bar(rows["store_id"].to_pylist(), [100 * share for share in rows[column].to_pylist()], color="#4c72b0")
    axes.axhline(100 * limit, color="#c44e52", linewidth=0.8, linestyle=":")
    axes.set_ylabel("wrong prices, %", fontsize=8)
    axes.tick_params(labelsize=7)
    return _image(figure, "share of wrong prices per store")


def _metadata(done: Published) -> dict[str, Any]:
    head = (
        "", "rows", "on promotion", "changed", "mean change", "changed, by revenue", "mean change, by revenue",
        "at a guardrail", "revenue at risk", "promised gain",
    )  # fmt: skip
    rows = (
        (n.scope, n.rows, n.planned, f"{n.changed:.1%}", f"{n.mean_change:+.2%}", f"{n.changed_revenue:.1%}",
         f"{n.mean_change_revenue:+.2%}", f"{n.at_guardrail:.1%}", f"{n.revenue_at_risk:.2%}", f"{n.promised_gain:.2%}")
        for n in done.numbers
    )  # fmt: skip
    return {
        "status": "the same prices as before"
        if done.repeats
        else "withheld by the circuit breaker"
        if done.findings
        else ", ".join(done.counts) or "no store",
        "batch": done.batch_id,
        "stores": done.counts,
        "rows": done.rows,
        "held_back": done.held_back,
        "paid_within_10_pct": done.near.within_10,
        "paid_within_30_pct": done.near.within_30,
        "tripped": [finding.words for finding in done.findings],
        "numbers": dg.MetadataValue.md(table(head, rows)),
    }


ASSETS = [price_publications, price_files, price_integrity]
