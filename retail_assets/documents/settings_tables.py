"""Tables of the settings that ship, read from configs/, so that no document repeats a number by hand."""

from collections.abc import Sequence
from typing import Any

from retail_assets.documents.blocks import table
from retail_assets.pricing.config import PricingConfig, load_config
from retail_assets.pricing.publish.breaker import NUMBERS, WORDS

GUARDS = (
    ("price_range", "lowest and highest share of the usual price (the mean list price of 180 days)"),
    ("max_change", "largest change a day"),
    ("max_change_week", "largest change from the price of seven days before"),
    ("competitor_band", "share of the lowest competitor price of the last 14 days"),
    ("margin_floor", "least share of the price, without tax, above the cost"),
    ("minimum_gain", "least gain in expected margin that is worth a new price"),
    ("own_weight", "least share of an elasticity that comes from the item's own sales"),
)
USUAL = (
    ("sigma", "deviations from the median of earlier good batches: chain and departments"),
    ("category_sigma", "the same: categories"),
    ("minimum_batches", "earlier good batches without which nothing is usual yet"),
    ("history", "good batches that are looked back at"),
    ("minimum_rows", "a department or category with fewer rows is judged with the chain only"),
)


def tables() -> dict[str, str]:
    """Every table by the name of its block."""
    config = load_config()
    return {
        "settings: rules": _rules(config),
        "settings: breaker": _breaker(config),
        "settings: usual": _rows(config.publication.breaker, USUAL),
        "settings: paid": _paid(config),
        "settings: fixed by law": _fixed(config),
    }


def _rules(config: PricingConfig) -> str:
    """The numbers of the guardrails: defaults, and what departments set otherwise."""
    rows = [
        [f"`{name}`", said, _shown(getattr(config.defaults, name)), *_of_departments(config, name)]
        for name, said in GUARDS
    ]
    return table(["setting", "what it is", "default", *config.departments], rows)


def _of_departments(config: PricingConfig, name: str) -> list[str]:
    own = [getattr(department, name) for department in config.departments.values()]
    return ["" if value is None else _shown(value) for value in own]


def _breaker(config: PricingConfig) -> str:
    """The numbers of a batch with their limits."""
    limits, least = config.publication.breaker.limits, config.publication.breaker.least_deviation
    rows = [
        [f"`{name}`", WORDS[name].removesuffix(","), f"{getattr(limits, name):g}", f"{getattr(least, name):g}"]
        for name in NUMBERS
    ]
    return table(["number", "what it is", "limit", "least deviation"], rows)


def _rows(config: Any, wanted: Sequence[tuple[str, str]]) -> str:
    return table(
        ["setting", "what it is", "shipped"], [[f"`{n}`", said, f"{getattr(config, n):g}"] for n, said in wanted]
    )


def _paid(config: PricingConfig) -> str:
    paid = config.publication.paid
    rows = [
        ["`within_10`", "least share of revenue priced within 10 % of what was paid", f"{paid.within_10:.0%}"],
        ["`within_30`", "least share of revenue priced within 30 % of it", f"{paid.within_30:.0%}"],
        ["`days`", "days of sales that are looked at", str(paid.days)],
        ["`minimum_items`", "items without which nothing is judged", str(paid.minimum_items)],
    ]
    return table(["setting", "what it is", "shipped"], rows)


def _fixed(config: PricingConfig) -> str:
    rows = [[", ".join(f.names), ", ".join(f.countries) or "all", f.reason] for f in config.fixed_by_law]
    return table(["words in the name of the department or category", "countries", "why"], rows)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{value[0]:.0%} to {value[1]:.0%}"
    return f"{value:.1%}".replace(".0%", "%")
