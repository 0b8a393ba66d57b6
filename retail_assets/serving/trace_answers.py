"""Answers of GET /trace: the trace of a decision, for those who hold the token of this home."""

import hmac
import threading
from typing import Any

from retail_assets.core.errors import RetailError
from retail_assets.environments import TRACE_TOKEN, TRACE_TOKEN_FILE, Environment, trace_token
from retail_assets.lineage.trace import trace_price

BEARER = "Bearer "


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
        if authorization is None or not authorization.startswith(BEARER):
            raise NotAuthorised(401, "a trace needs a token", "send the header Authorization: Bearer <token>")
        if not hmac.compare_digest(authorization.removeprefix(BEARER).encode(), token.encode()):
            raise NotAuthorised(403, "this token may not see traces", "ask the operator of this home for its token")

    def trace(self, decision_id: str, replay: bool) -> dict[str, Any]:
        """The same document as `retail trace price --json`; blocks, for a thread of its own. Raises TraceError."""
        with self._one_at_a_time:
            return trace_price(self._environment, decision_id, replay=replay).model_dump(mode="json")
