"""The products that have a service: every folder below bento/ whose bentofile.yaml says what to serve and where."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from retail_assets.core.errors import RetailError
from retail_assets.resources.environments import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "bento"
FILE = "bentofile.yaml"


class ProductError(RetailError):
    """A product without a service, or a bentofile.yaml that does not say what to serve."""


@dataclass(frozen=True)
class Product:
    """A product's service as BentoML imports it, and the port it answers on unless it is told another one."""

    name: str
    service: str
    port: int


@cache
def products(folder: Path = FOLDER) -> dict[str, Product]:
    """By name, sorted. Raises ProductError where a file lacks a key or two services have the same port."""
    found = {file.parent.name: _read(file) for file in sorted(folder.glob(f"*/{FILE}"))}
    ports: dict[int, str] = {}
    for product in found.values():
        if (other := ports.setdefault(product.port, product.name)) != product.name:
            raise ProductError(
                f"{product.name} and {other} both answer on port {product.port}",
                where=str(folder / product.name / FILE),
                todo="give one of them another label `port`",
            )
    return found


def product(name: str) -> Product:
    """The product of that name; raises ProductError for one without a folder."""
    if name not in products():
        raise ProductError(f"{name!r} has no service", todo=f"use {' or '.join(products())}")
    return products()[name]


def ports_of(texts: Iterable[str]) -> dict[str, int]:
    """Every product's port; `texts` (`pricing=4002`) change some. Raises ProductError that names the text."""
    ports = {name: known.port for name, known in products().items()}
    for text in texts:
        name, _, number = text.partition("=")
        if not number.isdigit() or not 0 < int(number) < 65536:
            raise ProductError(f"{text!r} is not a port of a product", todo="write it as pricing=4002")
        ports[product(name).name] = int(number)
    return ports


def _read(file: Path) -> Product:
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    try:
        return Product(file.parent.name, document["service"], int(document["labels"]["port"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ProductError(
            f"{FILE} of {file.parent.name} does not name its service and the label `port`: {error}", where=str(file)
        ) from error
