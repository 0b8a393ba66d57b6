"""Assets of pricing: the demand response model, its report, and the prices that the live model decides."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.core.markdown import shown
from retail_assets.pricing import report
from retail_assets.pricing.config import load_config
from retail_assets.pricing.decide.batches import decide_shares
from retail_assets.pricing.decide.decisions import Provenance
from retail_assets.pricing.decide.gold_inputs import BatchInputs, gold_versions, read_inputs
from retail_assets.pricing.decide.kept_policies import record_policy
from retail_assets.pricing.decide.log import append_batch, batch_state, is_decided, stands
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.publish.assets import ASSETS as PUBLICATION_ASSETS
from retail_assets.pricing.publish.assets import DECISION_CODE
from retail_assets.pricing.response.model import PRODUCT, PriceModel
from retail_assets.pricing.response.training import (
    CODE_VERSION,
    current_version,
    elasticity_spread,
    newest_day,
    save,
    train,
)
from retail_assets.pricing.response.training import gold_versions as training_versions
from retail_assets.pricing.response.training_frames import ResponseDataError
from retail_assets.pricing.trace.example import example_trace
from retail_assets.provenance.records import made_from, record_warehouse_code
from retail_assets.releases.assignment import Assignment, share_table
from retail_assets.releases.untrained import untrained
from retail_assets.resources.dagster.unchanged import unchanged
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from retail_assets.resources.source_control import git_commit

GROUP = "pricing"
OWNERS = ["team:pricing"]
RESPONSES = "pricing_response"
DAILY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=48), warn_window=timedelta(hours=30))
NOTHING_LIVE = "no pricing model is live"
WEEKLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=14), warn_window=timedelta(days=8))
HEADLINES = ("holdout_skill", "holdout_wape", "holdout_wape_no_response", "elasticity_median", "skus")


@dg.asset(
    key=["pricing", "demand_response_model"],
    deps=[["gold", "fct_sales_daily"], ["gold", "dim_product"], ["gold", "dim_store"], ["gold", "dim_promotion"]],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"numpy", "bentoml"},
    code_version=CODE_VERSION,
    freshness_policy=WEEKLY,
    description="Own-price elasticity of every SKU with its interval, partially pooled to its category: a hierarchical "
    "Poisson regression. A version in the model store per week of new data, or change of code or configuration.",
)
def demand_response_model(
    lake: dg.ResourceParam[Lake], model_store: dg.ResourceParam[ModelStore]
) -> dg.MaterializeResult:
    """Trains and stores a version, unless the newest one is still good."""
    config, gold = load_config(), training_versions(lake)
    until = newest_day(lake)
    if until is None:
        return dg.MaterializeResult(metadata={"status": "no sales yet"})
    current = current_version(model_store, config, gold, until)
    if current is not None:
        return unchanged(version=current)
    try:
        training = train(lake, config, gold, until)
    except ResponseDataError as error:
        return untrained(lake, model_store, PRODUCT, error)
    version = save(training, config, model_store, datetime.now(UTC), git_commit())
    return dg.MaterializeResult(
        metadata={
            "status": "trained",
            "version": version,
            "dagster/row_count": len(training.frame.units),
            "train_from": str(training.train_from),
            "train_until": str(training.train_until),
            **{name: training.metrics[name] for name in HEADLINES},
            **{f"elasticity_{name}": value for name, value in elasticity_spread(training.model).items()},
        }
    )


@dg.asset(
    key=["pricing", "response_report"],
    deps=[demand_response_model],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"python"},
    code_version=CODE_VERSION,
    description="reports/pricing_response: one row per SKU of the newest demand response model, with the errors of the "
    "model and of two baselines on held-back weeks, and demand curves to look at.",
)
def response_report(lake: dg.ResourceParam[Lake], model_store: dg.ResourceParam[ModelStore]) -> dg.MaterializeResult:
    """Writes what the newest model learnt and draws it."""
    versions = model_store.versions(PRODUCT)
    if not versions:
        return dg.MaterializeResult(metadata={"status": "no model yet"})
    version = versions[-1]
    if lake.exists("reports", RESPONSES) and _reported(lake) == version:
        return unchanged(model_version=version)
    model = PriceModel.load(model_store.path(PRODUCT, version))
    responses = report.response_table(model, lake)
    table = pa.Table.from_pandas(responses, preserve_index=False)
    delta = lake.overwrite("reports", RESPONSES, table, metadata={"model_version": version})
    return dg.MaterializeResult(
        metadata={
            "status": "reported",
            "model_version": version,
            "delta_version": delta,
            "dagster/row_count": len(responses),
            "against_baselines": dg.MetadataValue.md(
                report.contender_table(model_store.manifest(PRODUCT, version).metrics)
            ),
            "by_category": dg.MetadataValue.md(report.category_table(responses)),
            "demand_curves": dg.MetadataValue.md(report.demand_curves(responses)),
            "elasticities": dg.MetadataValue.md(report.elasticity_plot(responses)),
        }
    )


@dg.asset(
    key=["pricing", "price_decisions"],
    deps=[
        ["serving", "pricing_release"],
        ["forecasting", "forecasts"],
        ["gold", "fct_sales_daily"],
        ["gold", "fct_price_history"],
        ["gold", "dim_promotion"],
        ["gold", "dim_store"],
        ["gold", "dim_product"],
    ],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"deltalake"},
    code_version=DECISION_CODE,
    freshness_policy=DAILY,
    description="decisions/pricing: one row per listed store-SKU and business date with its price for the next day, "
    "the inputs and the trail of guardrails, decided by the version that the release ledger routes to its store. "
    "Append-only; deciding the same again adds nothing.",
)
def price_decisions(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], model_store: dg.ResourceParam[ModelStore]
) -> dg.MaterializeResult:
    """Decides the newest business date, unless exactly that was decided before."""
    assigned, day = Assignment.sound(lake, PRODUCT, model_store), newest_day(lake)
    if not assigned.versions or day is None:
        return dg.MaterializeResult(metadata={"status": "no sales yet" if assigned.versions else NOTHING_LIVE})
    rulebook, gold = Rulebook.of(load_config().policy), gold_versions(lake)
    state = batch_state(gold, assigned.name, rulebook.policy_hash, DECISION_CODE)
    if is_decided(lake, state) and stands(lake, day, rulebook.policy_hash, assigned.version_of):
        return unchanged(model_version=", ".join(assigned.versions))
    models = assigned.load(model_store, PriceModel.load)
    inputs = read_inputs(lake, gold)
    shares = assigned.shares(inputs.rows)
    made = made_from(lake, gold)
    record_policy(lake, rulebook)
    record_warehouse_code(lake, made.warehouse_code)
    provenance = Provenance(datetime.now(UTC), "batch", context.run.run_id, git_commit(), made)
    rows = decide_shares(models, shares, rulebook, provenance)
    appended = append_batch(lake, rows, inputs.business_date, state)
    return dg.MaterializeResult(
        metadata={
            "status": "decided",
            "model_version": ", ".join(assigned.versions),
            "versions": dg.MetadataValue.md(share_table(shares)),
            "refused_versions": dict(assigned.refused),
            "policy_hash": rulebook.policy_hash,
            "dagster/row_count": appended.offered,
            "new_rows": appended.added,
            "delta_version": appended.version,
            "listed": inputs.listed,
            "without_price": inputs.without_price.num_rows,
            **_metadata(lake, inputs),
            "example_trace": dg.MetadataValue.md(example_trace(lake, model_store, inputs.business_date)),
        }
    )


def _metadata(lake: Lake, inputs: BatchInputs) -> dict[str, dg.MetadataValue]:
    day = inputs.business_date.isoformat()
    changes = report.biggest_changes(lake, day)
    explored = report.explorations(lake, day)
    costs = pc.sum(pc.is_valid(inputs.rows["unit_cost"])).as_py() or 0
    return {
        "business_date": dg.MetadataValue.text(day),
        "explored": dg.MetadataValue.int(explored),
        "explored_share": dg.MetadataValue.float(explored / max(inputs.rows.num_rows, 1)),
        "with_recorded_cost": dg.MetadataValue.int(costs),
        "per_store": dg.MetadataValue.md(report.store_counts(lake, day)),
        "biggest_changes": dg.MetadataValue.md(changes),
        "example": dg.MetadataValue.md("  \n".join(map(shown, report.example_in_words(lake, day).splitlines()))),
    }


def _reported(lake: Lake) -> str | None:
    version: str | None = lake.open("reports", RESPONSES).history(1)[0].get("model_version")
    return version


ASSETS = [demand_response_model, response_report, price_decisions, *PUBLICATION_ASSETS]
