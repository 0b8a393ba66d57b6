"""Money that is off by one minor unit is a wrong price on a shelf."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.core.money import MoneyError, cost_to_minor, digits, format_minor, from_minor, to_minor


@given(st.integers(0, 10**12), st.sampled_from(["USD", "EUR", "GBP", "JPY"]))
def test_minor_units_survive_the_way_there_and_back(minor: int, currency: str) -> None:
    assert to_minor(from_minor(minor, currency), currency) == minor


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("4.99", "EUR", 499), (Decimal("0.125"), "USD", 12), ("0.135", "USD", 14), (7, "GBP", 700), ("1200", "JPY", 1200)],
)
def test_amounts_become_minor_units(amount: Decimal | str | int, currency: str, minor: int) -> None:
    assert to_minor(amount, currency) == minor


@pytest.mark.parametrize(("amount", "minor"), [("1.0001", 101), ("1.00", 100), ("0.0001", 1)])
def test_costs_are_rounded_up(amount: str, minor: int) -> None:
    assert cost_to_minor(amount, "EUR") == minor


def test_a_currency_without_decimals_has_none() -> None:
    assert digits("JPY") == 0
    assert format_minor(1200, "JPY") == "1200 JPY"
    assert format_minor(123499, "EUR") == "1234.99 EUR"


@pytest.mark.parametrize("currency", ["eur", "EU", "EURO", "12A", "", "KWD"])
def test_what_is_no_currency_is_refused(currency: str) -> None:
    with pytest.raises(MoneyError):
        digits(currency)


@pytest.mark.parametrize("amount", ["12,x", "", "NaN", "Infinity", 4.99])
def test_what_is_no_amount_is_refused(amount: str | float) -> None:
    with pytest.raises(MoneyError):
        to_minor(amount, "EUR")  # type: ignore[arg-type]
