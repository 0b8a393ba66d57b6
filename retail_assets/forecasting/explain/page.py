"""An explanation as one HTML page for a planner: the curve, its reasons, and the department it is part of.

Pure, and self-contained: no script, no file and no address from outside.
"""

from collections.abc import Sequence
from decimal import Decimal
from html import escape
from pathlib import Path

from retail_assets.core.pages.html import details, document, legend, section
from retail_assets.forecasting.explain.charts import (
    PARTS,
    department_chart,
    part_chart,
    reasons_chart,
    sales_chart,
    waterfall,
)
from retail_assets.forecasting.explain.contributions import GROUPS, TITLES
from retail_assets.forecasting.explain.explanation import Department, Explanation
from retail_assets.forecasting.explain.words import sentences, shown, weekly

STYLE = Path(__file__).with_name("page.css")
BOX = '<rect class="{kind}" x="0" y="1" width="14" height="12"/>'
LINE = '<line class="{kind}" x1="0" x2="14" y1="7" y2="7"/>'
SALES_KEY = (
    (BOX.format(kind="sold"), "sold"),
    (BOX.format(kind="empty"), "sold out at close: more might have been wanted"),
    (BOX.format(kind="band"), "where 9 of 10 days are expected"),
    (LINE.format(kind="curve"), "forecast"),
)
REASONS_KEY = (
    *((BOX.format(kind=group), TITLES[group]) for group in GROUPS),
    ('<circle class="dot" cx="7" cy="7" r="3"/>', "forecast"),
)
DEPARTMENT_KEY = (
    (BOX.format(kind="sold"), "sold"),
    (LINE.format(kind="thin"), "Prophet"),
    (LINE.format(kind="thin dashed"), "Prophet alone, ahead"),
    (LINE.format(kind="curve"), "sum of the SKU forecasts: the number that rules"),
)


def page(found: Explanation) -> str:
    """The whole page, readable in light and dark."""
    title = f"{found.sku} in {found.store_id}: {found.total:.0f} units in {len(found.days)} days"
    body = "".join([_headline(found), _why(found), _curve(found), _weeks(found), _whole(found), _days(found)])
    return document(title, body, STYLE)


def _headline(found: Explanation) -> str:
    where = f"{found.sku} in {found.store_id}, {found.days[0].day} to {found.days[-1].day}"
    made = f"made from what was known on {found.origin} by model {found.model_version}"
    return (
        f"<header><p>{escape(found.product_name or found.sku)}</p><h1>{found.total:.0f} units</h1>"
        f"<p>{escape(where)}, {escape(made)}</p></header>"
    )


def _why(found: Explanation) -> str:
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences(found))
    return section("In short", f"<ul>{said}</ul>") + section("From the level to the forecast", waterfall(found))


def _curve(found: Explanation) -> str:
    return section("Sales and forecast", legend(SALES_KEY) + sales_chart(found)) + section(
        "What each day is made of", legend(REASONS_KEY) + reasons_chart(found.days)
    )


def _weeks(found: Explanation) -> str:
    head = ["week from", *(TITLES[group] for group in GROUPS), "forecast"]
    values = [found.total_of(group) for group in GROUPS]
    total = ["all", *(f"{v:.1f}" for v in shown(values, found.total, 1)), f"{found.total:.1f}"]
    return section("Week by week, in units", _table(head, [*weekly(found), total], last_is_sum=True))


def _whole(found: Explanation) -> str:
    whole = found.department
    if whole is None:
        return ""
    total = sum((day.total for day in whole.days), Decimal(0))
    told = (
        "<p>Two models look at the department. The forecasts of its SKUs add up to the number that orders and prices "
        "use. Prophet sees the department as one curve and splits it into trend, seasons, holidays and promotions; one "
        "factor makes its parts add up to the same number. What then remains of a day is told as other: it is what the "
        "SKU forecasts know and Prophet does not.</p>"
    )
    note = f'<p class="bad">{escape(whole.note)}.</p>' if whole.note else ""
    charts = "".join(part_chart(whole, group) for group in PARTS)
    title = f"The department: {whole.product_group} in {whole.place}, {total:.0f} units"
    return section(
        title,
        told + note + legend(DEPARTMENT_KEY) + department_chart(whole) + _both(whole, total)
        + (f"<h3>Prophet's parts</h3><div class='pair'>{charts}</div>" if charts else ""),
    )  # fmt: skip


def _both(whole: Department, total: Decimal) -> str:
    skus = [sum((day.skus[group] for day in whole.days), Decimal(0)) for group in GROUPS]
    columns = [("sum of the SKU forecasts", [f"{v:.1f}" for v in shown(skus, total, 1)], f"{total:.1f}")]
    parts = [day.prophet for day in whole.days if day.prophet is not None]
    if len(parts) == len(whole.days):
        scaled = [sum((part[group] for part in parts), Decimal(0)) for group in GROUPS]
        columns.append(("Prophet, scaled to it", [f"{v:.1f}" for v in shown(scaled, total, 1)], f"{total:.1f}"))
    rows = [[TITLES[group], *(column[1][at] for column in columns)] for at, group in enumerate(GROUPS)]
    rows.append(["sum", *(column[2] for column in columns)])
    return _table(["units in all days", *(column[0] for column in columns)], rows, last_is_sum=True)


def _days(found: Explanation) -> str:
    head = ["day", "forecast", "9 of 10 days", *(TITLES[group] for group in GROUPS), "known ahead"]
    rows = []
    for day in found.days:
        values = shown([day.reasons[group] for group in GROUPS], day.mean, 2)
        known = [f"{day.discount:.0%} off"] if day.discount else []
        known += [day.holiday] if day.holiday else []
        mean, between = f"{day.mean:.2f}", f"{day.q05:.1f} to {day.q95:.1f}"
        rows.append([f"{day.day:%a %d %b}", mean, between, *(f"{value:.2f}" for value in values), ", ".join(known)])
    return section("Day by day", details(f"{len(rows)} days", _table(head, rows)))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], last_is_sum: bool = False) -> str:
    names = "".join(f"<th{_number(at)}>{escape(name)}</th>" for at, name in enumerate(head))
    lines = []
    for place, row in enumerate(rows):
        kind = ' class="sum"' if last_is_sum and place == len(rows) - 1 else ""
        lines.append(
            f"<tr{kind}>" + "".join(f"<td{_number(at)}>{escape(c)}</td>" for at, c in enumerate(row)) + "</tr>"
        )
    body = "".join(lines)
    return f'<div class="wide"><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>'


def _number(at: int) -> str:
    return ' class="number"' if at else ""
