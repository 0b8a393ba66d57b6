"""Rows that a person takes out of bronze: nothing is lost, nothing doubled, and it can be undone to the bit."""

from typing import Any

import pytest

from retail_assets.commands.status import source_status
from retail_assets.sources import quality, taken_out
from retail_assets.sources.replay import replay
from retail_assets.sources.taken_out import Matched, Move, QuarantineError
from tests.sources.landing import Retailer, us_line

STEPS = ("noted", "copied", "counted", "deleted")


class Killed(Exception):
    """The process ends here."""


def die_at(wanted: str) -> Any:
    def step(name: str) -> None:
        if name == wanted:
            raise Killed

    return step


@pytest.fixture
def sold(retailer: Retailer) -> Retailer:
    """Five lines of two days; the last one has a wrong date."""
    retailer.put_pos([us_line(receipt=n, price=f"{n}.25") for n in range(1, 5)])
    retailer.put_pos(
        [us_line(receipt=9, time="10/07/2025 10:00:00 AM", promo="O'Hara")], day="20251007", stamp="20251008T030000Z"
    )
    retailer.load_pos()
    return retailer


def find(retailer: Retailer, where: str) -> Matched:
    return taken_out.matched(retailer.lake, "pos_lines", where)


def take(retailer: Retailer, where: str, step: str = "") -> Move:
    found, dies = find(retailer, where), die_at(step)
    return taken_out.take_out(retailer.lake, found, reason="wrong clock", by="me", fault_point=dies)


def back(retailer: Retailer, id: str, step: str = "") -> Move:
    return taken_out.put_back(retailer.lake, "pos_lines", id, reason="it was right", by="me", fault_point=die_at(step))


def receipts(retailer: Retailer) -> list[str]:
    return sorted(row["receipt_id"] for row in retailer.bronze())


def rows(retailer: Retailer) -> list[dict[str, Any]]:
    return sorted(retailer.bronze(), key=lambda row: str(row["row_id"]))


def holds(retailer: Retailer) -> None:
    assert quality.sums(retailer.lake, ["pos_lines"])["pos_lines"].add_up
    told = next(s for s in source_status(retailer.lake) if s.source == "pos_lines")
    assert (told.bronze, told.quarantined, told.files) == (len(retailer.bronze()), len(retailer.quarantine()), 2)


def test_what_matches_is_told_first(sold: Retailer) -> None:
    found = find(sold, "business_date = DATE '2025-10-07'")
    assert (found.rows, [str(day) for day in found.days]) == (1, ["2025-10-07"])
    assert found.examples[0]["receipt_id"] == "R9"
    assert receipts(sold) == ["R1", "R2", "R3", "R4", "R9"]


def test_rows_go_with_their_reason_and_come_back_to_the_bit(sold: Retailer) -> None:
    before = rows(sold)
    move = take(sold, "receipt_id IN ('R9', 'R2')")
    assert receipts(sold) == ["R1", "R3", "R4"]
    holds(sold)
    assert {tuple(row["reasons"]) for row in sold.quarantine()} == {("taken_out: wrong clock",)}
    assert sold.load_pos().files == 0, "its file is known"
    back(sold, move.id)
    assert rows(sold) == before
    assert sold.quarantine() == []
    holds(sold)
    told = [(m.action, m.rows, m.by, m.reason) for m in taken_out.moves(sold.lake, "pos_lines")]
    assert told == [("taken_out", 2, "me", "wrong clock"), ("put_back", 2, "me", "it was right")]


@pytest.mark.parametrize("step", STEPS)
def test_who_dies_half_way_moves_no_row_twice(sold: Retailer, step: str) -> None:
    before = rows(sold)
    with pytest.raises(Killed):
        take(sold, "receipt_id = 'R9'", step)
    sold.load_pos()
    assert receipts(sold) == ["R1", "R2", "R3", "R4"]
    holds(sold)
    (move,) = taken_out.moves(sold.lake)
    with pytest.raises(Killed):
        back(sold, move.id, step)
    sold.load_pos()
    assert rows(sold) == before
    assert sold.quarantine() == []
    holds(sold)


def test_a_replay_leaves_what_a_person_took_out(sold: Retailer) -> None:
    sold.put_pos([us_line(receipt=20, quantity="x")], stamp="20251009T030000Z")
    sold.load_pos()
    take(sold, "receipt_id = 'R9'")
    report = replay(sold.lake, sold.home, "pos_lines")
    assert (report.rows_tried, report.rows_moved, report.rows_left) == (1, 0, 2)
    assert report.left_by_reason == {"not_a_decimal": 1, "taken_out": 1}
    assert receipts(sold) == ["R1", "R2", "R3", "R4"]


def test_a_row_that_came_again_keeps_the_old_one_out(sold: Retailer) -> None:
    move = take(sold, "receipt_id = 'R2'")
    sold.put_pos([us_line(receipt=2, price="7.25")], stamp="20251009T030000Z")
    sold.load_pos()
    assert receipts(sold) == ["R1", "R2", "R3", "R4", "R9"]
    with pytest.raises(QuarantineError, match="a row of the same key has come since"):
        back(sold, move.id)
    take(sold, "receipt_id = 'R2'")
    back(sold, move.id)
    assert receipts(sold) == ["R1", "R2", "R3", "R4", "R9"]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("bussiness_date > '2025'", "the nearest is 'business_date'"),
        ("receipt_id =", "is no condition for rows of bronze/pos_lines"),
        ("true); DROP TABLE x; --", "is no condition|more than one"),
        ("quantity > 1000", "no row of bronze/pos_lines is one where quantity > 1000"),
    ],
)
def test_conditions_that_are_none(sold: Retailer, where: str, said: str) -> None:
    with pytest.raises(QuarantineError, match=said):
        take(sold, where)
    assert len(sold.bronze()) == 5


def test_bronze_that_changed_since_it_was_looked_at_is_looked_at_again(sold: Retailer) -> None:
    found = find(sold, "receipt_id LIKE 'R%'")
    sold.put_pos([us_line(receipt=5)], stamp="20251009T030000Z")
    sold.load_pos()
    with pytest.raises(QuarantineError, match="has changed meanwhile"):
        taken_out.take_out(sold.lake, found, reason="x", by="me")


def test_ids_and_sources_that_nobody_knows(sold: Retailer) -> None:
    with pytest.raises(QuarantineError, match="nothing of pos_lines is out under 'abc'"):
        back(sold, "abc")
    with pytest.raises(QuarantineError, match="'till' is no source"):
        taken_out.matched(sold.lake, "till", "true")
