"""Work beside the answers: done later, dropped when there is too much, never in the way."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from retail_assets.core.background import Beside


class Rows(list[Mapping[str, Any]]):
    """Records rows, each after it was let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def record(self, rows: Sequence[Mapping[str, Any]]) -> None:
        assert self.go.wait(10)
        self.extend(rows)


def test_work_is_done_in_order_and_before_the_end() -> None:
    rows = Rows()
    beside = Beside(rows.record, "test")
    for number in range(5):
        beside.take(lambda number=number: [{"n": number}])  # type: ignore[misc]
    assert rows == []
    rows.go.set()
    beside.close()
    assert [row["n"] for row in rows] == [0, 1, 2, 3, 4]
    assert (beside.rows, beside.dropped, beside.failures) == (5, 0, 0)


def test_what_does_not_fit_is_dropped_and_counted() -> None:
    rows = Rows()
    beside = Beside(rows.record, "test", waiting=2)
    for _ in range(9):
        beside.take(lambda: [{}])
    rows.go.set()
    beside.close()
    assert beside.dropped >= 6
    assert beside.rows + beside.dropped == 9


def test_a_failure_ends_nothing() -> None:
    rows = Rows()
    rows.go.set()
    beside = Beside(rows.record, "test")
    beside.take(lambda: [{"n": 1 / 0}])
    beside.take(lambda: [{"n": 1}])
    beside.close()
    assert (beside.failures, beside.rows) == (1, 1)


def test_a_thread_without_work_costs_nothing() -> None:
    beside = Beside(Rows().record, "test")
    beside.close()
    assert not beside.is_alive()
