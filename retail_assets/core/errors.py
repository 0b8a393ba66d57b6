"""The base of every error this project raises on purpose."""

from collections.abc import Iterator
from typing import Any


class RetailError(Exception):
    """Says what was wrong, where (file, line, column, value) and what to do about it.

    `what` is one sentence; `where` and `todo` are appended on lines of their own when given. `report` says what was
    done all the same, for scripts.
    """

    report: dict[str, Any] | None = None

    def __init__(self, what: str, *, where: str | None = None, todo: str | None = None) -> None:
        self.what = what
        self.where = where
        self.todo = todo
        lines = [what, f"  where: {where}" if where else "", f"  to do: {todo}" if todo else ""]
        super().__init__("\n".join(line for line in lines if line))


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it came from, nearest first."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        seen.append(following)
        yield following
        following = following.__cause__ or following.__context__
