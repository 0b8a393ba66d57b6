"""What one trial of a fault came to, and how to do it again."""

from collections.abc import Callable
from typing import NamedTuple

LOST, DOUBLED, EXECUTED, STUCK, BROKEN = "lost", "doubled", "executed", "stuck", "broken"
"""Rows or files are missing; are there twice; code ran; no end or no way on; what should hold does not."""


class Trial(NamedTuple):
    """One fault: its sort, its seed, what was done, and what it broke with the reason; empty where all held."""

    sort: str
    seed: int
    what: str
    failure: str = ""
    reason: str = ""


Sort = Callable[[int], list[Trial]]
"""A seed -> the trials that it stands for; the same seed does the same again."""


def differences(sort: str, seed: int, what: str, found: dict[str, int], wanted: dict[str, int]) -> Trial:
    """Compares how often each thing is there with how often it should be."""
    missing = {name: count - found.get(name, 0) for name, count in wanted.items() if found.get(name, 0) < count}
    more = {name: count - wanted.get(name, 0) for name, count in found.items() if count > wanted.get(name, 0)}
    if missing:
        return Trial(sort, seed, what, LOST, f"{sum(missing.values()):,} of {', '.join(sorted(missing)[:3])}")
    if more:
        return Trial(sort, seed, what, DOUBLED, f"{sum(more.values()):,} of {', '.join(sorted(more)[:3])}")
    return Trial(sort, seed, what)
