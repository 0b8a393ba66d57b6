"""SQL of the point-in-time join: what was known of each key at each instant, and nothing that came later.

Pure text, no Feast: `source` is a table expression with event_timestamp and created_timestamp columns (UTC).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

EVENT, CREATED = "event_timestamp", "created_timestamp"


@dataclass(frozen=True)
class ViewQuery:
    """One feature view as the join needs it: `join_keys` maps its key columns to those of the entity rows,
    `columns` its features to their names in the result."""

    source: str
    join_keys: dict[str, str]
    columns: dict[str, str]
    ttl: timedelta
    event: str = EVENT
    created: str = CREATED


def point_in_time_join(entities: str, instant: str, views: list[ViewQuery], filter_by_created: bool) -> str:
    """A query with every row and column of the table `entities`, in no order, and the features of all `views`.

    A row gets the newest feature row of its key that is not after its `instant`, was created by then (if
    `filter_by_created`), and is not older than the view's time to live; else nulls. Equal rows all stay.
    """
    columns, joins = ["entity.*"], {}
    closest = max(range(len(views)), key=lambda number: len(views[number].join_keys), default=0)
    for number, view in enumerate(views):
        name = f"view_{number}"
        alive = f"{name}.{view.event} + {_interval(view.ttl)} >= entity.{quoted(instant)}"
        columns += [
            f"case when {alive} then {name}.{quoted(source)} end as {quoted(target)}"
            for source, target in view.columns.items()
        ]
        known = _known(view, entities, instant, filter_by_created)
        same = [f"entity.{quoted(theirs)} = {name}.{quoted(ours)}" for ours, theirs in view.join_keys.items()]
        if number == closest:
            on = " and ".join([*same, f"entity.{quoted(instant)} >= {name}.known_from"])
            joins[number] = f"asof left join ({known}) {name} on {on}"
        else:
            on = " and ".join([*same, f"entity.{quoted(instant)} = {name}.asked_at"])
            joins[number] = f"left join ({_asked(view, entities, instant, known)}) {name} on {on}"
    order = sorted(joins, key=lambda number: number != closest)  # it sorts its left side: nothing may stand there yet
    return f"select {', '.join(columns)} from {entities} entity {' '.join(joins[number] for number in order)}"


def _asked(view: ViewQuery, entities: str, instant: str, known: str) -> str:
    """What is `known` of the keys of a view that many entity rows share, once per key and instant (`asked_at`)."""
    keys = ", ".join(f"{quoted(theirs)} as {quoted(ours)}" for ours, theirs in view.join_keys.items())
    on = " and ".join(f"asked.{quoted(key)} = known.{quoted(key)}" for key in view.join_keys)
    return (
        f"select known.*, asked.asked_at from (select distinct {keys}, {quoted(instant)} as asked_at from {entities}) "
        f"asked asof join ({known}) known on {on} and asked.asked_at >= known.known_from"
    )


def _known(view: ViewQuery, entities: str, instant: str, filter_by_created: bool) -> str:
    """The feature rows by the instant from which each is the newest that is known, `known_from`.

    An ASOF join compares one instant, but a row must both lie in the past and have arrived. A row that arrived after
    a newer one had arrived is never the newest known: without those, arrival alone decides.
    """
    keys = ", ".join(quoted(key) for key in view.join_keys)
    known_from = f"greatest({view.event}, {view.created})" if filter_by_created else view.event
    columns = ", ".join(dict.fromkeys(quoted(column) for column in [*view.join_keys, *view.columns]))
    needed = (
        f"{view.event} between (select min({quoted(instant)}) from {entities}) - {_interval(view.ttl)} "
        f"and (select max({quoted(instant)}) from {entities})"
    )
    by_arrival = f"partition by {keys} order by {known_from}, {view.event}, {view.created}"
    return (
        f"select {columns}, {view.event}, {known_from} as known_from from {view.source} where {needed} "
        f"qualify coalesce({view.event} >= max({view.event}) over ({by_arrival} "
        "rows between unbounded preceding and 1 preceding), true) "
        f"and coalesce(lead({known_from}) over ({by_arrival}) > {known_from}, true)"
    )


def latest_rows(view: ViewQuery, after: datetime, until: datetime) -> str:
    """The newest row of each key with `after` < event timestamp <= `until`, its timestamps included."""
    keys = ", ".join(quoted(key) for key in view.join_keys)
    return (
        f"{rows_between(view, after, until)} "
        f"qualify row_number() over (partition by {keys} order by {view.event} desc, {view.created} desc) = 1"
    )


def rows_between(view: ViewQuery, after: datetime | None, until: datetime | None) -> str:
    """Every row of the view with `after` < event timestamp <= `until`, its keys and timestamps included."""
    columns = [quoted(column) for column in [*view.join_keys, *view.columns]]
    columns += [f"{column}::timestamptz as {column}" for column in (view.event, view.created)]
    lower = f"{view.event} > {literal(after)}" if after else "true"
    upper = f"{view.event} <= {literal(until)}" if until else "true"
    return f"select {', '.join(columns)} from {view.source} where {lower} and {upper}"


def literal(instant: datetime) -> str:
    """`instant` (with a zone) as a SQL literal with its zone."""
    return f"timestamptz '{instant.isoformat()}'"


def quoted(name: str) -> str:
    """`name` as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _interval(length: timedelta) -> str:
    return f"interval {int(length.total_seconds())} second"
