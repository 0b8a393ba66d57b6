"""A person corrects one published or proposed price: a decision of its own that points at the one it replaces."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from retail_assets.core.errors import RetailError
from retail_assets.core.guardrails import RULES
from retail_assets.core.money import digits, format_minor
from retail_assets.pricing.config import PricingConfig
from retail_assets.pricing.decide.decisions import Decision, Provenance, decide_one, decision_of, decision_row
from retail_assets.pricing.decide.inputs import DecisionInputs
from retail_assets.pricing.decide.kept_policies import record_policy
from retail_assets.pricing.decide.log import append_one
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.decide.sql_text import literal
from retail_assets.pricing.publish.breaker import Numbers
from retail_assets.pricing.publish.publication import CORRECTION, Publication, published_prices, record_correction
from retail_assets.pricing.publish.switch import stopped
from retail_assets.pricing.response.model import PRODUCT, PriceModel
from retail_assets.provenance.records import MadeFrom
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_proof import proven
from retail_assets.resources.model_store import ModelStore
from retail_assets.resources.source_control import git_commit

MODE = "correction"
SCOPE = "correction"
LAW = "legal_cap"
HIGHEST = 2**40  # minor units that an input may have


class CorrectionError(RetailError):
    """A price that cannot be corrected so: the rules stand against it, or there is nothing to correct."""


def correct(
    lake: Lake,
    models: ModelStore,
    config: PricingConfig,
    store_id: str,
    sku: str,
    price: str,
    *,
    by: str,
    reason: str,
    insist: bool = False,
) -> tuple[Publication, Decision]:
    """Publishes `price` (in the store's currency) for a store-SKU in place of its newest decision.

    The inputs are those of the corrected decision, the rules those of today's policy: a price that they would move is
    refused with the nearest that they allow, unless a person insists; a cap by law holds for everybody. Raises
    CorrectionError.
    """
    if not by.strip() or not reason.strip():
        raise CorrectionError("a corrected price needs a person and a reason", todo="give --by and --reason")
    _require_open(lake, config, store_id, sku)
    row = _newest_decision(lake, store_id, sku)
    inputs = decision_of(row).inputs
    wanted = {"asked_price": _minor(price, inputs.currency), "asked_by": by, "asked_why": reason}
    asked = inputs.model_dump() | wanted | {"insisted": insist or None}
    model = PriceModel.load(proven(models, PRODUCT, row["model_version"]))
    rulebook = Rulebook.of(config.policy)
    decision = decide_one(model, rulebook, DecisionInputs(**asked))
    _require_allowed(decision, insist)
    record_policy(lake, rulebook)
    return _record(lake, decision, row, by, reason), decision


def _require_open(lake: Lake, config: PricingConfig, store_id: str, sku: str) -> None:
    if config.publication.mode_of(store_id) == "shadow":
        raise CorrectionError(
            f"{store_id} is in the shadow: none of its prices leaves the house",
            todo="give the store another mode in configs/pricing.yaml: publication.stores",
        )
    products = lake.scan("gold", "dim_product")
    found = lake.query(f"select category from {products} where sku = {literal(sku)}").to_pylist()
    stop = stopped(lake).stop_of(store_id, found[0]["category"] if found else None)
    if stop is not None:
        raise CorrectionError(
            f"{stop.place} was stopped by {stop.by}: {stop.reason}", todo="`retail prices resume` comes first"
        )


def _newest_decision(lake: Lake, store_id: str, sku: str) -> dict[str, Any]:
    """The decision whose price is published; without any, the newest of a batch."""
    published = published_prices(lake, store_id, sku).to_pylist()
    wanted = "decision_id = $decision" if published else "mode = 'batch'"
    values: dict[str, Any] = {"store": store_id, "sku": sku}
    values |= {"decision": published[0]["decision_id"]} if published else {}
    if lake.exists("decisions", PRODUCT):
        with lake.connect() as connection:
            rows = connection.execute(
                f"""select * from {lake.scan("decisions", PRODUCT)}
                    where store_id = $store and sku = $sku and {wanted}
                    order by business_date desc, "at" desc limit 1""",
                values,
            ).to_arrow_table()
        if rows.num_rows:
            found: dict[str, Any] = rows.to_pylist()[0]
            return found
    raise CorrectionError(f"no price of {sku} in {store_id} was decided yet", todo="`retail run` decides prices")


def _minor(price: str, currency: str) -> int:
    """A price as people type it in minor units; raises CorrectionError."""
    try:
        amount = Decimal(price.strip()) * 10 ** digits(currency)
    except InvalidOperation:
        raise CorrectionError(f"{price!r} is no price", todo="write it as 3.49") from None
    if not amount.is_finite() or not 0 < amount < HIGHEST or amount != amount.to_integral_value():
        raise CorrectionError(
            f"{price} is no price in {currency}", todo=f"above zero, with {digits(currency)} decimals at most"
        )
    return int(amount)


def _require_allowed(decision: Decision, insist: bool) -> None:
    """Raises CorrectionError where the rules decided another price, or a law is broken that nobody can overrule."""
    asked = format_minor(decision.inputs.asked_price or 0, decision.inputs.currency)
    if insist and LAW in decision.output["broken"]:
        law = next(line.words for line in decision.trail if line.rule == LAW)
        raise CorrectionError(f"{asked} is against the law: {law}", todo="a cap holds for everybody")
    if insist or decision.price == decision.inputs.asked_price:
        return
    moved = [line for line in decision.trail if line.status in ("moved", "nearer", "conflict")]
    against = [line.words for line in moved if line.rule in RULES]
    allowed = format_minor(decision.price, decision.inputs.currency)
    way = "decide which rule gives way and" if decision.outcome == "conflict" else f"ask for {allowed}, or"
    raise CorrectionError(
        f"the rules do not allow {asked}: {'; '.join(against)}", todo=f"{way} overrule them with --insist"
    )


def _record(lake: Lake, decision: Decision, corrected: Mapping[str, Any], by: str, reason: str) -> Publication:
    """The decision row first, the publication last: a crash between them publishes nothing."""
    made = MadeFrom(**{name: corrected.get(name) for name in asdict(MadeFrom())})
    provenance = Provenance(datetime.now(UTC), MODE, None, git_commit(), made)
    row = decision_row(decision, provenance, corrects=corrected["decision_id"])
    append_one(lake, row)
    shared = {name: row[name] for name in ("model_version", "policy_hash", "business_date", "effective_from", "at")}
    shared |= {"batch_id": f"{CORRECTION}{row['decision_id'].replace('-', '')[-12:]}"}
    numbers = Numbers(SCOPE, 1, 0, *([float("nan")] * (len(Numbers.__annotations__) - 3)))
    named = ("store_id", "sku", "decision_id", "currency", "price", "previous_price")
    proposal = shared | {name: row[name] for name in named} | {"category": decision.inputs.category}
    publication = Publication(
        batch_id=shared["batch_id"],
        business_date=row["business_date"],
        store_id=row["store_id"],
        status="published",
        by=by,
        reason=reason,
    )
    record_correction(lake, shared, numbers, proposal, publication)
    return publication
