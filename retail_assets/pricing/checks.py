"""Checks of pricing: what must hold of every price before it reaches a shelf."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from retail_assets.pricing.config import load_config
from retail_assets.pricing.decide.decision_trace import rules_of
from retail_assets.pricing.decide.gold_inputs import BatchInputs, gold_versions, read_inputs
from retail_assets.pricing.publish.checks import CHECKS as PUBLICATION_CHECKS
from retail_assets.pricing.response.model import PRODUCT, PriceModel
from retail_assets.pricing.response.training import newest_day
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore

if TYPE_CHECKING:
    import duckdb

MODEL = dg.AssetKey(["pricing", "demand_response_model"])
DECISIONS = dg.AssetKey(["pricing", "price_decisions"])
BREACHES = {
    "margin_floor_holds": "cost > 0 and (price_minor - cost) * 10000 < floor_bp * price_minor",
    "max_change_holds": "abs(price_minor - previous_minor) * 10000 > change_bp * previous_minor",
    "max_change_week_holds": "week_price > 0 and abs(price_minor - week_price) * 10000 > week_bp * week_price",
}
SPECS = [
    dg.AssetCheckSpec(
        "margin_floor_holds",
        asset=DECISIONS,
        blocking=True,
        description="Every price that changes leaves the margin floor above its cost. Prices that stay below it "
        "because another rule stands against raising them are counted and named.",
    ),
    dg.AssetCheckSpec(
        "max_change_holds",
        asset=DECISIONS,
        blocking=True,
        description="No price moves by more than the policy allows in one step.",
    ),
    dg.AssetCheckSpec(
        "max_change_week_holds",
        asset=DECISIONS,
        blocking=True,
        description="No price moves by more than the policy allows within seven days. Prices that a person moved "
        "further and that stay are counted and named.",
    ),
    dg.AssetCheckSpec(
        "trail_is_complete",
        asset=DECISIONS,
        blocking=True,
        description="Every decision carries its inputs and one line of trail per rule, in the order of the rules, from "
        "the price before to the price decided.",
    ),
    dg.AssetCheckSpec(
        "every_listed_item_has_a_price",
        asset=DECISIONS,
        description="Every store-SKU that is listed has a decision for the newest business date, and every store that "
        "sold something within a week has decisions.",
    ),
]

NEWEST = """
create temp table newest as
    select store_id, sku, price, previous_price, output::json->>'$.outcome' as outcome,
           (output::json->>'$.cost')::bigint as cost, (inputs::json->>'$.previous_price.value')::bigint as known_price,
           (guardrails::json->>'$[{minimum_gain}].after')::bigint as price_minor,
           (guardrails::json->>'$[{price_in_force}].before')::bigint as told_minor,
           (guardrails::json->>'$[{objective}].before')::bigint as previous_minor,
           (guardrails::json->>'$[{margin_floor}].numbers.floor_bp')::bigint as floor_bp,
           (guardrails::json->>'$[{max_change}].numbers.change_bp')::bigint as change_bp,
           (guardrails::json->>'$[{max_change_week}].numbers.week_price')::bigint as week_price,
           (guardrails::json->>'$[{max_change_week}].numbers.change_bp')::bigint as week_bp,
           json_extract_string(guardrails, '$[*].rule') as rules,
           json_extract_string(guardrails, '$[*].words') as words
    from {decisions}
    where mode = 'batch' and business_date = date '{day}'
    qualify row_number() over (partition by store_id, sku order by "at" desc, decision_id desc) = 1
"""

BROKEN_TRAILS = """
select count(*) from newest
where rules is distinct from {rules} or coalesce(list_contains(words, ''), true)
   or known_price is distinct from previous_minor or told_minor is distinct from previous_minor
   or (price * 100 <> price_minor and price <> price_minor)
   or (previous_price * 100 <> previous_minor and previous_price <> previous_minor)
   or price_minor is null or previous_minor is null
"""


@dg.asset_check(
    asset=MODEL,
    blocking=True,
    description="Every elasticity of the newest model is a finite number below zero inside its own interval.",
)
def elasticities_are_negative(model_store: dg.ResourceParam[ModelStore]) -> dg.AssetCheckResult:
    """Reads the newest model and looks at every row of it, categories and chain included."""
    versions = model_store.versions(PRODUCT)
    if not versions:
        return dg.AssetCheckResult(passed=True, metadata={"status": "no model yet"})
    model = PriceModel.load(model_store.path(PRODUCT, versions[-1]))
    rows, wrong = model.unsound()
    return dg.AssetCheckResult(passed=rows == 0, metadata={"model_version": model.version, "wrong": wrong[:20]})


@dg.multi_asset_check(specs=SPECS)
def price_checks(lake: dg.ResourceParam[Lake]) -> Iterator[dg.AssetCheckResult]:
    """Computes floors and changes again from what the newest decisions recorded, and compares them with gold."""
    if not lake.exists("decisions", PRODUCT) or newest_day(lake) is None:
        for spec in SPECS:
            yield _result(spec.name, True, {"status": "no decisions yet"})
        return
    inputs = read_inputs(lake, gold_versions(lake))
    with lake.connect() as connection:
        day = _load_newest(connection, lake)
        for name, condition in BREACHES.items():
            yield _breaches(connection, name, condition, day)
        rules = "[" + ", ".join(f"'{rule}'" for rule in rules_of(load_config().policy)) + "]"
        broken = _one(connection, BROKEN_TRAILS.format(rules=rules))
        yield _result("trail_is_complete", broken == 0, {"business_date": day, "broken": broken})
        stores = {str(row[0]) for row in connection.execute("select distinct store_id from newest").fetchall()}
        decided = _one(connection, "select count(*) from newest")
        yield _coverage(inputs, day, decided, stores, _open_stores(connection, lake, inputs))


def _open_stores(connection: "duckdb.DuckDBPyConnection", lake: Lake, inputs: BatchInputs) -> set[str]:
    """Stores that sold something in the last seven days."""
    rows = connection.execute(
        f"""select distinct store_id from {lake.scan("gold", "fct_sales_daily")}
            where business_date > date '{inputs.business_date.isoformat()}' - 7 and gross_units > 0"""
    ).fetchall()
    return {str(row[0]) for row in rows}


def _load_newest(connection: "duckdb.DuckDBPyConnection", lake: Lake) -> str:
    decisions = lake.scan("decisions", PRODUCT)
    found = connection.execute(f"select max(business_date)::varchar from {decisions} where mode = 'batch'").fetchone()
    day = str(found[0]) if found and found[0] else "1900-01-01"
    places = {rule: place for place, rule in enumerate(rules_of(load_config().policy))}
    connection.execute(NEWEST.format(decisions=decisions, day=day, **places))
    return day


def _breaches(connection: "duckdb.DuckDBPyConnection", name: str, condition: str, day: str) -> dg.AssetCheckResult:
    row = connection.execute(
        f"""select count(*) filter (outcome = 'changed'), count(*) filter (outcome <> 'changed'),
                   coalesce(list(store_id || ' ' || sku order by store_id, sku)[1:10], [])
            from newest where coalesce({condition}, true)"""
    ).fetchone()
    changed, standing, named = row or (0, 0, [])
    metadata = {"business_date": day, "breaches": changed, "standing_prices_in_breach": standing, "named": named}
    return _result(name, changed == 0, metadata)


def _coverage(
    inputs: BatchInputs, day: str, decided: int, stores: set[str], open_stores: set[str]
) -> dg.AssetCheckResult:
    newest = inputs.business_date.isoformat()
    missing = [f"{row['store_id']} {row['sku']}" for row in inputs.without_price.slice(0, 20).to_pylist()]
    metadata = {"newest_business_date": newest, "decided_for": day, "listed": inputs.listed, "decided": decided}
    metadata |= {"open_stores": len(open_stores), "stores_without_decisions": sorted(open_stores - stores)}
    return _result(
        "every_listed_item_has_a_price",
        newest == day and decided >= inputs.listed and not missing and open_stores <= stores,
        metadata | {"without_a_known_price": missing},
        dg.AssetCheckSeverity.WARN,
    )


def _result(
    name: str, passed: bool, metadata: dict[str, Any], severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name, asset_key=DECISIONS, passed=passed, metadata=metadata, severity=severity
    )


def _one(connection: "duckdb.DuckDBPyConnection", sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0


CHECKS = [elasticities_are_negative, price_checks, *PUBLICATION_CHECKS]
