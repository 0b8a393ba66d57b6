"""What must hold of a stored pricing model: its tables fit each other, and what it answers can be an answer."""

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from retail_assets.core.errors import RetailError

LOWEST_ELASTICITY = -100.0  # a hundredfold of one percent: no table of sales says so
LARGEST_ERROR = 1000.0
LARGEST_SUBSTITUTION = 100.0

Floats = npt.NDArray[np.float64]


class PriceModelError(RetailError):
    """A stored model that cannot be read, or whose answers could not be trusted."""


class Document(BaseModel):
    """response.json: the measures of each SKU, then each category, then the chain; `stores` and `substitution` where
    they were learnt. Formats before 3 lack some of it."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    format: int
    until: str
    skus: list[str]
    categories: list[str]
    stores: list[str] = []
    elasticity: list[float]
    standard_error: list[float]
    lo: list[float]
    hi: list[float]
    prior: list[float]
    weight: list[float]
    substitution: dict[str, list[float]] = {}


def require(holds: bool, what: str) -> None:
    """Raises PriceModelError with `what` is wrong with the model unless it `holds`."""
    if not holds:
        raise PriceModelError(f"the pricing model is not sound: {what}", todo="train again, or roll back")


def refuse_shapes(document: Document, measures: Sequence[str], substitution: Sequence[str]) -> None:
    """Raises PriceModelError where a list of response.json has another length than what it describes."""
    for name in ("skus", "categories", "stores"):
        refuse_twice(getattr(document, name), name)
    rows = len(document.skus) + len(document.categories) + 1
    for name in measures:
        found = len(getattr(document, name))
        require(found == rows, f"{name} has {found:,} numbers for {rows:,} SKUs, categories and the chain")
    if document.substitution:
        lengths = {len(document.substitution.get(name, ())) for name in substitution}
        fits = lengths in ({0}, {len(document.categories)}) and set(document.substitution) == set(substitution)
        require(fits, "its substitution does not fit its categories")


def refuse_twice(names: Collection[str], what: str) -> None:
    """Raises PriceModelError where a name is there twice: a look-up would find either."""
    require(len(set(names)) == len(names), f"one of its {what} is there twice")


def whole(values: Floats, below: int, what: str) -> npt.NDArray[np.int64]:
    """`values` as places from 0 to below `below`; raises PriceModelError for others."""
    inside = np.isfinite(values) & (values >= 0) & (values < below) & (values == np.floor(values))
    require(bool(inside.all()), f"its rows by store name a {what} that is not there")
    return values.astype(np.int64)


def refuse_measures(table: Floats, substitution: Floats) -> None:
    """Raises PriceModelError for measures outside of what can be; columns are those of `model.MEASURES`."""
    elasticity, error, lo, _, _, weight = table.T
    lowest = float(min(elasticity.min(initial=0), lo.min(initial=0)))
    require(lowest >= LOWEST_ELASTICITY, f"an elasticity of {lowest:g}")
    require(bool(((error >= 0) & (error <= LARGEST_ERROR)).all()), f"standard errors up to {error.max():g}")
    require(bool((weight >= 0).all()), "a share of own sales below zero")  # it is only told, no price follows from it
    fits = (substitution >= 0) & (substitution <= LARGEST_SUBSTITUTION)  # False for what is no number
    require(bool(fits.all()), "a substitution that is below zero, too large or no number")


def refuse_base(units: Floats, price: Floats) -> None:
    """Raises PriceModelError for recent demand that is no number or below zero, or was sold at no price."""
    require(bool((np.isfinite(units) & (units >= 0)).all()), "base demand that is below zero or no number")
    require(bool((np.isfinite(price) & (price >= 0)).all()), "a price of base demand that is below zero or no number")
