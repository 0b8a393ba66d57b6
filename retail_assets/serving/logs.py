"""Log lines of services as JSON: one object a line, with the product, the version that answers and the decision id."""

import json
import logging
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from opentelemetry.trace import get_current_span

from retail_assets.serving.connections.log_rate import Sparing

EXTRA = ("route", "status", "seconds", "decision_id", "model_version", "fallback", "left_out")


class JsonLines(logging.Formatter):
    """One JSON object a line. `about` gives what is true of the process at that moment, such as the live version."""

    def __init__(self, about: Callable[[], dict[str, str]]) -> None:
        super().__init__()
        self._about = about

    def format(self, record: logging.LogRecord) -> str:
        """The line without its end."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "pid": os.getpid(),
        }
        line |= self._about()
        line |= {name: record.__dict__[name] for name in EXTRA if name in record.__dict__}
        span = get_current_span().get_span_context()
        if span.is_valid:
            line["trace_id"] = format(span.trace_id, "032x")
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(about: Callable[[], dict[str, str]]) -> None:
    """Sends every log line of this process to standard output as JSON, those of BentoML and uvicorn included."""
    stream = logging.StreamHandler(sys.stdout)
    stream.setFormatter(JsonLines(about))
    handler = Sparing(stream)
    ours = logging.getLogger("retail_assets")
    ours.setLevel(logging.INFO)
    ours.propagate = False
    for name in (None, "bentoml", "uvicorn.error", "circus", "retail_assets"):
        logging.getLogger(name).handlers = [handler]
    for name in ("uvicorn.error", "circus"):
        logging.getLogger(name).propagate = False
