"""What a body must be: one JSON text in UTF-8 that names no key twice and is neither deeper nor longer than is read."""

import json
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

BOM = b"\xef\xbb\xbf"
SHOWN = 40  # characters of a key that is named twice


class _Twice(ValueError):
    """A key that its object has twice."""


class _Unlisted(ValueError):
    """A number that JSON does not have."""


def parsed(body: bytes) -> Any:
    """The value of a JSON text; a byte order mark before it is left out.

    Raises json.JSONDecodeError for everything else, deep nesting, long numbers and other encodings included.
    """
    if b"\0" in body[:4]:
        raise _invalid("it is not UTF-8")
    start = len(BOM) if body.startswith(BOM) else 0
    try:
        text = body[start:].decode()
    except UnicodeDecodeError as error:
        raise _invalid(f"byte {error.start + start} is not UTF-8", error.start) from error
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_unlisted)
    except json.JSONDecodeError:
        raise
    except RecursionError as error:
        raise _invalid("it is nested too deeply") from error
    except (_Twice, _Unlisted) as error:
        raise _invalid(str(error)) from error
    except ValueError as error:
        raise _invalid("it has a number of too many digits") from error


def _invalid(why: str, position: int = 0) -> json.JSONDecodeError:
    return json.JSONDecodeError(why, "", position)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise _Twice(f"the key {ascii(twice[:SHOWN])} is there twice")
    return found


def _unlisted(name: str) -> Any:
    raise _Unlisted(f"{name} is no number")


class _JsonRequest(Request):
    """A request whose body is read by `parsed`."""

    async def json(self) -> Any:
        """The value of the body."""
        return parsed(await self.body())


class StrictRoute(APIRoute):
    """A route that takes what `parsed` takes."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Called by FastAPI."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(_JsonRequest(request.scope, request.receive))

        return strict
