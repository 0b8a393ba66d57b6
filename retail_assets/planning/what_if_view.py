"""The answer to a what-if question as a document, a table and a plot."""

import base64
import html
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console
from rich.text import Text

from retail_assets.core.figures import new_figure
from retail_assets.core.terminal import marked, print_table
from retail_assets.planning.what_if import Answer, WhatIfError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLANNED, CHANGED = "#444444", "#4c72b0"


def totals(answer: Answer) -> dict[str, float]:
    """Units and revenue of all days, planned and changed, and margin where the cost is known."""
    days, found = answer.days, {}
    for name in ("planned", "changed"):
        units, price = days[name], days[f"{name}_price"]
        found[f"{name}_units"], found[f"{name}_revenue"] = float(units.sum()), float((units * price).sum())
        if days["unit_cost"].notna().all():
            found[f"{name}_margin"] = float((units * (price - days["unit_cost"])).sum())
    return found


def answer_document(answer: Answer) -> dict[str, Any]:
    """The whole answer as JSON."""
    days = answer.days.assign(target_date=answer.days["target_date"].astype(str)).rename(
        columns={"target_date": "date"}
    )
    rows = days.to_dict("records")
    known = [{str(k): None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in rows]
    elasticity, low, high = answer.elasticity
    return {
        "store_id": answer.store_id,
        "sku": answer.sku,
        "currency": answer.currency,
        "elasticity": {"value": elasticity, "low": low, "high": high, "learnt_from": answer.source},
        "promotion_display": answer.display,
        "forecast_version": answer.forecast_version,
        "pricing_version": answer.pricing_version,
        "notes": list(answer.notes),
        "totals": totals(answer),
        "days": known,
    }


def show_answer(answer: Answer, console: Console) -> None:
    """Prints the days, the totals and what the answer rests on."""
    title = f"{answer.sku} in {answer.store_id}, units a day"
    numbers = ("planned price", "changed price", "planned", "changed", "95 % from", "to")
    rows: list[tuple[Text, ...]] = []
    for row in answer.days.to_dict("records"):
        prices = (f"{row[name]:.2f}" for name in ("planned_price", "changed_price"))
        units = (f"{row[name]:.1f}" for name in ("planned", "changed", "low", "high"))
        cells = (f"{row['target_date']:%a %d %b %Y}", *prices, *units)
        style = "" if row["changed"] == row["planned"] else "bold"
        rows.append(tuple(Text(text, style=style) for text in cells))
    print_table(console, ("day", *numbers), rows, title=title, numbers=numbers)
    found = totals(answer)
    for name, unit in (("units", None), ("revenue", answer.currency), ("margin", answer.currency)):
        if f"planned_{name}" in found:
            was, now = found[f"planned_{name}"], found[f"changed_{name}"]
            change = f" ({now / was - 1:+.1%})" if was > 0 else ""
            shown = name if unit is None else f"{name} in {unit}"
            console.print(f"{shown}: {was:,.1f} planned, {now:,.1f} changed{change}", highlight=False)
    elasticity, low, high = answer.elasticity
    said = f"elasticity {elasticity:.2f} (95 %: {low:.2f} to {high:.2f}), learnt from the {answer.source}'s sales"
    if answer.display != 1.0:
        said += f"; the display of a promotion alone sells {answer.display - 1:+.0%}"
    console.print(said, highlight=False)
    for note in answer.notes:
        console.print(marked("[yellow]{}[/]", note))


def figure(answer: Answer) -> "Figure":
    """Planned and changed curve with the 95 % band of the effect."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    drawn = new_figure(9.0, 3.6, dpi=100)
    axes, days = drawn.subplots(), answer.days
    at = pd.to_datetime(days["target_date"])
    axes.fill_between(at, days["low"], days["high"], color=CHANGED, alpha=0.25, linewidth=0, label="95 % of the effect")
    axes.plot(at, days["changed"], color=CHANGED, linewidth=1.8, label="changed")
    axes.plot(at, days["planned"], color=PLANNED, linewidth=1.2, linestyle="--", label="planned")
    axes.set_title(f"{answer.sku} in {answer.store_id}: units a day", fontsize=10)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(AutoDateLocator()))
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, ncols=3, frameon=False)
    return drawn


def save_plot(answer: Answer, file: Path) -> None:
    """Writes the plot as .png, or as .html with the table beside it; raises WhatIfError for another ending."""
    if file.suffix not in (".png", ".html"):
        raise WhatIfError(
            f"{file.suffix or 'no ending'} is not a format of plots", todo="use .png or .html", where=str(file)
        )
    buffer = io.BytesIO()
    figure(answer).savefig(buffer, format="png")
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".png":
        file.write_bytes(buffer.getvalue())
        return
    title = html.escape(f"{answer.sku} in {answer.store_id}: what if")
    image = base64.b64encode(buffer.getvalue()).decode()
    shown = answer.days[["target_date", "planned_price", "changed_price", "planned", "changed", "low", "high"]]
    table = shown.to_html(index=False, float_format="{:.2f}".format, border=0)
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in answer.notes)
    file.write_text(
        f'<!doctype html><meta charset="utf-8"><title>{title}</title><style>body{{font-family:sans-serif;margin:2em}}'
        f"td,th{{padding:.2em .8em;text-align:right}}</style><h1>{title}</h1>"
        f'<img alt="planned and changed units a day" src="data:image/png;base64,{image}">{notes}{table}\n',
        encoding="utf-8",
    )
