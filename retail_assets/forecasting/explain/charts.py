"""Pictures of an explanation as inline SVG. Pure; colours are in the stylesheets."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from html import escape

from retail_assets.core.pages.svg import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Scale,
    band,
    grid_days,
    grid_y,
    polyline,
    svg,
)
from retail_assets.forecasting.explain.contributions import GROUPS, TITLES
from retail_assets.forecasting.explain.explanation import DayAhead, Department, Explanation

WIDE = 2 * WIDTH
ROW, NAMES = 30, 190
PAST_DAYS = 182
PARTS = ("level", "season", "holidays", "promotion")


def sales_chart(found: Explanation) -> str:
    """Units of the last weeks as bars, days without stock marked, and the forecast with its 90 % band."""
    first = min([day.day for day in found.history] + [found.days[0].day])
    high = max([day.units for day in found.history] + [day.q95 for day in found.days] + [1.0])
    x = Scale(0.0, float((found.days[-1].day - first).days + 1), LEFT, WIDE - RIGHT)
    y = Scale(0.0, high * 1.05, HEIGHT - BOTTOM, TOP)
    parts = [grid_y(y, WIDE, "units a day"), grid_days(x, first, found.days[-1].day)]
    for day in found.history:
        kind = "empty" if day.is_stocked_out else "sold"
        tall = max(y(0.0) - y(day.units), 2.0 if day.is_stocked_out else 0.0)
        parts.append(_bar(x, (day.day - first).days, y(0.0) - tall, tall, kind, f"{day.day}: {day.units:g} sold"))
    middle = [(day.day - first).days + 0.5 for day in found.days]
    parts.append(band(x, y, middle, [day.q05 for day in found.days], [day.q95 for day in found.days]))
    parts.append(polyline(x, y, middle, [float(day.mean) for day in found.days]))
    return svg(WIDE, HEIGHT, "Units sold and forecast", parts)


def reasons_chart(days: Sequence[DayAhead]) -> str:
    """One column a day: the level in grey, what adds to it above, what takes away below zero, the forecast as a dot."""
    ups = [sum((v for v in day.reasons.values() if v > 0), Decimal(0)) for day in days]
    downs = [sum((v for v in day.reasons.values() if v < 0), Decimal(0)) for day in days]
    x = Scale(0.0, float(len(days)), LEFT, WIDE - RIGHT)
    y = Scale(float(min(downs)) * 1.1, max(float(max(ups)) * 1.05, 0.1), HEIGHT - BOTTOM, TOP)
    parts = [grid_y(y, WIDE, "units a day")]
    for at, day in enumerate(days):
        parts += _column(x, y, at, day)
        if at % 7 == 0:
            parts.append(f'<text x="{x(at)}" y="{HEIGHT - 12}">{day.day:%d %b}</text>')
    return svg(WIDE, HEIGHT, "What each day's forecast is made of", parts)


def _column(x: Scale, y: Scale, at: int, day: DayAhead) -> list[str]:
    above = below = 0.0
    parts = []
    for group in GROUPS:
        value = float(day.reasons[group])
        low, high = (above, above + value) if value >= 0 else (below + value, below)
        above, below = max(above, high), min(below, low)
        name = f"{day.day:%a %d %b}: {TITLES[group]} {value:+.2f}"
        parts.append(_bar(x, at, y(high), round(y(low) - y(high), 1), group, name))
    middle = round((x(at) + x(at + 1)) / 2, 1)
    mean = f"<title>{day.day:%a %d %b}: forecast {day.mean:.2f}</title>"
    return [*parts, f'<circle class="dot" cx="{middle}" cy="{y(float(day.mean))}" r="3">{mean}</circle>']


def waterfall(found: Explanation) -> str:
    """From the level to the forecast of the whole horizon, one row per group of reasons."""
    steps = [(group, found.total_of(group)) for group in GROUPS]
    edges, at = [], Decimal(0)
    for _, units in steps:
        edges.append((at, at + units))
        at += units
    every = [float(edge) for pair in edges[1:] for edge in pair]
    low = min([*every, float(edges[0][1])])
    high = max([*every, float(edges[0][1])])
    start = max(low - 0.35 * (high - low), 0.0) if high - low < 0.5 * high else min(low, 0.0)
    height = ROW * (len(steps) + 1) + 22
    x = Scale(start, high + 0.02 * (high - start), NAMES, WIDE - 90)
    parts = [f'<text x="{NAMES}" y="12">the scale starts at {start:.3g}</text>'] if start > 0 else []
    for row, ((group, units), (a, b)) in enumerate(zip(steps, edges, strict=True)):
        y = 18 + ROW * row
        left, right = sorted((x(max(float(a), start)), x(float(b))))
        sign = "" if group == "level" else "+" if units >= 0 else "−"
        parts.append(f'<text class="rule" x="{NAMES - 10}" y="{y + 15}" text-anchor="end">{TITLES[group]}</text>')
        parts.append(_rect(left, y, max(right - left, 1.5), ROW - 10, group))
        parts.append(f'<text class="rule" x="{right + 8}" y="{y + 15}">{sign}{abs(units):.1f}</text>')
    y = 18 + ROW * len(steps)
    parts.append(f'<text class="rule" x="{NAMES - 10}" y="{y + 15}" text-anchor="end">forecast</text>')
    parts.append(_rect(x(start), y, x(float(found.total)) - x(start), ROW - 10, "forecast"))
    parts.append(f'<text class="rule" x="{x(float(found.total)) + 8}" y="{y + 15}">{found.total:.1f}</text>')
    return svg(WIDE, height, "From the level to the forecast", parts)


def department_chart(whole: Department) -> str:
    """The department's demand of the last half year, Prophet's line through it, and ahead the sum that rules."""
    past = whole.history[-PAST_DAYS:]
    first = past[0]["day"] if past else whole.days[0].day
    lines = [sum(row[group] for group in GROUPS) for row in past]
    values = [row["units"] for row in past if row["units"] is not None]
    alone = [day.prophet_alone for day in whole.days if day.prophet_alone is not None]
    high = max([*values, *lines, *alone, *(float(day.total) for day in whole.days), 1.0])
    x = Scale(0.0, float((whole.days[-1].day - first).days + 1), LEFT, WIDE - RIGHT)
    y = Scale(0.0, high * 1.05, HEIGHT - BOTTOM, TOP)
    parts = [grid_y(y, WIDE, "units a day"), _months(x, first, whole.days[-1].day)]
    for row in past:
        if row["units"] is not None:
            top = y(row["units"])
            parts.append(_bar(x, (row["day"] - first).days, top, round(y(0.0) - top, 1), "sold", str(row["day"])))
    parts.append(polyline(x, y, [(row["day"] - first).days + 0.5 for row in past], lines, "thin"))
    middle = [(day.day - first).days + 0.5 for day in whole.days]
    if len(alone) == len(middle):
        parts.append(polyline(x, y, middle, alone, "thin dashed"))
    parts.append(polyline(x, y, middle, [float(day.total) for day in whole.days]))
    return svg(WIDE, HEIGHT, "The department: sold, Prophet, and the sum of the SKU forecasts", parts)


def part_chart(whole: Department, group: str) -> str:
    """One of Prophet's parts over the half year behind and the days ahead."""
    ahead = [(day.day, float(day.prophet[group])) for day in whole.days if day.prophet is not None]
    points = [(row["day"], row[group]) for row in whole.history[-PAST_DAYS:]] + ahead
    if not points or not any(abs(value) > 0.005 for _, value in points):
        return ""
    first, last = points[0][0], points[-1][0]
    values = [value for _, value in points]
    low, high = min(*values, 0.0 if group != "level" else min(values)), max(*values, 0.0)
    height = 150
    x = Scale(0.0, float((last - first).days + 1), LEFT, WIDTH - RIGHT)
    y = Scale(low - 0.08 * (high - low or 1.0), high + 0.08 * (high - low or 1.0), height - BOTTOM, TOP)
    parts = [grid_y(y, WIDTH, f"{TITLES[group]}, units a day"), _months(x, first, last, height)]
    if ahead:
        start = x((ahead[0][0] - first).days)
        parts.append(_rect(start, TOP, x.last - start, height - BOTTOM - TOP, "ahead"))
    parts.append(polyline(x, y, [(day - first).days + 0.5 for day, _ in points], values))
    return svg(WIDTH, height, f"Prophet: {TITLES[group]}", parts)


def _months(x: Scale, first: date, last: date, height: int = HEIGHT) -> str:
    days = (date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1))
    return "".join(
        f'<text x="{x((day - first).days)}" y="{height - 12}">{day:%b}</text>' for day in days if day.day == 1
    )


def _bar(x: Scale, at: float, top: float, tall: float, kind: str, title: str) -> str:
    wide = max(round(x(1.0) - x(0.0) - 1, 1), 0.8)
    named = f"<title>{escape(title)}</title>"
    return (
        f'<rect class="{kind}" x="{x(at)}" y="{round(top, 1)}" width="{wide}" height="{round(tall, 1)}">{named}</rect>'
    )


def _rect(x: float, y: float, wide: float, tall: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{round(x, 1)}" y="{y}" width="{round(wide, 1)}" height="{tall}" rx="2"/>'
