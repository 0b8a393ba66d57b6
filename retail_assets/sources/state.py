"""What ops/loads and ops/load_batches say about each source: what is loaded, and what was left unfinished."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import duckdb

from retail_assets.resources.lake import Lake
from retail_assets.sources.staging import literal

REPLAYED, WITHDRAWN = "replayed", "withdrawn"


@dataclass
class State:
    """One source. `files` are (name, bytes, mtime_us), `contents` (name, load_id), `layouts` (feed, name, layout)."""

    files: set[tuple[str, int, int]] = field(default_factory=set)
    contents: set[tuple[str, str]] = field(default_factory=set)
    rows_by_load: dict[str, int] = field(default_factory=dict)
    layouts: set[tuple[str, str, str]] = field(default_factory=set)
    unfinished: dict[str, list[str]] = field(default_factory=dict)


def read_state(connection: duckdb.DuckDBPyConnection, lake: Lake, sources: Iterable[str]) -> dict[str, State]:
    """The state of each of `sources`; ops/loads and ops/load_batches must exist."""
    states = {source: State() for source in sources}
    listed = ", ".join(literal(source) for source in states)
    loads = connection.execute(
        "SELECT source, file, bytes, mtime_us, load_id, feed, layout, rows_read, status "
        f"FROM {lake.scan('ops', 'loads')} WHERE source IN ({listed}) AND status <> '{REPLAYED}' "
        f"QUALIFY max(loaded_at) FILTER (status = '{WITHDRAWN}') OVER (PARTITION BY source, load_id) IS NULL "
        f"OR loaded_at > max(loaded_at) FILTER (status = '{WITHDRAWN}') OVER (PARTITION BY source, load_id)"
    ).fetchall()
    unfinished = connection.execute(
        f"SELECT source, batch_id, any_value(load_ids) FROM {lake.scan('ops', 'load_batches')} "
        f"WHERE source IN ({listed}) AND batch_id NOT IN (SELECT batch_id FROM {lake.scan('ops', 'loads')}) "
        "GROUP BY ALL HAVING NOT bool_or(status = 'rolled_back')"
    ).fetchall()
    for source, file, size, mtime_us, load_id, feed, layout, rows, status in loads:
        state = states[source]
        state.files.add((file, size, mtime_us))
        state.contents.add((file, load_id))
        state.rows_by_load.setdefault(load_id, rows)
        if status == "committed":
            state.layouts.add((feed, file, layout))
    for source, batch_id, load_ids in unfinished:
        states[source].unfinished[batch_id] = load_ids
    return states
