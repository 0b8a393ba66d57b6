"""What a refusal says, made by the code that says it: an example, and the advice for each gate."""

from datetime import UTC, datetime

from retail_assets.core.registry import products
from retail_assets.documents.blocks import table
from retail_assets.releases.refused import ADVICE, LOAD, Failed, RefusedVersion, Untrained

REFUSED = RefusedVersion(
    product="forecasting",
    target="cloud",
    version="3f9c0a7be21d",
    live="9a0274c1d5e8",
    at=datetime(2026, 3, 2, 6, 14, tzinfo=UTC),
    failed=[
        Failed(
            metric="wape",
            side="floor",
            value=0.72,
            limit=0.5,
            bound=None,
            reason="wape fails against its floor: 0.72, must be at most 0.5",
        )
    ],
)
UNTRAINED = RefusedVersion(
    product="pricing",
    target="cloud",
    version=None,
    live=None,
    at=REFUSED.at,
    untrained=Untrained(
        why="40 store-SKUs were sold in the 730 days up to 2026-03-01, 12 of them on 15 days, 0 of those at a price "
        "above 0",
        todo="map unit_price, the price that was paid, and run again",
    ),
)


def blocks() -> dict[str, str]:
    """The made blocks by their names."""
    return {"example: refusal": _said(REFUSED), "example: untrained": _said(UNTRAINED), "refusals: advice": _advice()}


def _said(refusal: RefusedVersion) -> str:
    """As `retail status` prints it."""
    return f"> Refused: {refusal.what}\n>\n> to do: {refusal.todo}"


def _advice() -> str:
    rows = [[f"`{metric}`", advice] for metric, advice in ADVICE.items()]
    rows += [
        [f"any other, of {product.name}", advice] for product in products().values() if (advice := product.more_data)
    ]
    return table(["gate", "what to do"], [*rows, ["any other", LOAD]])
