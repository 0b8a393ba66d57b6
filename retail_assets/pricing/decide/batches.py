"""A whole batch of decisions as rows: the columns and words of `decisions.decision_row`, made by SQL over Arrow."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from retail_assets.core.guardrails import RULES
from retail_assets.decisions.rows import DECISION_SCHEMA
from retail_assets.pricing.decide.columns import COST_SOURCES
from retail_assets.pricing.decide.decision_trace import steps_of
from retail_assets.pricing.decide.decision_trace_sql import register_columns, step_pieces
from retail_assets.pricing.decide.decisions import Provenance, output_numbers
from retail_assets.pricing.decide.inputs import INPUTS, MEASURED, PLAIN
from retail_assets.pricing.decide.policy import OUTCOMES, REASONS, Batch, decide_batch
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.decide.shared_targets import with_shared_targets
from retail_assets.pricing.decide.sql_text import choice, concat, json_object, json_string, literal
from retail_assets.pricing.response.model import PRODUCT, SOURCES, PriceModel
from retail_assets.releases.assignment import Share
from retail_assets.resources import duck

CHUNK_ROWS = 50_000
SCAN_ROWS = 10_000  # DuckDB scans Arrow batches in parallel, one thread each


def decide_shares(
    models: Mapping[str, PriceModel], shares: Sequence[Share], rulebook: Rulebook, provenance: Provenance
) -> Iterator[pa.RecordBatch]:
    """The rows of a batch in which several versions answer, each share decided whole by its own; see `decide_rows`."""
    for share in shares:
        model = models[share.version]
        rows = with_shared_targets(model, rulebook, share.rows)
        yield from decide_rows(model, rulebook, rows, replace(provenance, arm=share.arm))


def decide_rows(
    model: PriceModel, rulebook: Rulebook, inputs: pa.Table, provenance: Provenance
) -> Iterator[pa.RecordBatch]:
    """Decides `inputs` (schema INPUTS, one business date) and yields decision rows, a chunk at a time.

    Decision ids follow from the content: the same inputs, model and policy give the same ids.
    """
    with duck.connect() as connection:
        for start in range(0, inputs.num_rows, CHUNK_ROWS):
            chunk = inputs.slice(start, CHUNK_ROWS).combine_chunks()
            batch = decide_batch(model, rulebook, chunk)
            sql, table = _statement(chunk, batch, model, rulebook, provenance)
            connection.register("chunk", table)
            yield from connection.execute(sql).to_arrow_table().cast(DECISION_SCHEMA).to_batches()
            connection.unregister("chunk")


def _statement(
    chunk: pa.Table, batch: Batch, model: PriceModel, rulebook: Rulebook, provenance: Provenance
) -> tuple[str, pa.Table]:
    """The query that turns a decided chunk into rows, and the table it reads as `chunk`."""
    steps, numbers = steps_of(batch), output_numbers(batch)
    columns: dict[str, Any] = {name: chunk[name] for name in INPUTS.names}
    for index, step in enumerate(steps):
        columns |= register_columns(step, index)
    columns |= {f"o_{name}": values for name, values in numbers.items()}
    columns |= {"digits": batch.digits, "price_minor": batch.price, "broken": _broken(batch)}
    columns |= {n: getattr(batch, n) for n in ("outcome", "reason", "cost_source")}
    columns["source"] = batch.response.source
    made = provenance.made_from
    trail = [literal("[")]
    for index, step in enumerate(steps):
        trail += [literal("," if index else ""), *step_pieces(step, index)]
    sql = f"""
        with text as (
            select *, {concat(_inputs_pieces())} as inputs_json, {concat([*trail, literal("]")])} as trail_json,
                   {concat(_output_pieces(list(numbers)))} as output_json
            from chunk
        ),
        named as (
            select *, md5(concat(inputs_json, '|{model.version}|{rulebook.policy_hash}')) as digest,
                   format('{{:012x}}', epoch_ms(business_date::timestamp)) as instant
            from text
        )
        select instant[1:8] || '-' || instant[9:12] || '-7' || digest[1:3] || '-a' || digest[4:6] || '-'
                   || digest[7:18] as decision_id,
               timestamptz '{provenance.at.isoformat()}' as at, '{PRODUCT}' as product, store_id, sku,
               inputs_json as inputs, '{model.version}' as model_version, '{rulebook.policy_hash}' as policy_hash,
               trail_json as guardrails, output_json as output, {_amount("price_minor")} as price, currency,
               {_amount("previous_price")} as previous_price, '{provenance.mode}' as mode,
               {_quoted(provenance.dagster_run_id)} as dagster_run_id, {_quoted(provenance.git_commit)} as git_commit,
               business_date, business_date + 1 as effective_from,
               {_quoted(made.gold_versions)} as gold_versions, {_quoted(made.bronze_versions)} as bronze_versions,
               {_quoted(made.warehouse_code)} as warehouse_code, null::varchar as corrects,
               '{provenance.arm}' as arm, null::double as latency_ms
        from named
    """
    return sql, pa.Table.from_batches(pa.table(columns).to_batches(max_chunksize=SCAN_ROWS))


def _broken(batch: Batch) -> np.ndarray[Any, Any]:
    """Bit k: the decided price is outside rule k."""
    return sum((flags.astype(np.int64) << k for k, flags in enumerate(batch.broken)), np.zeros(1, dtype=np.int64))


def _inputs_pieces() -> list[str]:
    def value(name: str) -> list[str]:
        kind = INPUTS.field(name).type
        if pa.types.is_string(kind):
            return [f"coalesce(to_json({name})::varchar, 'null')"]
        if pa.types.is_date(kind):
            return [f"coalesce('\"' || {name}::varchar || '\"', 'null')"]
        return [f"coalesce({name}::varchar, 'null')"]

    plain = [(name, value(name)) for name in PLAIN]
    measured = [(name, json_object([("value", value(name)), ("at", value(f"{name}_at"))])) for name in MEASURED]
    return json_object([*plain, *measured])


def _output_pieces(numbers: list[str]) -> list[str]:
    names = ", ".join(f"case when broken & {1 << k} > 0 then '\"{rule}\"' end" for k, rule in enumerate(RULES))
    broken = f"case broken when 0 then '' else concat_ws(',', {names}) end"
    return json_object(
        [
            ("outcome", json_string(choice("outcome", OUTCOMES))),
            ("reason", json_string(choice("reason", REASONS))),
            ("effective_from", json_string("(business_date + 1)::varchar")),
            ("cost_source", json_string(choice("cost_source", COST_SOURCES))),
            ("response_source", json_string(choice("source", SOURCES))),
            *((name, [f"case when isnan(o_{name}) then 'null' else o_{name}::varchar end"]) for name in numbers),
            ("broken", [literal("["), broken, literal("]")]),
        ]
    )


def _amount(column: str) -> str:
    return f"case digits when 2 then {column}::decimal(14,0) * 0.01::decimal(2,2) else {column} end::decimal(12,2)"


def _quoted(text: str | None) -> str:
    return "null::varchar" if text is None else literal(text)
