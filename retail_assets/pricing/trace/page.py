"""A trace as one HTML page: for a category manager first, for an auditor further down. Pure; no asset from outside."""

from collections.abc import Sequence
from datetime import date
from html import escape
from typing import Any

from retail_assets.core.pages.html import details, document, legend, section
from retail_assets.pricing.trace.charts import demand_chart, forecast_chart, margin_chart, trail_chart
from retail_assets.pricing.trace.document import Rows, Trace
from retail_assets.pricing.trace.models import ModelStory
from retail_assets.pricing.trace.words import CONTENT, live_since, places, value_of

WHERE = ("file", "line", "load_id", "content_hash")
NAMES = {
    "pos_lines": "Receipt lines",
    "stock_levels": "Stock counts",
    "price_list": "Price list",
    "competitor_prices": "Competitor prices",
    "promotions": "Promotions",
    "stores": "Store",
    "products": "Catalogue",
}
GOLD_SHOWN = {
    "fct_sales_daily": ("business_date", "gross_units", "gross_amount", "on_hand", "competitor_price", "source_rows"),
    "fct_price_history": ("valid_from", "valid_to", "list_price", "unit_cost", "currency", "source"),
    "forecasts": ("target_date", "mean", "q05", "q95", "model_version"),
    "dim_store": ("store_id", "country", "currency", "channel"),
    "dim_product": ("sku", "name", "department", "category"),
    "dim_promotion": ("promo_code", "starts_on", "ends_on", "discount_pct"),
}
KEY = (
    ('<circle class="before" cx="7" cy="7" r="5"/>', "before"),
    ('<circle class="after" cx="7" cy="7" r="5"/>', "decided"),
    ('<rect class="band" x="0" y="1" width="14" height="12"/>', "what a rule allows, or how sure the model is"),
)
SALES_KEY = (
    ('<rect class="sold" x="3" y="1" width="8" height="12"/>', "sold"),
    ('<rect class="empty" x="3" y="1" width="8" height="12"/>', "sold out at close: more might have been wanted"),
    ('<rect class="band" x="0" y="1" width="14" height="12"/>', "where 9 of 10 days are expected"),
    ('<line class="curve" x1="0" x2="14" y1="7" y2="7"/>', "forecast"),
)
Cell = Any


def page(trace: Trace) -> str:
    """The whole page, readable in light and dark."""
    title = f"{trace.sku} in {trace.store_id}: {trace.price} {trace.currency}"
    sections = [
        _headline(trace), _reasons(trace), _pictures(trace), _proof(trace), _models(trace), _inputs(trace),
        _forecast(trace), _gold(trace), _raw(trace), _left_out(trace), _record(trace),
    ]  # fmt: skip
    return document(title, "".join(sections))


def _headline(trace: Trace) -> str:
    change = float(trace.price) / float(trace.previous_price) - 1
    moved = (
        f"{change:+.1%} from {trace.previous_price}" if trace.outcome == "changed" else f"as before ({trace.outcome})"
    )
    notes = ""
    if trace.corrected_by:
        notes += f'<p class="bad">Corrected since by decision {escape(trace.corrected_by)}.</p>'
    if trace.corrects:
        notes += f"<p>Corrects decision {escape(trace.corrects)}.</p>"
    return (
        f"<header><p>{escape(trace.product_name or trace.sku)}</p>"
        f"<h1>{escape(trace.price)} {escape(trace.currency)}</h1>"
        f"<p>{escape(trace.sku)} in {escape(trace.store_id)}, from {trace.effective_from}, {escape(moved)}</p>{notes}"
        "</header>"
    )


def _reasons(trace: Trace) -> str:
    return section("Why", "<ul>" + "".join(f"<li>{escape(word)}</li>" for word in trace.words[1:]) + "</ul>")


def _pictures(trace: Trace) -> str:
    curves = demand_chart(trace) + margin_chart(trace)
    chart = forecast_chart(trace)
    shown = f'<div class="pair">{curves}</div>' if curves else ""
    return (
        section("From the best price to the decided one", legend(KEY) + trail_chart(trace))
        + (section("Demand and margin at each price", shown) if shown else "")
        + section("Sales and forecast", legend(SALES_KEY) + chart if chart else "<p>No sales and no forecast.</p>")
    )


def _proof(trace: Trace) -> str:
    verdict = ""
    if trace.replay:
        kind = "good" if trace.replay.equal else "bad"
        verdict = f'<p class="{kind}">Replay: {escape(trace.replay.verdict)}.</p>'
    rows = [[s.what, s.raw_rows, s.raw, s.gold, "yes" if s.agrees else s.difference] for s in trace.sums]
    agree = "All agree." if trace.sums_agree else str(trace.first_difference)
    table = _table(["sum", "raw rows", "raw rows say", "gold says", "agree"], rows)
    return section("Do the raw rows add up?", f"{verdict}<p>{escape(agree)}</p>{table}")


def _models(trace: Trace) -> str:
    return section("Models", "".join(_model(story) for story in trace.models))


def _model(story: ModelStory) -> str:
    lines = [f"<h3>{escape(story.product)} {escape(story.version)}</h3>"]
    if story.live_since:
        lines.append(f"<p>{escape(live_since(story))} ({escape(str(story.action))}: {escape(str(story.reason))})</p>")
    if story.replaced_at:
        lines.append(f"<p>Replaced {story.replaced_at:%Y-%m-%d %H:%M} UTC by {escape(str(story.replaced_by))}</p>")
    if story.missing:
        lines.append(f'<p class="bad">{escape(story.missing)}</p>')
    if story.training:
        made = story.training
        tables = ", ".join(f"{name} version {version}" for name, version in sorted(made.gold.items()))
        lines.append(
            f"<p>Trained on {made.rows:,} rows of {made.train_from} to {made.train_until}, commit "
            f"{escape(made.git_commit[:12])}, from gold {escape(tables)}.</p>"
        )
        metrics = [[name, "-" if value is None else f"{value:.5g}"] for name, value in sorted(made.metrics.items())]
        lines.append(details(f"{len(metrics)} metrics", _table(["metric", "value"], metrics)))
        lines.append(details("configuration", f"<pre>{escape(_indented(made.config))}</pre>"))
    gates = [[g.get("metric"), g.get("reason"), "passed" if g.get("passed") else "failed"] for g in story.gates]
    if gates:
        lines.append(details(f"{len(gates)} gates", _table(["metric", "what was compared", ""], gates)))
    return "".join(lines)


def _indented(config: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in config.items())


def _inputs(trace: Trace) -> str:
    rows = [
        [f.name.replace("_", " "), value_of(f, trace.currency, places(trace)), f.at or "", f.how or "", f.gold or "",
         ", ".join(f.bronze)]
        for f in trace.features
    ]  # fmt: skip
    return section("Inputs", _table(["input", "value", "of", "what it is", "gold", "raw tables"], rows))


def _forecast(trace: Trace) -> str:
    """What the forecast behind the base demand was made of."""
    features = trace.forecast_features
    if features is None:
        return ""
    if isinstance(features, str):
        return section("What the forecast was made of", f'<p class="bad">{escape(features)}</p>')
    rows = [
        [name.replace("_", " "), value, features.days[table], f"{table}, version {features.versions[table]}"]
        for table, values in features.tables.items()
        for name, value in values.items()
    ]
    table = _table(["feature", "value", "of", "gold"], rows)
    return section("What the forecast was made of", details(f"{len(rows)} features of {features.day}", table))


def _gold(trace: Trace) -> str:
    parts = [f"<p>Built by dbt code {escape(trace.warehouse.code_hash or 'not recorded')}.</p>"]
    for rows in trace.gold:
        path = " → ".join(model.name for model in trace.warehouse.marts.get(rows.table, []))
        columns = GOLD_SHOWN[rows.table]
        table = _table(columns, [[row.get(column) for column in columns] for row in rows.rows])
        through = f'<p class="path">{escape(path)}</p>' if path else ""
        parts.append(details(f"{rows.table}, version {rows.version}: {_rows(rows)}", through + table))
    return section("Gold rows", "".join(parts))


def _raw(trace: Trace) -> str:
    shas = {file.load_id: file.sha256 for file in trace.files}
    parts = []
    for rows in trace.raw:
        columns = CONTENT[rows.table]
        shown = (*WHERE, *columns)
        cells = [[*(row.get(name) for name in shown), shas.get(row["load_id"], "")[:12]] for row in rows.rows]
        head = f"{NAMES[rows.table]}: {_rows(rows)} of bronze/{rows.table}, version {rows.version}"
        parts.append(details(head, _table([*shown, "sha256 of the file"], cells)))
    for rows in trace.family:
        cells = [[row["sku"], *(row.get(name) for name in (*WHERE, *CONTENT[rows.table]))] for row in rows.rows]
        head = f"{NAMES[rows.table]} of the other packs of the price family: {_rows(rows)} of bronze/{rows.table}"
        parts.append(details(head, _table(["sku", *WHERE, *CONTENT[rows.table]], cells)))
    return section("Raw rows", "".join(parts) or "<p>None are known.</p>")


def _left_out(trace: Trace) -> str:
    rows = [
        [row["file"], row["line"], "; ".join(row["reasons"]), row["raw"]]
        for found in trace.quarantined
        for row in found.rows
    ]
    table = _table(["file", "line", "why", "row as it came"], rows) if rows else "<p>None.</p>"
    return section("Left out: rows of the same key in quarantine", table)


def _record(trace: Trace) -> str:
    rules = "; ".join(f"{name} {value}" for name, value in trace.policy.rules.items()) or trace.policy.missing
    rows: list[list[Cell]] = [
        ["decision", trace.decision_id],
        ["decided", f"{trace.decided_at:%Y-%m-%d %H:%M:%S} UTC, {trace.mode}"],
        ["policy", f"{trace.policy.policy_hash[:12]}: {rules}"],
        ["Dagster run", trace.dagster_run_id],
        ["commit", trace.git_commit],
        ["traced in", f"{trace.seconds} s"],
    ]
    return section("Record", _table(["", ""], rows))


def _table(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    names = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: Cell) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, date):
        return f'<span class="day">{value}</span>'
    return "" if value is None else escape(str(value))


def _rows(rows: Rows) -> str:
    return f"{len(rows.rows)} row{'' if len(rows.rows) == 1 else 's'}"
