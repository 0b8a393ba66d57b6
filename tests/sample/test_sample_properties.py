"""What must hold for any input of the small pure parts."""

from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from retail_assets.sample.arrays import Stream, rng_for, within
from retail_assets.sample.assortment import MINIMUM_CENTS, price_ending
from retail_assets.sample.baskets import split_into_lines
from retail_assets.sample.feeds import decimals
from retail_assets.sample.text import bodies, clock, csv_quoted, joined, money, padded, strings

CENTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=30)


@given(arrays(np.int64, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=st.integers(0, 12)))
def test_lines_keep_every_unit_in_its_cell(sold: np.ndarray) -> None:
    lot = np.linspace(1.0, 3.0, sold.shape[1])
    shop, sku, quantity = split_into_lines(np.random.default_rng(1), sold, lot)
    back = np.zeros_like(sold)
    np.add.at(back, (shop, sku), quantity)
    assert (back == sold).all() and (quantity > 0).all()
    assert (np.diff(shop * sold.shape[1] + sku) >= 0).all()


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_price_endings(amounts: list[float]) -> None:
    cents = price_ending(np.array(amounts))
    assert (cents % 10 == 9).all() and (cents >= MINIMUM_CENTS).all()
    assert all(abs(c - a) <= 51 or a < MINIMUM_CENTS for c, a in zip(cents.tolist(), amounts, strict=True))


@given(CENTS)
def test_money_text_is_exact(cents: list[int]) -> None:
    values = np.array(cents)
    assert [Decimal(t) for t in money(values).to_pylist()] == [Decimal(c).scaleb(-2) for c in cents]
    assert [t.replace(",", ".") for t in money(values, ",").to_pylist()] == money(values).to_pylist()


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=30))
def test_decimals_are_exact(cents: list[int]) -> None:
    assert decimals(np.array(cents)).to_pylist() == [Decimal(c).scaleb(-2) for c in cents]


@given(st.lists(st.integers(0, 5), max_size=40))
def test_within_counts_inside_runs(values: list[int]) -> None:
    groups = np.sort(np.array(values, dtype=np.int64))
    expected = [sorted(values)[:i].count(v) for i, v in enumerate(sorted(values))]
    assert within(groups).tolist() == expected


@given(st.lists(st.text(max_size=8), min_size=1, max_size=12), st.data())
def test_bodies_are_the_joined_rows(texts: list[str], data: st.DataObject) -> None:
    rows = joined(strings(t.replace("\x00", "") for t in texts), "\n")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(texts)), max_size=4)))
    bounds = [0, *cuts, len(texts)]
    expected = ["".join(rows.to_pylist()[a:b]).encode() for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    assert bodies(rows, np.array(bounds)) == expected


def test_clock_in_both_styles() -> None:
    seconds = np.array([0, 43_199, 43_200, 86_399, 86_400 + 61])
    assert clock(seconds).to_pylist() == ["00:00:00", "11:59:59", "12:00:00", "23:59:59", "00:01:01"]
    twelve = ["12:00:00 AM", "11:59:59 AM", "12:00:00 PM", "11:59:59 PM", "12:01:01 AM"]
    assert clock(seconds, twelve_hours=True).to_pylist() == twelve


def test_padding_grows_but_never_cuts() -> None:
    assert padded(np.array([7, 1234, 123456]), 4).to_pylist() == ["0007", "1234", "123456"]


def test_quotes_only_where_needed() -> None:
    assert csv_quoted(["A-1", "A, B", "A; B"]).to_pylist() == ["A-1", '"A, B"', '"A; B"']


def test_streams_and_days_are_independent() -> None:
    draws = {rng_for(s, stream, day).random() for s in (1, 2) for stream in Stream for day in (-1, 0, 1)}
    assert len(draws) == 2 * len(Stream) * 3
