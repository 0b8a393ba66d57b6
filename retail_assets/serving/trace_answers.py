"""Answers of GET /trace: the trace of a decision, for those who hold the token of this home."""

import base64
import binascii
import hmac
import threading
from typing import Any

from retail_assets.core.errors import RetailError
from retail_assets.environments import TRACE_TOKEN, TRACE_TOKEN_FILE, Environment, trace_token
from retail_assets.lineage.page import page
from retail_assets.lineage.trace import trace_price

BEARER, BASIC = "Bearer ", "Basic "
BROWSER_SCHEME = 'Basic realm="traces: any user, the token as password", charset="UTF-8"'
PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'", "Cache-Control": "no-store"}


class NotAuthorised(RetailError):
    """No token, the wrong one, or a home that has none. `status` is 401 where a token would help, else 403."""

    def __init__(self, status: int, what: str, todo: str) -> None:
        super().__init__(what, todo=todo)
        self.status = status
        self.todo = todo


class TraceDesk:
    """Traces one decision at a time, so that a trace never takes more than one core from the prices."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._one_at_a_time = threading.Lock()

    def require(self, authorization: str | None) -> None:
        """Raises NotAuthorised unless `authorization` (the header) carries the token, which is read anew each time."""
        token = trace_token(self._environment.home)
        if token is None:
            raise NotAuthorised(
                403,
                "traces are not served here: no token is configured",
                f"set {TRACE_TOKEN}, or write a secret to {TRACE_TOKEN_FILE} in the home",
            )
        by_browser = authorization is not None and authorization.startswith(BASIC)
        given = _given(authorization or "")
        if given is None:
            raise NotAuthorised(401, "a trace needs a token", "send the header Authorization: Bearer <token>")
        if not hmac.compare_digest(given.encode(), token.encode()):
            status = 401 if by_browser else 403  # a browser asks again
            raise NotAuthorised(status, "this token may not see traces", "ask the operator of this home for its token")

    def trace(self, decision_id: str, replay: bool) -> dict[str, Any]:
        """The same document as `retail trace price --json`; blocks, for a thread of its own. Raises TraceError."""
        with self._one_at_a_time:
            return trace_price(self._environment, decision_id, replay=replay).model_dump(mode="json")

    def page(self, decision_id: str, replay: bool) -> str:
        """The same page as `retail trace price --html`; blocks, for a thread of its own. Raises TraceError."""
        with self._one_at_a_time:
            return page(trace_price(self._environment, decision_id, replay=replay))


def _given(authorization: str) -> str | None:
    """The token of a bearer header, or the password of a basic one; None for anything else."""
    if authorization.startswith(BEARER):
        return authorization.removeprefix(BEARER)
    if not authorization.startswith(BASIC):
        return None
    try:
        pair = base64.b64decode(authorization.removeprefix(BASIC), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return pair.partition(":")[2]
