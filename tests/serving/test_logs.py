"""A log line is one JSON object, whatever is in it."""

import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.serving.connections.log_rate import AT_ONCE, Sparing, spare
from retail_assets.serving.logs import JsonLines
from tests.services.harness import eventually

LINES = JsonLines(lambda: {"product": "pricing", "version": "v1", "target": "store-238"})


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    """A record as a logger makes it."""
    made = logging.LogRecord("retail_assets.requests", logging.WARNING, "x.py", 1, message, arguments, None)
    made.__dict__.update(extra)
    return made


def test_a_line_says_what_was_decided_by_which_version() -> None:
    line = json.loads(LINES.format(record("%s answered %d", "/price", 503, status=503, decision_id="d-1", secret="no")))
    assert line["message"] == "/price answered 503"
    assert (line["product"], line["version"], line["target"]) == ("pricing", "v1", "store-238")
    assert (line["decision_id"], line["status"], line["level"]) == ("d-1", 503, "warning")
    assert "secret" not in line


@given(st.text())
def test_it_stays_one_line(text: str) -> None:
    printed = LINES.format(record("%s", text))
    assert "\n" not in printed
    assert json.loads(printed)["message"] == text


def test_an_exception_is_part_of_its_line() -> None:
    made = record("failed")
    try:
        raise ValueError("what went wrong")
    except ValueError:
        made.exc_info = sys.exc_info()
    printed = LINES.format(made)
    assert "\n" not in printed
    assert "ValueError: what went wrong" in json.loads(printed)["exception"]


class Kept(logging.Handler):
    """Keeps the text of every record."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def kept() -> Iterator[tuple[logging.Logger, Kept, Sparing]]:
    """A logger whose lines are kept, through a handler that is sparing with them."""
    logger, kept = logging.getLogger("test.sparing"), Kept()
    logger.propagate, logger.handlers = False, [kept]
    spare("test.sparing")
    (sparing,) = logger.handlers
    assert isinstance(sparing, Sparing)
    yield logger, kept, sparing
    logger.handlers = []


def test_the_same_line_a_thousand_times_is_a_few_lines_and_a_count(kept: tuple[logging.Logger, Kept, Sparing]) -> None:
    logger, written, sparing = kept
    for number in range(1000):
        logger.warning("garbage %d", number)
    assert written.lines[: int(AT_ONCE)] == [f"garbage {number}" for number in range(int(AT_ONCE))]
    sparing.close()
    counted = [int(found.group(1)) for line in written.lines if (found := re.search(r"\((\d+) more like it\)", line))]
    assert len(written.lines) + sum(counted) == 1000
    assert len(written.lines) < 20


def test_the_count_is_said_though_nothing_more_comes(kept: tuple[logging.Logger, Kept, Sparing]) -> None:
    logger, written, _ = kept
    for number in range(100):
        logger.warning("garbage %d", number)
    assert eventually(lambda: "more like it" in written.lines[-1], within=30)


def test_other_lines_are_not_held_back(kept: tuple[logging.Logger, Kept, Sparing]) -> None:
    logger, written, _ = kept
    for _ in range(100):
        logger.warning("garbage")
    logger.error("something else")
    logger.warning("garbage of another place")
    assert {"something else", "garbage of another place"} <= set(written.lines)
