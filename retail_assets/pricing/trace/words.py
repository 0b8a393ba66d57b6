"""A trace as text for a terminal, and as markdown for the Dagster UI. Pure."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from retail_assets.core.markdown import bullets, code, shown, table
from retail_assets.pricing.trace.document import Feature, Rows, Trace
from retail_assets.pricing.trace.models import ModelStory
from retail_assets.releases.rows import CLOUD

SHOWN = 5
CONTENT = {
    "pos_lines": ("receipt_id", "line_no", "quantity", "unit_price", "list_price", "promo_code", "currency"),
    "stock_levels": ("counted_on", "on_hand", "on_order"),
    "price_list": ("effective_on", "list_price", "unit_cost", "currency"),
    "competitor_prices": ("competitor", "observed_on", "price", "currency"),
    "promotions": ("promo_code", "starts_on", "ends_on", "discount_pct"),
    "stores": ("store_id", "country", "currency"),
    "products": ("country", "name", "department", "category", "price_family", "pack_size", "unit"),
}
MONEY = (
    "previous_price",
    "week_price",
    "unit_cost",
    "competitor_price",
    "reference_price",
    "family_low",
    "family_high",
    "price_low",
    "price_high",
    "asked_price",
)


def text(trace: Trace) -> str:
    """The whole trace in words, newest facts first; raw rows cut to the newest SHOWN of each source."""
    return "\n".join(_lines(trace))


def markdown(trace: Trace) -> str:
    """A short form: the price, its reasons, whether the sums agree, and each model."""
    lines: list[str] = [
        f"**{shown(f'{trace.sku} in {trace.store_id}: {trace.price} {trace.currency}')}**",
        "",
        bullets(trace.words),
    ]
    sums = ((s.what, s.raw, s.gold, "yes" if s.agrees else s.difference) for s in trace.sums)
    lines += ["", table(("sum", "raw rows", "gold", "agrees"), sums)]
    if trace.replay:
        lines += ["", f"Replay: {shown(trace.replay.verdict)}."]
    lines += ["", bullets(map(_model, trace.models))]
    lines += ["", code(f"retail trace price --decision {trace.decision_id}")]
    return "\n".join(lines)


def _lines(trace: Trace) -> Iterator[str]:
    name = f" ({trace.product_name})" if trace.product_name else ""
    yield f"{trace.sku}{name} in {trace.store_id}: {trace.price} {trace.currency} from {trace.effective_from}"
    yield f"decision {trace.decision_id}, {trace.mode}, made {trace.decided_at:%Y-%m-%d %H:%M:%S} UTC"
    yield f"Dagster run {trace.dagster_run_id or '-'}, code {(trace.git_commit or '-')[:12]}"
    if trace.corrects:
        yield f"corrects {trace.corrects}"
    if trace.corrected_by:
        yield f"Attention: corrected since by {trace.corrected_by}"
    yield from ("", "WHY", *(f"  {word}" for word in trace.words))
    yield from ("", "MODELS", *(f"  {_model(story)}" for story in trace.models))
    for story in trace.models:
        yield from (f"  {line}" for line in _training(story))
    yield f"  policy {trace.policy.policy_hash[:12]}" + (f": {trace.policy.missing}" if trace.policy.missing else "")
    yield from ("", "INPUTS", *(f"  {_feature(feature, trace)}" for feature in trace.features))
    yield from _forecast(trace)
    yield from ("", f"GOLD, built by dbt code {trace.warehouse.code_hash or 'not recorded'}")
    for rows in trace.gold:
        path = [model.name for model in trace.warehouse.marts.get(rows.table, [])]
        yield f"  {rows.table} version {rows.version}: {_count(rows)}" + (
            f", through {', '.join(path)}" if path else ""
        )
    yield from ("", "RAW ROWS")
    for rows in trace.raw:
        yield f"  bronze/{rows.table} version {rows.version}: {_count(rows)}"
        yield from (f"    {raw_line(rows.table, row)}" for row in newest(rows))
    for rows in trace.family:
        yield f"  of the other packs, bronze/{rows.table}: {_count(rows)}"
        yield from (f"    {row['sku']} {raw_line(rows.table, row)}" for row in newest(rows))
    yield from ("", "LEFT OUT: rows of the same key in quarantine")
    for rows in trace.quarantined:
        yield from (f"  {row['file']}:{row['line']} {'; '.join(row['reasons'])}: {row['raw']}" for row in rows.rows)
    if not trace.quarantined:
        yield "  none"
    yield from ("", "SUMS: raw rows against gold")
    yield from (f"  {'=' if s.agrees else '!'} {s.what}: {s.raw} | {s.gold}" for s in trace.sums)
    yield f"  first difference: {trace.first_difference}" if trace.first_difference else "  all agree"
    if trace.replay:
        yield from ("", f"REPLAY: {trace.replay.verdict}")
        if trace.replay.as_recorded:
            yield f"  taken as recorded: {', '.join(trace.replay.as_recorded)}"


def _forecast(trace: Trace) -> Iterator[str]:
    features = trace.forecast_features
    if features is None:
        return
    yield from ("", "FORECAST: what it was made of")
    if isinstance(features, str):
        yield f"  {features}"
        return
    for name, values in features.tables.items():
        yield f"  {name} version {features.versions[name]}, of {features.days[name] or 'no day that was known'}"
        said = [f"{field} {value:.6g}" for field, value in values.items() if isinstance(value, int | float)]
        yield from (f"    {', '.join(said[i : i + 6])}" for i in range(0, len(said), 6))


def newest(rows: Rows, count: int = SHOWN) -> list[dict[str, Any]]:
    """The newest rows of a source."""
    return sorted(rows.rows, key=lambda row: (row["business_date"], row["file"], row["line"]))[-count:]


def raw_line(table: str, row: dict[str, Any]) -> str:
    """A raw row: where it came from and what it says."""
    said = ", ".join(f"{name} {row[name]}" for name in CONTENT[table] if row.get(name) is not None)
    return f"{row['file']}:{row['line']} (load {row['load_id']}) {said}"


def value_of(feature: Feature, currency: str, digits: int) -> str:
    """The value of an input for people: minor units as amounts."""
    if feature.value is None:
        return "not known"
    if feature.name in MONEY:
        return f"{feature.value / 10**digits:.{digits}f} {currency}"
    return str(feature.value)


def places(trace: Trace) -> int:
    """Decimal places of the trace's currency."""
    return len(trace.price.partition(".")[2])


def _feature(feature: Feature, trace: Trace) -> str:
    day = f" of {feature.at}" if feature.at else ""
    origin = f" <- {feature.gold}: {feature.how}" if feature.gold else ""
    return f"{feature.name} {value_of(feature, trace.currency, places(trace))}{day}{origin}"


def _model(story: ModelStory) -> str:
    if story.live_since is None:
        return f"{story.product} {story.version}: the ledger has no release of it"
    since = f"{story.product} {story.version}: {live_since(story)}"
    until = f"; replaced {story.replaced_at:%Y-%m-%d %H:%M} by {story.replaced_by}" if story.replaced_at else ""
    return f"{since} ({story.action}: {story.reason}){until}"


def live_since(story: ModelStory) -> str:
    """Since when, where and by whom a version answered, or was asked beside the one that did."""
    live = "asked beside the live one" if story.action == "shadow" else "live"
    where = "" if story.target == CLOUD else f" on {story.target}"
    return f"{live}{where} since {story.live_since:%Y-%m-%d %H:%M} UTC by {story.released_by}"


def _training(story: ModelStory) -> Sequence[str]:
    if story.training is None:
        return [f"  {story.product}: {story.missing}"]
    made = story.training
    tables = ", ".join(f"{name}@{version}" for name, version in sorted(made.gold.items()))
    metrics = ", ".join(f"{n} {v:.4g}" for n, v in list(made.metrics.items())[:6] if v is not None)
    return [
        f"  {story.product}: trained on {made.rows} rows, {made.train_from} to {made.train_until}, of gold {tables}",
        f"  {story.product}: {metrics}",
        f"  {story.product}: features {', '.join(made.features) or 'none'}",
        f"  {story.product}: configuration {json.dumps(made.config, separators=(', ', ': '), default=str)}",
    ]


def _count(rows: Rows) -> str:
    return f"{len(rows.rows)} row{'' if len(rows.rows) == 1 else 's'}"
