"""Figures in which text is data: a `$` in a name is a sign, not the beginning of a formula."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float, dpi: int = 80) -> "Figure":
    """A figure of `width` and `height` inches."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["text.parse_math"] = False  # read wherever a text is made
    return Figure(figsize=(width, height), dpi=dpi, layout="constrained")
