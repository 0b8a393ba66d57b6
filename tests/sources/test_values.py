"""A value is taken as it is written or not at all."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.resources import duck
from retail_assets.sources.contract import Dialect
from retail_assets.sources.staging import literal
from retail_assets.sources.values import disagreement, from_expression, from_text, from_typed

PLAIN = Dialect()
CONNECTION = duck.connect()


def computed(sql: str) -> Any:
    row = CONNECTION.execute(f"SELECT {sql}").fetchone()
    assert row is not None
    return row[0]


def text(value: str, kind: str, timestamps: str = "utc", **dialect: Any) -> Any:
    return computed(from_text(literal(value), kind, Dialect(**dialect), timestamps))


@pytest.mark.parametrize("value", ["3e-1", "1_5", "1e3", "0x10", "3.0", "3.7", "", "x", "99999999999", " 3", "--3"])
def test_what_is_no_count(value: str) -> None:
    assert text(value, "integer") is None


@given(st.integers(-(2**31), 2**31 - 1))
def test_every_count_is_itself(value: int) -> None:
    assert text(str(value), "integer") == value
    assert computed(from_typed(f"CAST({value} AS DOUBLE)", "DOUBLE", "integer", "utc")) == value


@pytest.mark.parametrize(
    ("value", "right"), [("1_5", None), ("1.5", Decimal("1.500")), ("1e1", Decimal(10)), ("nan", None)]
)
def test_decimals(value: str, right: Decimal | None) -> None:
    assert text(value, "decimal(12, 3)") == right


@pytest.mark.parametrize("value", ["nan", "inf", "-infinity", "1_5"])
def test_what_is_no_number(value: str) -> None:
    assert text(value, "double") is None
    assert computed(from_typed("CAST('nan' AS DOUBLE)", "DOUBLE", "double", "utc")) is None


def test_a_decimal_comma() -> None:
    assert text("1234,5", "decimal(12, 2)", decimal=",") == Decimal("1234.50")
    assert text("1.234,5", "decimal(12, 2)", decimal=",") is None


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ("2024-03-01", date(2024, 3, 1)), ("2024/03/01", date(2024, 3, 1)), ("30-01-23", None), ("30.01.23", None),
        ("epoch", None), ("infinity", None), ("12024-03-02", None), ("0000-00-00", None), ("2024-02-30", None),
        ("2024-03-01junk", None), ("2024-03-01 BC", None), ("2024-03-01 bis 2024-04-05", None),
        ("2024-03-01T23:30:00-05:00", None), ("2024-03-01T00:00:00Z", None), ("2024-03-01 00:00:00", date(2024, 3, 1)),
        ("2024-3-1", date(2024, 3, 1)), ("2024-03/01", None), ("2024-03-01 25:00", None),
    ],
)  # fmt: skip
def test_dates_are_read_by_an_unambiguous_format(value: str, right: date | None) -> None:
    assert text(value, "date") == right
    assert computed(from_expression(literal(value), "date", PLAIN, "utc")) == right


@pytest.mark.parametrize(
    ("value", "utc", "local", "offset"),
    [
        ("2024-03-02 10:00:00", 10, 10, None),
        ("2024-03-02T10:00", 10, 10, None),
        ("2024-03-02 10:00:00.123", 10, 10, None),
        ("2024-03-02", 0, 0, None),
        ("2024-03-02T10:00:00Z", 10, None, 10),
        ("2024-03-02 10:00:00+00", 10, None, 10),
        ("2024-03-02 10:00:00-00:00", 10, None, 10),
        ("2024-03-02 10:00:00 UTC", 10, None, 10),
        ("2024-03-02T10:00:00+05:30", None, None, 4),
        ("2024-03-02T10:00:00-0500", None, None, 15),
        ("2024-03-02T10:00:00-05:00", None, None, 15),
        ("2024-03-02 10:00:00 America/New_York", None, None, 15),
        ("2024-03-02 10:00:00 ", 10, 10, None),
        ("2024-03-02T10:00:00z", 10, None, 10),
        ("2024-03-02 10:00:00 GMT", 10, None, 10),
        ("2024-03-02 10:00:00 BST", None, None, None),
        ("2024-03-02 10:00:00 CST", None, None, None),
        ("2024-03-02T10:00:00+25:00", None, None, None),
        ("2024-03-02T10:00:00+0530", None, None, 4),
        ("2024-03-02 10:00 AM", None, None, None),
        ("2024-03-02 24:00:00", None, None, None),
        ("2024-03-02 23:59:60", None, None, None),
        ("2024-03-02 10:00:00.123456789", 10, 10, None),
        ("infinity", None, None, None),
        ("epoch", None, None, None),
    ],
)
def test_an_offset_is_neither_dropped_nor_invented(
    value: str, utc: int | None, local: int | None, offset: int | None
) -> None:
    right = {"utc": utc, "local": local, "offset": offset}
    for timestamps, hour in right.items():
        for found in (
            text(value, "timestamp", timestamps),
            computed(from_expression(literal(value), "timestamp", PLAIN, timestamps)),
        ):
            assert (None if found is None else found.hour) == hour, (value, timestamps, found)


def test_a_time_that_disagrees_says_how() -> None:
    offset = "'2024-03-02T10:00:00+05:30'"
    assert computed(disagreement(offset, "local")) == " has an offset, and the feed says timestamps: local"
    assert computed(disagreement(offset, "utc")) == " has an offset, and the feed says timestamps: utc"
    assert computed(disagreement(offset, "offset")) == ""
    assert (
        computed(disagreement("'2024-03-02 10:00'", "offset")) == " has no offset, and the feed says timestamps: offset"
    )
    assert computed(disagreement("'2024-03-02T10:00Z'", "utc")) == ""
    assert computed(disagreement("'tomorrow'", "local")) == ""
    assert computed(disagreement("'2024-03-02 10:00 AM'", "local")) == "", "it has none; it needs a format"


def test_instants_of_a_typed_column_agree_with_the_feed_too() -> None:
    zoned, plain = "TIMESTAMPTZ '2024-03-02 10:00:00+02'", "TIMESTAMP '2024-03-02 10:00:00'"
    kind = "TIMESTAMP WITH TIME ZONE"
    assert computed(from_typed(zoned, kind, "timestamp", "utc")) == datetime(2024, 3, 2, 8, tzinfo=UTC).replace(
        tzinfo=None
    )
    assert computed(from_typed(zoned, kind, "timestamp", "local")) is None
    for kind in ("TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_S"):
        assert computed(from_typed(plain, kind, "timestamp", "offset")) is None
        assert computed(from_typed(plain, kind, "timestamp", "local")) == datetime(2024, 3, 2, 10)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ("536365.0", "536365"), ("90.75", "90.75"), ("1e16", None), ("1e-7", None), ("'nan'", None), ("-0.0", "0"),
        ("9007199254740991", "9007199254740991"), ("9007199254740992", None),
    ],
)  # fmt: skip
def test_a_code_that_became_a_number_is_its_digits_or_nothing(value: str, right: str | None) -> None:
    number = f"CAST({value} AS DOUBLE)"
    assert computed(from_typed(number, "DOUBLE", "text", "utc")) == right
    assert computed(from_expression(number, "text", PLAIN, "utc")) == right


def test_a_small_float_has_fewer_digits_to_lose() -> None:
    assert computed(from_typed("CAST(16777215 AS FLOAT)", "FLOAT", "text", "utc")) == "16777215"
    assert computed(from_typed("CAST(16777217 AS FLOAT)", "FLOAT", "text", "utc")) is None
    assert computed(from_expression("CAST(16777217 AS FLOAT)", "text", PLAIN, "utc")) is None


@pytest.mark.parametrize(
    ("value", "kind", "right"),
    [
        ("'abc'::BLOB", "BLOB", "abc"), (r"'\xFF\xFE'::BLOB", "BLOB", None), (r"'a\x00b'::BLOB", "BLOB", None),
        ("['a']", "VARCHAR[]", None), ("{'id': 1}", "STRUCT(id INTEGER)", None),
        ("MAP {'a': 1}", "MAP(VARCHAR, INTEGER)", None),
    ],
)  # fmt: skip
def test_what_is_no_text(value: str, kind: str, right: str | None) -> None:
    assert computed(from_typed(value, kind, "text", "utc")) == right
    if kind != "BLOB":
        assert computed(from_expression(value, "text", PLAIN, "utc")) == right


def test_true_is_no_number_and_no_day() -> None:
    for kind in ("integer", "decimal(12, 3)", "double", "date"):
        assert computed(from_typed("true", "BOOLEAN", kind, "utc")) is None
        assert computed(from_expression("true", kind, PLAIN, "utc")) is None
    assert computed(from_expression("true", "boolean", PLAIN, "utc")) is True


def test_what_sql_computes_agrees_with_the_feed_too() -> None:
    instant, clock = "TIMESTAMPTZ '2024-03-02 10:00:00+02'", "TIMESTAMP '2024-03-02 10:00:00'"
    assert computed(from_expression(instant, "timestamp", PLAIN, "local")) is None
    assert computed(from_expression(clock, "timestamp", PLAIN, "offset")) is None
    assert computed(from_expression("DATE '2024-03-02'", "timestamp", PLAIN, "offset")) is None
    assert computed(from_typed("DATE '2024-03-02'", "DATE", "timestamp", "offset")) is None
    assert computed(from_expression(instant, "timestamp", PLAIN, "offset")).hour == 8
    assert computed(from_expression(clock, "timestamp", PLAIN, "local")).hour == 10


def test_z_is_an_offset_of_a_format() -> None:
    for value in ("2024-03-02 10:00Z", "2024-03-02 10:00+0000", "2024-03-02 12:00+02:00"):
        assert text(value, "timestamp", "offset", timestamp="%Y-%m-%d %H:%M%z").hour == 10


def test_text_of_other_types_is_what_it_says() -> None:
    assert computed(from_expression("'007'", "text", PLAIN, "utc")) == "007"
    assert computed(from_expression("CAST(90.750 AS DECIMAL(6, 3))", "text", PLAIN, "utc")) == "90.750"
    assert computed(from_typed("12", "BIGINT", "text", "utc")) == "12"
    assert computed(from_expression("3.7", "integer", PLAIN, "utc")) is None
    assert computed(from_expression("'3.7'", "integer", PLAIN, "utc")) is None
    assert computed(from_expression("3.0", "integer", PLAIN, "utc")) == 3
