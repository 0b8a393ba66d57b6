"""Assets of serving: the releases that the gates let through, product by product."""

from collections.abc import Sequence

import dagster as dg

from retail_assets.core.markdown import Markdown, passed_word, table
from retail_assets.core.registry import products
from retail_assets.releases.gates import ReleaseConfig, decide_newest, release_if_passed
from retail_assets.releases.ledger import Ledger
from retail_assets.releases.policy import ReleaseDecision
from retail_assets.releases.rows import Release, live_rows, trial_rows
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore

PRODUCTS = tuple(products())
BY = "retail refresh"
NEWEST_ROWS = 50


def _release_asset(product: str, after: Sequence[Sequence[str]]) -> dg.AssetsDefinition:
    """A step of its own per product: where one cannot be released, the others still are."""

    @dg.asset(
        key=["serving", f"{product}_release"],
        deps=[list(key) for key in after],
        group_name="serving",
        owners=["team:data-platform"],
        kinds={"deltalake", "bentoml"},
        code_version="1",
        description=f"A row of ops/releases where the newest version of {product} passed its gates: it goes live on "
        "the cloud.",
    )
    def release(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], model_store: dg.ResourceParam[ModelStore]
    ) -> dg.MaterializeResult:
        decisions = newest_decisions(lake, model_store, context.run.run_id, [product])
        return dg.MaterializeResult(metadata={"status": " ".join(d.outcome for d in decisions) or "no version yet",
                                              **_compared(decisions)})  # fmt: skip

    return release


RELEASED = [_release_asset(product.name, product.released_after) for product in products().values()]


@dg.asset(
    key=["serving", "releases"],
    deps=RELEASED,
    group_name="serving",
    owners=["team:data-platform"],
    kinds={"deltalake", "bentoml"},
    code_version="2",
    description="ops/releases, one row per release: what is live of every product, and what its newest version was "
    "held against.",
)
def releases(lake: dg.ResourceParam[Lake], model_store: dg.ResourceParam[ModelStore]) -> dg.MaterializeResult:
    """Shows the ledger and every comparison; the steps of the products have released what passed."""
    config, ledger = ReleaseConfig.load(), Ledger(lake)
    log = ledger.log()
    decisions = [
        decide_newest(product, version, model_store, ledger, config.gates(product))
        for product, version in _newest(model_store, PRODUCTS)
    ]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(log),
            "live": dg.MetadataValue.md(release_table([*live_rows(log), *trial_rows(log)])),
            "newest": dg.MetadataValue.md(release_table(log[: -1 - NEWEST_ROWS : -1])),
            "delta_version": ledger.version() if ledger.version() is not None else "no release yet",
            **_compared(decisions),
        }
    )


def _compared(decisions: list[ReleaseDecision]) -> dict[str, dg.MetadataValue]:
    tables = {"decisions": decision_table(decisions), "comparisons": comparison_table(decisions)}
    return {name: dg.MetadataValue.md(table) for name, table in tables.items()}


def newest_decisions(
    lake: Lake, model_store: ModelStore, run_id: str | None = None, products: Sequence[str] = PRODUCTS
) -> list[ReleaseDecision]:
    """Decides on, and where it passed releases, the newest version of each of `products` that has one."""
    config, ledger = ReleaseConfig.load(), Ledger(lake)
    ledger.journal.add(ledger.whole_log())  # a ledger from before it had a copy gets one
    return [
        release_if_passed(product, version, model_store, ledger, config.gates(product), by=BY, run_id=run_id)
        for product, version in _newest(model_store, products)
    ]


def _newest(model_store: ModelStore, products: Sequence[str]) -> list[tuple[str, str]]:
    stored = [(product, model_store.versions(product)) for product in products]
    return [(product, versions[-1]) for product, versions in stored if versions]


def release_table(rows: Sequence[Release]) -> str:
    """A markdown table of rows of the ledger, with a link to the run that made each, where one did."""
    head = ("at (UTC)", "product", "target", "action", "version", "share", "before", "by", "reason", "run")
    lines = (
        (f"{r.at:%Y-%m-%d %H:%M:%S}", r.product, r.target, r.shown_action, r.version, f"{r.share * 100:.6g}%",
         r.previous or "-", r.by, r.reason, Markdown(f"[{r.run_id[:8]}](/runs/{r.run_id})") if r.run_id else "-")
        for r in rows
    )  # fmt: skip
    return table(head, lines)


def decision_table(decisions: list[ReleaseDecision]) -> str:
    """A markdown table: what became of each candidate and why."""
    rows = ((d.product, d.version, d.live or "nothing", d.outcome, "; ".join(d.reasons) or "passed") for d in decisions)
    return table(("product", "candidate", "live before", "outcome", "why"), rows)


def comparison_table(decisions: list[ReleaseDecision]) -> str:
    """A markdown table of every number that was compared."""
    rows = (
        (
            d.product,
            c.metric,
            c.side,
            c.value,
            c.limit,
            "" if c.bound is None else f"{c.bound:.4g}",
            passed_word(c.passed),
        )
        for d in decisions
        if d.report
        for c in d.report.comparisons
    )
    return table(("product", "metric", "against", "value", "limit", "bound at its confidence", "passed"), rows)


ASSETS = [*RELEASED, releases]
