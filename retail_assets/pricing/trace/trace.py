"""The trace of one price: finds the decision, reads what it rests on, and says whether it still adds up."""

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from time import perf_counter
from typing import Any

from retail_assets.core.errors import RetailError
from retail_assets.core.money import from_minor
from retail_assets.core.products import load
from retail_assets.core.registry import maker_of
from retail_assets.pricing.decide.decisions import Decision, decision_of
from retail_assets.pricing.decide.explain import reasons
from retail_assets.pricing.decide.inputs import ASKED, MEASURED, OBSERVED, PLAIN, DecisionInputs
from retail_assets.pricing.decide.kept_policies import policy_of, rulebook_of
from retail_assets.pricing.response.model import PRODUCT, PriceModel
from retail_assets.pricing.trace import find
from retail_assets.pricing.trace.agreement import Sum, agreement, first_difference
from retail_assets.pricing.trace.document import DbtModel, Feature, LoadedFile, Policy, Rows, Trace, Warehouse
from retail_assets.pricing.trace.evidence import Evidence, Versions, read_evidence
from retail_assets.pricing.trace.models import ModelStory, Place, model_story, read_releases
from retail_assets.pricing.trace.recompute import recompute
from retail_assets.pricing.trace.replay import Replay, replay_price
from retail_assets.pricing.trace.sources import FEATURES, dbt_path, origin_of
from retail_assets.provenance.errors import TraceError, VersionGone
from retail_assets.provenance.forecasts import (
    ForecastFeatures,
    ForecastReplay,
    not_again,
    read_features,
)
from retail_assets.provenance.records import published_by, warehouse_code
from retail_assets.provenance.snapshots import Row, Snapshots
from retail_assets.releases.rows import Release
from retail_assets.resources.environments import Environment
from retail_assets.resources.lake import Lake, LakeError
from retail_assets.resources.model_store import ModelStore, ModelStoreError
from retail_assets.resources.source_control import git_commit
from retail_assets.sources.state import MOVES

KEYS = ("store_id", "sku", "business_date", "base_demand_source")
PERSONAL = ("customer_id", "payment_id")  # no price rests on who bought
FAMILY = ("products", "price_list", "stock_levels")  # what places a pack in its family
UNKNOWN_RAW = "gold was not published from bronze: there are no raw rows to trace"


def trace_price(environment: Environment, decision_id: str | None = None, **asked: Any) -> Trace:
    """`trace_from` with the lake and the models of an environment."""
    return trace_from(environment.lake, ModelStore.at(environment.home.models), decision_id, **asked)


def trace_from(
    lake: Lake,
    store: ModelStore,
    decision_id: str | None = None,
    *,
    store_id: str | None = None,
    sku: str | None = None,
    at: datetime | None = None,
    replay: bool = False,
) -> Trace:
    """The trace of a decision by its id, or of the newest one of a store and SKU made by `at`.

    With `replay` the price is decided again from the traced raw rows. Raises TraceError (UnknownDecision, VersionGone),
    and with `replay` ModelStoreError for a model that was deleted.
    """
    started = perf_counter()
    with Snapshots(lake) as reader:
        row = _find(reader, decision_id, store_id, sku, at)
        decision, versions = decision_of(row), Versions.of(row)
        evidence = read_evidence(reader, decision, versions, row["at"])
        sums = agreement(evidence, decision.inputs)
        made_from = _forecast_from(lake, versions, evidence)
        features = _forecast_features(reader, evidence, made_from)
        forecast = _forecast_again(reader, store, evidence, features, made_from) if replay else None
        again = _replay(lake, store, row, decision, evidence, sums, forecast) if replay else None
        corrected = find.corrected_by(reader, row)
        files, log = _files(reader, evidence), read_releases(reader)
    return Trace(
        **_said(row, decision, evidence),
        corrected_by=corrected,
        policy=_policy(lake, decision),
        models=_models(log, store, row, evidence),
        features=_features(decision, versions),
        gold=_tables(evidence.gold, versions.gold),
        forecast_from=made_from,
        forecast_features=features,
        warehouse=_warehouse(lake, versions, evidence),
        raw=_tables(evidence.raw, versions.bronze),
        family=_tables({name: evidence.family[name] for name in FAMILY if name in evidence.family}, versions.bronze),
        files=files,
        quarantined=_tables(evidence.quarantined, {}),
        sums=sums,
        sums_agree=bool(sums) and all(found.agrees for found in sums),
        first_difference=first_difference(sums) if sums else UNKNOWN_RAW,
        replay=again,
        seconds=round(perf_counter() - started, 3),
    )


def _find(
    reader: Snapshots, decision_id: str | None, store_id: str | None, sku: str | None, at: datetime | None
) -> Row:
    if decision_id is not None:
        return find.by_id(reader, decision_id)
    if store_id is None or sku is None:
        raise TraceError("a trace needs a decision, or a store and a SKU", todo="give --decision, or --store and --sku")
    return find.by_item(reader, store_id, sku, at)


def _replay(
    lake: Lake,
    store: ModelStore,
    row: Row,
    decision: Decision,
    evidence: Evidence,
    sums: list[Sum],
    forecast: ForecastReplay | None,
) -> Replay:
    if not evidence.raw:
        raise TraceError(f"decision {row['decision_id']} cannot be replayed: {UNKNOWN_RAW}", todo="`retail run`")
    model = PriceModel.load(store.path(PRODUCT, decision.model_version))
    rulebook = rulebook_of(lake, decision.policy_hash)
    code = (row.get("git_commit"), git_commit())
    return replay_price(decision, recompute(evidence, decision.inputs), sums, model, rulebook, code, forecast)


def _forecast_features(
    reader: Snapshots, evidence: Evidence, made_from: Mapping[str, int]
) -> ForecastFeatures | str | None:
    """The features behind the forecast; why they cannot be shown; None where the base demand is no forecast."""
    rows = evidence.gold.get("forecasts")
    if not rows:
        return None
    item = rows[0]
    try:
        found = read_features(reader, made_from, item["store_id"], item["sku"], item["origin_date"])
    except VersionGone as error:
        return str(error)
    return found or "the gold that the forecast was made from was not recorded"


def _forecast_again(
    reader: Snapshots,
    store: ModelStore,
    evidence: Evidence,
    features: ForecastFeatures | str | None,
    made_from: Mapping[str, int],
) -> ForecastReplay | None:
    if features is None:
        return None
    rows = evidence.gold["forecasts"]
    if isinstance(features, str):
        return not_again(rows, features)
    try:
        made: ForecastReplay = load(maker_of("forecasts", "replay"))(reader, store, rows, features, made_from)
        return made
    except (ModelStoreError, LakeError, VersionGone) as error:
        return not_again(rows, str(error))


def _said(row: Row, decision: Decision, evidence: Evidence) -> dict[str, Any]:
    """What the decision row itself says."""
    product = next(iter(evidence.gold.get("dim_product", [])), {})
    effective = row.get("effective_from") or date.fromisoformat(decision.output["effective_from"])
    return {
        "decision_id": row["decision_id"],
        "store_id": row["store_id"],
        "sku": row["sku"],
        "product_name": product.get("name"),
        "business_date": row["business_date"],
        "effective_from": effective,
        "decided_at": row["at"],
        "mode": row["mode"],
        "price": str(from_minor(decision.price, decision.inputs.currency)),
        "previous_price": str(from_minor(decision.previous_price, decision.inputs.currency)),
        "currency": decision.inputs.currency,
        "outcome": decision.outcome,
        "words": reasons(decision),
        "trail": [line.document() for line in decision.trail],
        "output": decision.output,
        "corrects": row.get("corrects"),
        "dagster_run_id": row["dagster_run_id"],
        "git_commit": row["git_commit"],
    }


def _policy(lake: Lake, decision: Decision) -> Policy:
    try:
        policy = policy_of(lake, decision.policy_hash)
    except TraceError as error:
        return Policy(policy_hash=decision.policy_hash, rules={}, missing=str(error))
    rules = policy.rules_of(decision.inputs.department, decision.inputs.category)
    return Policy(policy_hash=decision.policy_hash, rules=rules.model_dump(mode="json"), missing=None)


def _models(log: list[Release], store: ModelStore, row: Row, evidence: Evidence) -> list[ModelStory]:
    """The pricing model, and the forecasting model where the base demand is its forecast."""
    inputs = decision_of(row).inputs
    place = Place(inputs.store_id, inputs.country)
    stories = [model_story(log, store, PRODUCT, row["model_version"], row["at"], place)]
    versions = {forecast["model_version"] for forecast in evidence.gold.get("forecasts", [])}
    return stories + [model_story(log, store, "forecasting", version, row["at"], place) for version in sorted(versions)]


def _features(decision: Decision, versions: Versions) -> list[Feature]:
    inputs = decision.inputs
    names = [*MEASURED, *(name for name in PLAIN if name not in KEYS)]
    unasked = [name for name in (*OBSERVED, *ASKED) if getattr(inputs, name) is None]
    return [_feature(name, inputs, versions) for name in names if name not in unasked]


def _feature(name: str, inputs: DecisionInputs, versions: Versions) -> Feature:
    origin, values = origin_of(name, inputs), inputs.model_dump()
    where = None if origin is None else f"{origin.table}.{origin.column} at version {versions.gold.get(origin.table)}"
    return Feature(
        name=name,
        value=values[name],
        at=values.get(f"{name}_at"),
        gold=where,
        how=origin.how if origin else None,
        bronze=list(origin.bronze) if origin else [],
    )


def _warehouse(lake: Lake, versions: Versions, evidence: Evidence) -> Warehouse:
    models = warehouse_code(lake, versions.code)
    marts = {table: FEATURES if table == "forecasts" else table for table in sorted(evidence.gold)}
    paths = {
        table: [DbtModel(name=n, path=models[n]["path"], reads=models[n]["reads"]) for n in dbt_path(models, mart)]
        for table, mart in marts.items()
        if mart in models
    }
    return Warehouse(code_hash=versions.code, marts=paths)


def _forecast_from(lake: Lake, versions: Versions, evidence: Evidence) -> dict[str, int]:
    if not evidence.gold.get("forecasts"):
        return {}
    commit = published_by(lake, "forecasts", versions.gold["forecasts"])
    made_from: dict[str, int] = json.loads(commit.get("gold", "{}"))
    return made_from


def _tables(found: Mapping[str, list[Row]], versions: Mapping[str, int]) -> list[Rows]:
    def plain(row: Row) -> Row:
        return {name: value for name, value in row.items() if name not in PERSONAL}

    return [Rows(table=n, version=versions.get(n), rows=[plain(row) for row in rows]) for n, rows in found.items()]


def _files(reader: Snapshots, evidence: Evidence) -> list[LoadedFile]:
    """The files of every traced raw row, from ops/loads."""
    rows = [row for tables in (evidence.raw, evidence.family) for found in tables.values() for row in found]
    version = reader.newest("ops", "loads")
    if not rows or version is None:
        return []
    loads = sorted({row["load_id"] for row in rows})
    first, last = min(row["loaded_at"] for row in rows), max(row["loaded_at"] for row in rows)
    found = reader.rows(
        "ops", "loads", version, f"list_contains(?, load_id) and status not in {MOVES} order by source, file", [loads],
        {"loaded_at": (first - timedelta(days=1), last + timedelta(days=1))},
        select="load_id, source, file, sha256, loaded_at",
    )  # fmt: skip
    return [LoadedFile(**row) for row in found]


def failed(trace: Trace) -> RetailError | None:
    """The error that a replay which differs ends with, None where it agrees or was not asked for."""
    if trace.replay is None or trace.replay.equal:
        return None
    return TraceError(f"the replay of {trace.decision_id} {trace.replay.verdict}")
