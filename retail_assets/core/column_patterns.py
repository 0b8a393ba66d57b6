"""Names of columns with keys in braces: for brand 7, `price{brand}` is the column price7."""

from collections.abc import Mapping
from string import Formatter


def fields(pattern: str) -> list[str]:
    """The names in braces; raises ValueError for braces that do not match."""
    return [field for _, field, _, _ in Formatter().parse(pattern) if field is not None]


def filled(pattern: str, values: Mapping[str, object]) -> str:
    """The pattern with the value of each key; str.format would take keys called 0 or a[1] for something else."""
    parts = Formatter().parse(pattern)
    return "".join(text + ("" if field is None else str(values[field])) for text, field, _, _ in parts)
