"""Money as integer minor units (cents, pence): exact in decisions, floats stay inside models."""

from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal, InvalidOperation

from retail_assets.core.errors import RetailError

# Decimal places of the currencies that differ from two (ISO 4217); prices in tables have at most two.
ZERO_DIGIT_CURRENCIES = frozenset({"JPY", "KRW", "VND", "CLP", "ISK", "PYG", "UGX", "XAF", "XOF", "XPF"})
THREE_DIGIT_CURRENCIES = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})


class MoneyError(RetailError):
    """An amount that is not a number, or a currency whose minor unit a DECIMAL(12,2) cannot hold."""


def digits(currency: str) -> int:
    """Decimal places of `currency` (an ISO 4217 code): 2, or 0. Raises MoneyError for anything else."""
    if len(currency) != 3 or not currency.isascii() or not currency.isalpha() or not currency.isupper():
        raise MoneyError(f"{currency!r} is not a currency code", todo="use three capital letters, as in ISO 4217")
    if currency in THREE_DIGIT_CURRENCIES:
        raise MoneyError(f"{currency} has three decimal places and prices here have two")
    return 0 if currency in ZERO_DIGIT_CURRENCIES else 2


def to_minor(amount: Decimal | str | int, currency: str) -> int:
    """`amount` of `currency` in minor units, half a unit rounded to even: to_minor("4.99", "EUR") = 499.

    Floats are refused by type: a price that went through a float is not known to the cent.
    """
    return _scaled(amount, currency, ROUND_HALF_EVEN)


def cost_to_minor(amount: Decimal | str | int, currency: str) -> int:
    """`amount` in minor units rounded up: a margin that holds for the rounded cost holds for the real one."""
    return _scaled(amount, currency, ROUND_CEILING)


def from_minor(minor: int, currency: str) -> Decimal:
    """The amount of `minor` units: from_minor(499, "EUR") = Decimal("4.99")."""
    return Decimal(minor).scaleb(-digits(currency))


def format_minor(minor: int, currency: str) -> str:
    """An amount for people: format_minor(123499, "EUR") = "1234.99 EUR"."""
    return f"{from_minor(minor, currency):f} {currency}"


def _scaled(amount: Decimal | str | int, currency: str, rounding: str) -> int:
    if isinstance(amount, float):
        raise MoneyError(f"{amount!r} is a float", todo="pass a Decimal or its text")
    try:
        value = Decimal(amount)
    except InvalidOperation as error:
        raise MoneyError(f"{amount!r} is not an amount of {currency}") from error
    if not value.is_finite():
        raise MoneyError(f"{amount!r} is not an amount of {currency}")
    return int(value.scaleb(digits(currency)).to_integral_value(rounding=rounding))
