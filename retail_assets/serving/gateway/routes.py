"""The routes of a service as its front sees them: which scope of key each needs, and how long it may take."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

from retail_assets.serving.config import LoadLimits


@dataclass(frozen=True)
class Direct:
    """How the front answers a route that decides at once (see service_app.decides): what it is asked, and the answer.

    `decide` gets the desk, the question and whether it is late, and never waits for anything.
    """

    model: type[BaseModel]
    decide: Callable[[Any, Any, bool], dict[str, Any]]


@dataclass(frozen=True)
class Place:
    """What a route needs: the label of its counts, the scope of a key (None: any key) and how long it may take."""

    label: str
    scope: str | None
    deadline_s: float
    direct: Direct | None = None
    methods: frozenset[str] = frozenset({"GET", "HEAD"})

    @property
    def allow(self) -> bytes:
        """The header Allow."""
        return ", ".join(sorted({*self.methods, "OPTIONS"})).encode()


def needs(scope: str) -> dict[str, Any]:
    """For `openapi_extra` of a route: the scope that a key must have. The document and the front both read it there."""
    return {"security": [{"key": [scope]}]}


def slow(scope: str) -> dict[str, Any]:
    """As `needs`, for a route that may take longer than a decision."""
    return needs(scope) | {"x-slow": True}


def places(app: FastAPI, limits: LoadLimits) -> tuple[dict[str, Place], list[tuple[re.Pattern[str], Place]]]:
    """Of each route: by exact path, and by the pattern of paths with parameters."""
    exact: dict[str, Place] = {}
    below: list[tuple[re.Pattern[str], Place]] = []
    for route in app.routes:
        if not isinstance(route, APIRoute):
            continue
        extra: Mapping[str, Any] = route.openapi_extra or {}
        scopes = [scope for choice in extra.get("security", []) for scope in choice["key"]]
        seconds = limits.slow_deadline_s if extra.get("x-slow") else limits.deadline_s
        fixed, parameter, _ = route.path.partition("{")
        direct = getattr(route.endpoint, "direct", None)
        methods = frozenset(route.methods or ())
        methods |= {"HEAD"} if "GET" in methods else set()
        place = Place(fixed.rstrip("/"), scopes[0] if scopes else None, seconds, direct, methods)
        if parameter:
            below.append((route.path_regex, place))
        else:
            exact[route.path] = place
    return exact, below
