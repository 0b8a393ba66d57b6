"""Pictures for pages as inline SVG: scales, grids, lines and bands. Pure; colours are in page.css beside this file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from html import escape

WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 22, 30


@dataclass(frozen=True)
class Scale:
    """Maps `low` to `high` onto the pixels `first` to `last`."""

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low or 1.0
        return round(self.first + (value - self.low) / span * (self.last - self.first), 1)

    def ticks(self, about: int = 4) -> list[float]:
        """Round values inside, about as many as asked for."""
        raw = (self.high - self.low or 1.0) / about
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw)
        first = math.ceil(self.low / step)
        count = int(math.floor(self.high / step + 1e-9)) - first + 1
        return [(first + i) * step for i in range(max(count, 0))]


def polyline(x: Scale, y: Scale, at: Sequence[float], values: Sequence[float], kind: str = "curve") -> str:
    """A line through the points, of a class of page.css."""
    points = " ".join(f"{x(a)},{y(v)}" for a, v in zip(at, values, strict=True))
    return f'<polyline class="{kind}" points="{points}"/>'


def band(x: Scale, y: Scale, at: Sequence[float], low: Sequence[float], high: Sequence[float]) -> str:
    """The area between two lines."""
    there = [f"{x(a)},{y(v)}" for a, v in zip(at, low, strict=True)]
    back = [f"{x(a)},{y(v)}" for a, v in reversed(list(zip(at, high, strict=True)))]
    return f'<polygon class="band" points="{" ".join([*there, *back])}"/>'


def grid_x(x: Scale, height: float, top: float, unit: str) -> str:
    """Vertical lines at round values, and the unit below them."""
    marks = []
    ticks = x.ticks(6)
    places = max((len(f"{tick:.6g}".partition(".")[2]) for tick in ticks), default=0)
    for tick in ticks:
        place = x(tick)
        marks.append(f'<line class="grid" x1="{place}" x2="{place}" y1="{top}" y2="{height - BOTTOM}"/>')
        marks.append(f'<text x="{place}" y="{height - 12}" text-anchor="middle">{tick:.{places}f}</text>')
    marks.append(f'<text x="{x.last}" y="{height - 1}" text-anchor="end">{escape(unit)}</text>')
    return "".join(marks)


def grid_y(y: Scale, width: float, unit: str) -> str:
    """Horizontal lines at round values, and the unit above them."""
    marks = []
    for tick in y.ticks():
        place = y(tick)
        marks.append(f'<line class="grid" x1="{LEFT}" x2="{width - RIGHT}" y1="{place}" y2="{place}"/>')
        marks.append(f'<text x="{LEFT - 6}" y="{place + 4}" text-anchor="end">{tick:g}</text>')
    marks.append(f'<text x="{LEFT + 4}" y="{TOP - 8}">{escape(unit)}</text>')
    return "".join(marks)


def grid_days(x: Scale, start: date, last: date) -> str:
    """The name of every fourteenth day below the axis."""
    days = range(0, (last - start).days + 1, 14)
    return "".join(
        f'<text x="{x(day)}" y="{HEIGHT - 12}">{date.fromordinal(start.toordinal() + day):%d %b}</text>' for day in days
    )


def svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """A picture that scales with the page and says what it shows to those who cannot see it."""
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>'
    return f"{head}{''.join(parts)}</svg>"
