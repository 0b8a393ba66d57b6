"""Names of our columns beside those of a caller's table: the caller's stay, ours give way."""

from collections.abc import Iterable, Mapping

PREFIX = "retail_"


def own_columns(ours: Iterable[str], theirs: Iterable[str]) -> dict[str, str]:
    """What each of our columns is called beside the caller's: `retail_` in front, as often as it takes, where a column
    of the caller's has its name (`Mean` and `mean` are one name to most databases).
    """
    taken = {name.casefold() for name in theirs}
    found = {}
    for name in ours:
        found[name] = name
        while found[name].casefold() in taken:
            found[name] = PREFIX + found[name]
    return found


def told(names: Mapping[str, str]) -> list[str]:
    """A sentence per column of ours that gives way."""
    return [
        f"{name} is a column of yours: ours is written as {other}" for name, other in names.items() if name != other
    ]
