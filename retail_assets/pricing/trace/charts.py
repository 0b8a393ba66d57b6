"""Pictures of a trace as inline SVG: the trail, the demand curve, the forecast. Pure; colours are in page.css."""

from collections.abc import Sequence
from html import escape
from typing import Any

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
    grid_x,
    grid_y,
    polyline,
    svg,
)
from retail_assets.pricing.trace.document import Trace

RULE_WIDTH, RULE_HEIGHT = 132, 26
CURVE_POINTS = 41
RULES = {
    "price_in_force": "price in force",
    "objective": "best price",
    "max_change": "largest step",
    "max_change_week": "step in a week",
    "family_order": "order of pack sizes",
    "minimum_gain": "worth a change",
}
"""What a category manager calls a rule, where that is not its name."""


def trail_chart(trace: Trace) -> str:
    """One row per step: the band that the rule allows, the price before (ring) and after (dot)."""
    digits = 10 ** len(trace.price.partition(".")[2]) if "." in trace.price else 1
    lines = trace.trail
    prices = [line[name] / digits for line in lines for name in ("before", "after")]
    margin = max(max(prices) - min(prices), 0.1 * max(prices)) * 0.35
    height = TOP + BOTTOM + RULE_HEIGHT * len(lines)
    x = Scale(max(min(prices) - margin, 0.0), max(prices) + margin, LEFT + RULE_WIDTH, 2 * WIDTH - RIGHT)
    parts = [grid_x(x, height, TOP, trace.currency)]
    final = x(float(trace.price))
    parts.append(f'<line class="decided" x1="{final}" x2="{final}" y1="{TOP}" y2="{height - BOTTOM}"/>')
    for index, line in enumerate(lines):
        parts += _trail_row(line, x, TOP + RULE_HEIGHT * (index + 0.5), digits)
    return svg(2 * WIDTH, height, "Each rule: what it allows, the price before and after", parts)


def _trail_row(line: dict[str, Any], x: Scale, y: float, digits: int) -> list[str]:
    name = escape(RULES.get(line["rule"], line["rule"].replace("_", " ")))
    low = x(max(x.low, (line["low"] or 0) / digits))
    high = x(min(x.high, line["high"] / digits)) if line["high"] is not None else x(x.high)
    before, after = x(line["before"] / digits), x(line["after"] / digits)
    row = [f'<text class="rule" x="{LEFT + RULE_WIDTH - 10}" y="{y + 4}" text-anchor="end">{name}</text>']
    if (line["low"] is not None or line["high"] is not None) and high > low:
        row.append(f'<rect class="band" x="{low}" y="{y - 8}" width="{round(high - low, 1)}" height="16" rx="3"/>')
    if line["status"] in ("not_applicable", "skipped"):
        return [*row, f'<circle class="idle" cx="{after}" cy="{y}" r="3"/>']
    mark = "conflict" if line["status"] == "conflict" else "after"
    if before != after:
        row.append(f'<line class="move" x1="{before}" x2="{after}" y1="{y}" y2="{y}"/>')
        row.append(f'<circle class="before" cx="{before}" cy="{y}" r="5"/>')
    return [*row, f'<circle class="{mark}" cx="{after}" cy="{y}" r="5"><title>{escape(line["words"])}</title></circle>']


def demand_chart(trace: Trace) -> str:
    """Units a day over the price with the 95 % band of the elasticity; empty where the demand is not known."""
    output = trace.output
    if not output.get("units_before"):
        return ""
    previous, price = float(trace.previous_price), float(trace.price)
    prices = _prices(previous, price)
    units = output["units_before"]

    def curve(name: str) -> list[float]:
        return [units * (p / previous) ** output[name] for p in prices]

    mean, edges = curve("elasticity"), (curve("lo"), curve("hi"))
    top = max(max(edges[0]), max(edges[1]))
    x = Scale(prices[0], prices[-1], LEFT, WIDTH - RIGHT)
    y = Scale(0.0, top * 1.05, HEIGHT - BOTTOM, TOP)
    parts = [grid_x(x, HEIGHT, TOP, trace.currency), grid_y(y, WIDTH, "units a day")]
    parts += [band(x, y, prices, *edges), polyline(x, y, prices, mean)]
    parts += _marks(
        x, y, [("before", previous, units), ("after", price, units * (price / previous) ** output["elasticity"])]
    )
    return svg(WIDTH, HEIGHT, "Expected units a day at each price", parts)


def margin_chart(trace: Trace) -> str:
    """Expected margin a day over the price; empty where demand or cost is not known."""
    output, digits = trace.output, 10 ** len(trace.price.partition(".")[2])
    if not output.get("units_before") or output.get("margin_before") is None:
        return ""
    previous, price, cost = float(trace.previous_price), float(trace.price), output["cost"] / digits
    prices = _prices(previous, price)

    def margin(p: float, name: str = "elasticity") -> float:
        return float((p - cost) * output["units_before"] * (p / previous) ** output[name])

    curves = {name: [margin(p, name) for p in prices] for name in ("elasticity", "lo", "hi")}
    values = [value for curve in curves.values() for value in curve]
    spread = max(values) - min(values) or 1.0
    x = Scale(prices[0], prices[-1], LEFT, WIDTH - RIGHT)
    y = Scale(min(*values, 0.0) if min(values) < 0.4 * max(values) else min(values) - 0.1 * spread,
              max(values) + 0.1 * spread, HEIGHT - BOTTOM, TOP)  # fmt: skip
    parts = [grid_x(x, HEIGHT, TOP, trace.currency), grid_y(y, WIDTH, f"{trace.currency} a day")]
    parts += [band(x, y, prices, curves["lo"], curves["hi"]), polyline(x, y, prices, curves["elasticity"])]
    parts += _marks(x, y, [("before", previous, margin(previous)), ("after", price, margin(price))])
    return svg(WIDTH, HEIGHT, "Expected margin a day at each price", parts)


def forecast_chart(trace: Trace) -> str:
    """Units sold in the last weeks, days without stock marked, and the forecast with its 90 % band."""
    sold, ahead = trace.table("fct_sales_daily"), trace.table("forecasts")
    if not sold and not ahead:
        return ""
    days = [row["business_date"] for row in sold] + [row["target_date"] for row in ahead]
    high = max([row["gross_units"] for row in sold] + [row["q95"] for row in ahead] + [1.0])
    start = min(days)
    x = Scale(0.0, float((max(days) - start).days + 1), LEFT, 2 * WIDTH - RIGHT)
    y = Scale(0.0, high * 1.05, HEIGHT - BOTTOM, TOP)
    parts = [grid_y(y, 2 * WIDTH, "units a day"), grid_days(x, start, max(days))]
    width = max(round(x(1.0) - x(0.0) - 1, 1), 1.0)
    for row in sold:
        place, top = x((row["business_date"] - start).days), y(row["gross_units"])
        kind = "empty" if row.get("is_stocked_out") else "sold"
        bar = max(round(y(0.0) - top, 1), 2.0 if row["is_stocked_out"] else 0.0)
        parts.append(f'<rect class="{kind}" x="{place}" y="{round(y(0.0) - bar, 1)}" width="{width}" height="{bar}"/>')
    if ahead:
        middle = [float((row["target_date"] - start).days) + 0.5 for row in ahead]
        parts.append(band(x, y, middle, [row["q05"] for row in ahead], [row["q95"] for row in ahead]))
        parts.append(polyline(x, y, middle, [row["mean"] for row in ahead]))
    return svg(2 * WIDTH, HEIGHT, "Units sold, and the forecast the price rests on", parts)


def _prices(previous: float, price: float) -> list[float]:
    low, high = 0.8 * min(previous, price), 1.2 * max(previous, price)
    return [low + (high - low) * i / (CURVE_POINTS - 1) for i in range(CURVE_POINTS)]


def _marks(x: Scale, y: Scale, marks: Sequence[tuple[str, float, float]]) -> list[str]:
    return [f'<circle class="{kind}" cx="{x(at)}" cy="{y(value)}" r="5"/>' for kind, at, value in marks]
