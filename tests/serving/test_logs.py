"""A log line is one JSON object, whatever is in it."""

import json
import logging
import sys

from hypothesis import given
from hypothesis import strategies as st

from retail_assets.serving.logs import JsonLines

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
