"""The products there are: every folder of the package with a product.py that describes one."""

from functools import lru_cache
from importlib import import_module
from pathlib import Path

from retail_assets.core.errors import RetailError
from retail_assets.core.products import Product

PACKAGE = Path(__file__).resolve().parents[1]


class UnknownProduct(RetailError):
    """A name that no product has."""


@lru_cache(maxsize=1)
def products() -> dict[str, Product]:
    """Every product by name, in the order of the names."""
    folders = sorted(file.parent.name for file in PACKAGE.glob("*/product.py"))
    found: tuple[Product, ...] = tuple(import_module(f"retail_assets.{folder}.product").PRODUCT for folder in folders)
    return {product.name: product for product in sorted(found, key=lambda product: product.name)}


def product(name: str) -> Product:
    """The product of that name; raises UnknownProduct that lists those there are."""
    try:
        return products()[name]
    except KeyError:
        raise UnknownProduct(f"there is no product {name!r}", todo=f"one of {', '.join(products())}") from None


def maker_of(table: str, ability: str) -> str:
    """The import string of what the product that writes `gold/<table>` can do, e.g. its `replay`.

    Raises UnknownProduct where no product writes it, or the one that does cannot do that.
    """
    for one in products().values():
        if table in one.gold_outputs and (found := getattr(one, ability)):
            return str(found)
    raise UnknownProduct(f"no product that writes gold/{table} has a {ability!r}")
