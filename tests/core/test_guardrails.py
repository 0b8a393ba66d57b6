"""A guardrail that lets one price through is the runaway price; one that moves a price it should not is as bad."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.core import guardrails as g
from retail_assets.core.guardrails import NO_HIGH, NO_LOW, RULES, Corridor, Ladder, LadderError, Line, Status

LADDER = Ladder.of([np.array([99, 149, 199, 249, 299, 349, 399]), np.array([95, 195, 295])])


def ints(*values: int) -> g.Ints:
    return np.array(values, dtype=np.int64)


def flags(*values: bool) -> g.Flags:
    return np.array(values, dtype=bool)


def corridor(proposal: int, previous: int, held: bool = False) -> Corridor:
    return g.enter(ints(proposal), ints(previous), np.array([held]))


def told(line: Line) -> tuple[int, int, str]:
    return int(line.before[0]), int(line.after[0]), Status(int(line.status[0])).name


def test_a_cap_lowers_a_price_and_none_leaves_it() -> None:
    assert told(g.legal_cap(corridor(500, 450), ints(480))[1]) == (500, 480, "MOVED")
    assert told(g.legal_cap(corridor(480, 450), ints(480))[1]) == (480, 480, "PASSED")
    assert told(g.legal_cap(corridor(500, 450), ints(NO_HIGH))[1]) == (500, 500, "NOT_APPLICABLE")


@pytest.mark.parametrize(
    ("proposal", "after", "status"),
    [(600, 540, "MOVED"), (540, 540, "PASSED"), (541, 540, "MOVED"), (320, 320, "PASSED"), (319, 320, "MOVED")],
)
def test_the_price_range_holds_on_both_sides(proposal: int, after: int, status: str) -> None:
    line = g.price_range(corridor(proposal, 400), ints(400), ints(8000), ints(13500))[1]
    assert told(line) == (proposal, after, status)


def test_the_price_range_is_not_guessed_without_a_reference() -> None:
    assert told(g.price_range(corridor(600, 400), ints(0), ints(8000), ints(13500))[1])[2] == "NOT_APPLICABLE"


def test_the_largest_change_rounds_inwards() -> None:
    assert told(g.max_change(corridor(1, 333), ints(1000))[1])[1] == 300  # 299.7 would be more than 10 %
    assert told(g.max_change(corridor(999, 333), ints(1000))[1])[1] == 366  # 366.3 would be more than 10 %


def test_the_largest_change_of_a_week_counts_from_the_price_of_last_week() -> None:
    line = g.max_change_week(corridor(400, 360), ints(300), ints(2000))[1]
    assert told(line) == (400, 360, "MOVED")
    assert told(g.max_change_week(corridor(400, 360), ints(0), ints(2000))[1])[2] == "NOT_APPLICABLE"


def test_a_price_moved_too_far_within_a_week_stays_in_conflict() -> None:
    stepped, _ = g.max_change(corridor(430, 400), ints(500))
    _, line = g.max_change_week(stepped, ints(300), ints(2000))
    assert told(line) == (420, 400, "CONFLICT")
    assert RULES[line.against[0]] == "max_change"


def test_an_unknown_competitor_binds_nothing() -> None:
    line = g.competitor_band(corridor(600, 400), ints(0), ints(8000), ints(12000))[1]
    assert told(line) == (600, 600, "NOT_APPLICABLE")
    assert (line.low[0], line.high[0]) == (NO_LOW, NO_HIGH)


def test_a_conflict_keeps_the_price_and_names_both_rules() -> None:
    stepped, _ = g.max_change(corridor(430, 400), ints(1000))
    after, line = g.competitor_band(stepped, ints(200), ints(8000), ints(12000))
    assert told(line) == (430, 400, "CONFLICT")
    assert RULES[line.against[0]] == "max_change"
    assert after.stopped[0]


def test_rules_after_a_conflict_are_recorded_and_skipped() -> None:
    stepped, _ = g.max_change(corridor(430, 400), ints(1000))
    stopped, _ = g.competitor_band(stepped, ints(200), ints(8000), ints(12000))
    _, line = g.family_order(stopped, ints(0), ints(100), flags(True))
    assert told(line) == (400, 400, "SKIPPED")
    assert line.high[0] == 100
    assert line.broken_by(ints(400))[0]


@pytest.mark.parametrize(
    ("previous", "low", "high", "expected"),
    [
        (400, 0, 300, (360, "NEARER")),  # out of order by more than a step: as far down as one step goes
        (400, 500, 900, (440, "NEARER")),
        (400, 0, 380, (380, "MOVED")),  # one step is enough
        (400, 390, 900, (400, "PASSED")),
        (400, 500, 300, (400, "CONFLICT")),  # no price is in order
    ],
)
def test_a_pack_out_of_order_comes_nearer_by_steps(
    previous: int, low: int, high: int, expected: tuple[int, str]
) -> None:
    stepped, _ = g.max_change(corridor(previous, previous), ints(1000))
    after, line = g.family_order(stepped, ints(low), ints(high), flags(True))
    assert told(line)[1:] == expected
    assert (line.low[0], line.high[0]) == (low, high)
    if expected[1] == "NEARER":
        assert RULES[line.against[0]] == "max_change"
        assert line.broken_by(after.price)[0]
        stays, alone = g.family_order(stepped, ints(low), ints(high), flags(False))
        assert told(alone)[1:] == (previous, "CONFLICT")


def test_a_pack_that_came_nearer_is_not_taken_back_by_a_later_rule() -> None:
    stepped, _ = g.max_change(corridor(350, 350), ints(2000))
    nearer, _ = g.family_order(stepped, ints(0), ints(200), flags(True))
    ended, line = g.price_ending(nearer, LADDER, ints(0))
    assert told(line) == (280, 299, "MOVED")
    kept, _ = g.margin_floor(ended, ints(310), ints(0), LADDER, ints(0))
    assert kept.price[0] == 349  # dearer than the step, and still below the price before
    stopped, line = g.margin_floor(ended, ints(350), ints(0), LADDER, ints(0))
    assert told(line)[1:] == (350, "CONFLICT")


def test_the_margin_floor_raises_to_a_rung_that_holds_it() -> None:
    stepped, _ = g.max_change(corridor(149, 200), ints(5000))
    after, line = g.margin_floor(stepped, ints(150), ints(1000), LADDER, ints(0))
    assert told(line) == (149, 199, "MOVED")  # 166.7 is the floor, 199 the next ending
    assert line.low[0] == 167


def test_the_margin_floor_does_not_break_the_largest_change() -> None:
    stepped, _ = g.max_change(corridor(95, 100), ints(1000))
    after, line = g.margin_floor(stepped, ints(200), ints(1000), LADDER, ints(0))
    assert told(line) == (95, 100, "CONFLICT")
    assert RULES[line.against[0]] == "max_change"


def test_an_ending_is_the_nearest_rung_inside_the_corridor() -> None:
    stepped, _ = g.max_change(corridor(230, 200), ints(2000))  # 249 is nearer and outside
    assert told(g.price_ending(stepped, LADDER, ints(0))[1]) == (230, 199, "MOVED")


def test_no_ending_in_the_corridor_is_a_conflict() -> None:
    stepped, _ = g.max_change(corridor(230, 225), ints(500))
    assert told(g.price_ending(stepped, LADDER, ints(0))[1]) == (230, 225, "CONFLICT")


def test_a_price_that_does_not_change_needs_no_ending() -> None:
    assert told(g.price_ending(corridor(217, 217), LADDER, ints(0))[1]) == (217, 217, "NOT_APPLICABLE")


def test_a_held_price_is_skipped_by_every_rule() -> None:
    held = corridor(500, 400, held=True)
    assert told(g.max_change(held, ints(100))[1]) == (400, 400, "SKIPPED")


def out_of_stock(state: Corridor, on_hand: int, known: bool = True, cap: int = NO_HIGH) -> tuple[int, int, str]:
    return told(g.out_of_stock(state, ints(on_hand), flags(known), ints(cap))[1])


def test_what_is_out_of_stock_gets_no_cheaper() -> None:
    assert out_of_stock(corridor(350, 400), 0) == (350, 400, "MOVED")
    assert out_of_stock(corridor(350, 400), -2) == (350, 400, "MOVED"), "less than nothing on hand is nothing"
    assert out_of_stock(corridor(450, 400), 0) == (450, 450, "PASSED"), "dearer it may get"
    assert out_of_stock(corridor(350, 400), 1) == (350, 350, "NOT_APPLICABLE")
    assert out_of_stock(corridor(350, 400), 0, known=False) == (350, 350, "NOT_APPLICABLE")
    assert out_of_stock(corridor(350, 400), 0, cap=360) == (350, 350, "NOT_APPLICABLE"), "a cut that the law asks for"
    assert out_of_stock(corridor(350, 400, held=True), 0)[1:] == (400, "SKIPPED")


def test_a_price_that_a_person_insists_on_is_moved_by_no_rule_and_each_says_what_it_allows() -> None:
    state = g.enter(ints(900), ints(400), flags(False), flags(True))
    capped, cap = g.legal_cap(state, ints(500))
    stepped, step = g.max_change(capped, ints(1000))
    ended, ending = g.price_ending(stepped, LADDER, ints(0))
    _, stock = g.out_of_stock(ended, ints(0), flags(True), ints(NO_HIGH))
    assert [told(line) for line in (cap, step, ending, stock)] == [(900, 900, "SKIPPED")] * 4
    assert cap.broken_by(ints(900))[0]
    assert (step.low[0], step.high[0]) == (360, 440)


def test_an_empty_ladder_is_refused() -> None:
    with pytest.raises(LadderError, match="no price"):
        Ladder.of([ints(99), ints()])


@given(st.integers(0, 500), st.integers(0, 1), st.integers(0, 500), st.integers(0, 500))
def test_ladder_agrees_with_looking_at_every_rung(price: int, market: int, low: int, high: int) -> None:
    rungs = [[99, 149, 199, 249, 299, 349, 399], [95, 195, 295]][market]
    below, above = [r for r in rungs if r <= price], [r for r in rungs if r >= price]
    inside = [r for r in rungs if low <= r <= high]
    at = ints(price), ints(market)
    assert LADDER.at_or_below(*at)[0] == (below[-1] if below else 0)
    assert LADDER.at_or_above(*at)[0] == (above[0] if above else NO_HIGH)
    clipped = min(max(price, low), high) if low <= high else price
    expected = min(inside, key=lambda r: (abs(r - clipped), r)) if inside else NO_HIGH
    assert LADDER.nearest(ints(clipped), ints(low), ints(high), ints(market))[0] == expected


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_no_guardrail_is_violated_by_a_million_random_proposals(seed: int) -> None:
    """A quarter of a million at a time: every moved price is inside every rule, every conflict keeps its price."""
    rng = np.random.default_rng(seed)
    n = 250_000
    previous, proposal = rng.integers(1, 500, n), rng.integers(1, 900, n)
    caps = np.where(rng.random(n) < 0.5, rng.integers(50, 600, n), NO_HIGH)
    reference, floor = rng.integers(0, 500, n), rng.integers(0, 5000, n)
    day, week = rng.integers(0, 3000, n), rng.integers(0, 4000, n)
    last_week = np.where(rng.random(n) < 0.1, 0, np.maximum(previous * rng.uniform(0.6, 1.5, n), 1).astype(np.int64))
    competitor = np.where(rng.random(n) < 0.5, 0, rng.integers(0, 500, n))
    reference, cost = np.where(rng.random(n) < 0.5, 0, reference), rng.integers(0, 400, n)
    family_low = np.where(rng.random(n) < 0.3, rng.integers(1, 300, n), NO_LOW)
    family_high = np.where(rng.random(n) < 0.3, rng.integers(200, 600, n), NO_HIGH)
    by_steps = rng.random(n) < 0.7
    market, held = rng.integers(0, 2, n), rng.random(n) < 0.1
    low_share, high_share = rng.integers(5000, 10001, n), rng.integers(10000, 15001, n)
    on_hand, counted = rng.integers(-1, 4, n), rng.random(n) < 0.8
    state = g.enter(proposal, previous, held)
    lines = []
    for rule in (
        lambda c: g.legal_cap(c, caps),
        lambda c: g.price_range(c, reference, low_share, high_share),
        lambda c: g.max_change(c, day),
        lambda c: g.max_change_week(c, last_week, week),
        lambda c: g.competitor_band(c, competitor, low_share, high_share),
        lambda c: g.family_order(c, family_low, family_high, by_steps),
        lambda c: g.price_ending(c, LADDER, market),
        lambda c: g.margin_floor(c, cost, floor, LADDER, market),
        lambda c: g.out_of_stock(c, on_hand, counted, caps),
    ):
        state, line = rule(state)
        lines.append(line)
    price, moved = state.price, state.price != previous
    conflict = np.any([line.status == Status.CONFLICT for line in lines], axis=0)
    assert [line.rule for line in lines] == list(RULES)
    assert not moved[held | conflict].any()
    family = lines[RULES.index("family_order")]
    nearer = moved & (family.status == Status.NEARER)
    inside = moved & ~nearer
    assert not np.any([line.broken_by(price)[moved] for line in lines if line is not family])
    assert not family.broken_by(price)[inside].any()
    before, after = (np.maximum(family_low - p, p - family_high) for p in (previous, price))
    assert by_steps[nearer].all()
    assert (after < before)[nearer].all()
    assert nearer.sum() > 200
    assert (price[moved] <= caps[moved]).all()
    assert (price >= previous)[counted & (on_hand <= 0) & (caps >= previous)].all()
    assert (np.abs(price - previous) * 10_000 <= day * previous)[moved].all()
    assert (np.abs(price - last_week) * 10_000 <= week * last_week)[moved & (last_week > 0)].all()
    assert (price >= family_low)[inside].all()
    assert (price <= family_high)[inside].all()
    assert ((price - cost) * 10_000 >= floor * price)[moved & (cost > 0)].all()
    assert (LADDER.at_or_below(price, market) == price)[moved].all()
    stands = ~held & ~conflict & ~moved & (lines[-1].status != Status.MOVED)
    assert not np.any([line.broken_by(price)[stands] for line in lines])
    assert moved.sum() > 1_000
    assert conflict.any()
