"""Checks of pricing: what must hold of every price before it reaches a shelf."""

import dagster as dg

from retail_assets.core.guardrails import RULES
from retail_assets.pricing.gold_inputs import gold_versions, read_inputs
from retail_assets.pricing.model import PRODUCT, PriceModel
from retail_assets.pricing.report import newest_decisions
from retail_assets.pricing.training import newest_day
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore

MODEL = dg.AssetKey(["pricing", "demand_response_model"])
DECISIONS = dg.AssetKey(["pricing", "price_decisions"])
TRAIL = ("objective", *RULES, "minimum_gain")
NOTHING = dg.AssetCheckResult(passed=True, metadata={"status": "no decisions yet"})


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
    response = model.response([*model.skus, *[""] * (len(model.categories) + 1)], [None] * len(model.table))
    sane = (response.lo <= response.elasticity) & (response.elasticity <= response.hi) & (response.hi < 0)
    wrong = [sku for sku, fine in zip(model.skus, sane.tolist(), strict=False) if not fine]
    return dg.AssetCheckResult(passed=bool(sane.all()), metadata={"model_version": model.version, "wrong": wrong[:20]})


@dg.asset_check(
    asset=DECISIONS,
    blocking=True,
    description="Every price that changes leaves the margin floor above its cost. Prices that stay below it because "
    "another rule stood against raising them are counted and named.",
)
def margin_floor_holds(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    """Computes the floor again from the recorded cost and floor."""
    return _rule_holds(
        lake,
        "margin_floor",
        "cost > 0 and (price_minor - cost) * 10000 < floor_bp * price_minor",
        "floor_bp",
    )


@dg.asset_check(
    asset=DECISIONS,
    blocking=True,
    description="No price moves by more than the policy allows in one step.",
)
def max_change_holds(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    """Computes the change again from the recorded prices."""
    condition = "abs(price_minor - previous_minor) * 10000 > change_bp * previous_minor"
    return _rule_holds(lake, "max_change", condition, "change_bp")


@dg.asset_check(
    asset=DECISIONS,
    description="Every store-SKU that is listed has a decision for the newest business date.",
)
def every_listed_item_has_a_price(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    """Compares the store-SKUs that gold lists with the decisions of that day."""
    day = _newest_decided(lake)
    if day is None:
        return NOTHING
    inputs = read_inputs(lake, gold_versions(lake))
    if inputs.business_date.isoformat() != day:
        return dg.AssetCheckResult(
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"newest_business_date": inputs.business_date.isoformat(), "newest_decided": day},
        )
    decided = _one(lake, f"select count(*) from ({newest_decisions(lake, day)})")
    missing = [f"{row['store_id']} {row['sku']}" for row in inputs.without_price.slice(0, 20).to_pylist()]
    return dg.AssetCheckResult(
        passed=decided >= inputs.listed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"listed": inputs.listed, "decided": decided, "without_a_known_price": missing},
    )


@dg.asset_check(
    asset=DECISIONS,
    blocking=True,
    description="Every decision carries its inputs and one line of trail per rule, in the order of the rules, from the "
    "price before to the price decided.",
)
def trail_is_complete(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    """Looks at rule names, words and both ends of every trail."""
    day = _newest_decided(lake)
    if day is None:
        return NOTHING
    expected = "[" + ", ".join(f"'{rule}'" for rule in TRAIL) + "]"
    broken = _one(
        lake,
        f"""with trails as (
                select price, previous_price, inputs, guardrails::json->'$[*].rule' as rules,
                       guardrails::json->'$[*].words' as words, (guardrails::json->>'$[0].before')::bigint as first,
                       (guardrails::json->>'$[{len(TRAIL) - 1}].after')::bigint as last
                from ({newest_decisions(lake, day)}))
            select count(*) from trails
            where list_transform(rules, lambda r: r->>'$') <> {expected}
               or list_contains(list_transform(words, lambda w: w->>'$'), '')
               or (price * 100 <> last and price <> last) or (previous_price * 100 <> first and previous_price <> first)
               or coalesce((inputs::json->>'$.previous_price.value')::bigint, -1) <> first""",
    )
    return dg.AssetCheckResult(passed=broken == 0, metadata={"business_date": day, "broken": broken})


def _rule_holds(lake: Lake, rule: str, condition: str, number: str) -> dg.AssetCheckResult:
    """No changed price satisfies the breach `condition`; prices that stayed in breach are counted."""
    day = _newest_decided(lake)
    if day is None:
        return NOTHING
    place = TRAIL.index(rule)
    decisions = f"""
        select store_id, sku, outcome, {number}, cost, (line->>'$.after')::bigint as after,
               (guardrails::json->>'$[{len(TRAIL) - 1}].after')::bigint as price_minor,
               (guardrails::json->>'$[0].before')::bigint as previous_minor
        from (select *, guardrails::json->'$[{place}]' as line, (output::json->>'$.cost')::bigint as cost,
                     (guardrails::json->>'$[{place}].numbers.{number}')::bigint as {number}
              from ({newest_decisions(lake, day)}))"""
    rows = lake.query(
        f"""select count(*) filter (outcome = 'changed') as breaches,
                   count(*) filter (outcome <> 'changed') as standing,
                   coalesce(list(store_id || ' ' || sku order by store_id, sku)[1:10], []) as named
            from ({decisions}) where {condition}"""
    ).to_pylist()[0]
    return dg.AssetCheckResult(
        passed=rows["breaches"] == 0,
        metadata={
            "business_date": day,
            "breaches": rows["breaches"],
            "standing_prices_in_breach": rows["standing"],
            "named": rows["named"],
        },
    )


def _newest_decided(lake: Lake) -> str | None:
    if not lake.exists("decisions", PRODUCT) or newest_day(lake) is None:
        return None
    rows = lake.query(
        f"select max(business_date)::varchar as day from {lake.scan('decisions', PRODUCT)} where mode = 'batch'"
    )
    day: str | None = rows["day"][0].as_py()
    return day


def _one(lake: Lake, sql: str) -> int:
    return int(lake.query(sql).column(0)[0].as_py())


CHECKS = [
    elasticities_are_negative,
    margin_floor_holds,
    max_change_holds,
    every_listed_item_has_a_price,
    trail_is_complete,
]
