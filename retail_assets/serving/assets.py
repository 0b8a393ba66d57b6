"""Assets of serving: the releases that the gates let through."""

import dagster as dg

from retail_assets.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from retail_assets.serving.ledger import Ledger
from retail_assets.serving.policy import ReleaseDecision
from retail_assets.serving.releases import ReleaseConfig, release_if_passed

PRODUCTS = ("forecasting", "pricing")
BY = "retail refresh"


@dg.asset(
    key=["serving", "releases"],
    deps=[["forecasting", "demand_model"], ["forecasting", "backtest_report"], ["pricing", "demand_response_model"]],
    group_name="serving",
    owners=["team:data-platform"],
    kinds={"deltalake", "bentoml"},
    code_version="1",
    description="ops/releases, one row per release: the newest version of each product goes live on the cloud when its "
    "gates pass.",
)
def releases(lake: dg.ResourceParam[Lake], model_store: dg.ResourceParam[ModelStore]) -> dg.MaterializeResult:
    """Holds the newest version of every product against its gates and what is live."""
    decisions = newest_decisions(lake, model_store)
    ledger = Ledger(lake)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(ledger.log()),
            "delta_version": ledger.version() if ledger.version() is not None else "no release yet",
            "decisions": dg.MetadataValue.md(decision_table(decisions)),
            "comparisons": dg.MetadataValue.md(comparison_table(decisions)),
        }
    )


@dg.asset(
    key=["serving", "bentos"],
    group_name="serving",
    owners=["team:data-platform"],
    kinds={"bentoml"},
    code_version="1",
    description="One Bento per product, of this code and exact package versions, for the cloud and every store; what "
    "they serve is named by the release ledger. Not part of a refresh: materialise it when the code is released.",
)
def bentos(home: dg.ResourceParam[Home]) -> dg.MaterializeResult:
    """Builds what has changed."""
    from retail_assets.serving.bentos import build_all

    built = build_all(home.models)
    lines = [f"| {product} | {tag} | {'yes' if new else 'no'} |" for product, (tag, _, new) in built.items()]
    table = "\n".join(["| product | Bento | built now |", "|---|---|---|", *lines])
    return dg.MaterializeResult(metadata={"bentos": dg.MetadataValue.md(table), "dagster/row_count": len(built)})


def newest_decisions(lake: Lake, model_store: ModelStore) -> list[ReleaseDecision]:
    """Decides on, and where it passed releases, the newest version of each product that has one."""
    config, ledger = ReleaseConfig.load(), Ledger(lake)
    stored = {product: model_store.versions(product) for product in PRODUCTS}
    return [
        release_if_passed(product, versions[-1], model_store, ledger, config.gates(product), by=BY)
        for product, versions in stored.items()
        if versions
    ]


def decision_table(decisions: list[ReleaseDecision]) -> str:
    """A markdown table: what became of each candidate and why."""
    lines = [
        f"| {d.product} | {d.version} | {d.live or 'nothing'} | {d.outcome} | {'; '.join(d.reasons) or 'passed'} |"
        for d in decisions
    ]
    return "\n".join(["| product | candidate | live before | outcome | why |", "|---|---|---|---|---|", *lines])


def comparison_table(decisions: list[ReleaseDecision]) -> str:
    """A markdown table of every number that was compared."""
    lines = [
        f"| {d.product} | {c.metric} | {c.side} | {c.value} | {c.limit} | {'yes' if c.passed else '**no**'} |"
        for d in decisions
        if d.report
        for c in d.report.comparisons
    ]
    return "\n".join(["| product | metric | against | value | limit | passed |", "|---|---|---|---|---|---|", *lines])


ASSETS = [releases, bentos]
