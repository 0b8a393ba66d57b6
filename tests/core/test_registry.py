"""Products are found by their folders, and everything that their descriptions name is there."""

import re

import pytest

from retail_assets.core.products import load
from retail_assets.core.registry import PACKAGE, UnknownProduct, maker_of, product, products

NAMED = re.compile(r"retail_assets(\.\w+)+(:\w+)?")


def named(value: object) -> list[str]:
    """Every import string inside a description."""
    if isinstance(value, str):
        return [value] if NAMED.fullmatch(value) else []
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [name for one in inside for name in named(one)]


def test_a_product_is_a_folder_with_a_description() -> None:
    folders = {file.parent.name for file in PACKAGE.glob("*/product.py")}
    assert set(products()) == folders >= {"forecasting", "pricing"}


@pytest.mark.parametrize("name", list(products()))
def test_what_a_description_names_is_there(name: str) -> None:
    strings = named(product(name).model_dump())
    assert product(name).probe in strings and set(product(name).commands.values()) <= set(strings)
    for one in strings:
        assert load(one) is not None
    assert all(callable(getattr(load(product(name).probe), ability)) for ability in ("examine", "question"))


def test_an_unknown_product_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownProduct, match="no product 'fraud'") as refused:
        product("fraud")
    assert refused.value.todo == f"one of {', '.join(products())}"


def test_the_maker_of_a_table_is_asked_for_what_it_can_do() -> None:
    assert maker_of("forecasts", "replay") == product("forecasting").replay
    with pytest.raises(UnknownProduct, match="gold/dim_store"):
        maker_of("dim_store", "replay")
