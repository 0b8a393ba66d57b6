"""Small tables a judge joins: referenced rows of other sources, and the UTC offset of every zone and day."""

import duckdb

from retail_assets.resources.lake import Lake
from retail_assets.sources.contract import Contract
from retail_assets.sources.judging import DAY_ENDS, fields_used
from retail_assets.sources.staging import literal, quoted

FIRST_DAY, LAST_DAY = "1995-01-01", "2045-12-31"


def create_lookups(connection: duckdb.DuckDBPyConnection, lake: Lake, contract: Contract) -> None:
    """Creates `reference_<name>` (_key, <name> as a struct of the newest row), `local_days` and `utc_days`.

    The day tables hold (zone, day, ahead, steady): the offset from UTC as an interval, and whether it holds all day.
    `local_days` also has the offset afterwards and the instant at which it begins, `changes_at`, where it does not.
    """
    for reference in contract.references:
        fields = [f"{quoted(f)} := {quoted(f)}" for f in fields_used(contract, reference.name)] or ["nothing := true"]
        fields += [f"{DAY_ENDS} := CAST(day_ends || ':00' AS INTERVAL)"] if reference.source == "stores" else []
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE reference_{reference.name} AS "
            f"SELECT CAST({reference.target} AS VARCHAR) AS _key, "
            f"arg_max(struct_pack({', '.join(fields)}), (delivered_at, row_id)) AS {reference.name} "
            f"FROM {lake.scan('bronze', reference.source)} WHERE {reference.target} IS NOT NULL GROUP BY 1"
        )
    create_days(connection, _zones(connection, contract))


def _zones(connection: duckdb.DuckDBPyConnection, contract: Contract) -> list[str]:
    zones = {feed.time_zone for feed in contract.feeds} - {"store"} | {"UTC"}
    if any(feed.time_zone == "store" for feed in contract.feeds):
        zones |= {z for (z,) in connection.execute("SELECT DISTINCT store.time_zone FROM reference_store").fetchall()}
    return sorted(zone for zone in zones if zone)


def create_days(connection: duckdb.DuckDBPyConnection, zones: list[str]) -> None:
    """Creates `local_days` and `utc_days` for `zones`; see create_lookups."""
    listed = ", ".join(literal(zone) for zone in zones)
    days = f"unnest(generate_series(TIMESTAMP '{FIRST_DAY}', TIMESTAMP '{LAST_DAY}', INTERVAL 1 DAY))"
    midnight = {
        "local_days": "midnight - CAST(timezone(zone, midnight) AS TIMESTAMP)",
        "utc_days": "timezone(zone, CAST(midnight AS TIMESTAMPTZ)) - midnight",
    }
    for name, offset in midnight.items():
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {name} AS WITH days AS ("
            f"SELECT zone, {days} AS midnight FROM (SELECT unnest([{listed}]) AS zone)), "
            f"offsets AS (SELECT zone, midnight, {offset} AS ahead FROM days) "
            "SELECT zone, CAST(midnight AS DATE) AS day, ahead, ahead = after AS steady, after "
            "FROM (SELECT *, lead(ahead) OVER (PARTITION BY zone ORDER BY midnight) AS after FROM offsets)"
        )
    _add_changes(connection)


def _add_changes(connection: duckdb.DuckDBPyConnection) -> None:
    """Adds to `local_days` the instant from which a day that is not steady has its second offset."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE last_before AS SELECT zone, day, ahead, CAST(day AS TIMESTAMP) - ahead AS moment "
        "FROM local_days WHERE NOT steady"
    )
    for span, step in (("26 HOUR", "15 MINUTE"), ("15 MINUTE", "1 MINUTE")):
        tried = f"unnest(generate_series(moment, moment + INTERVAL {span}, INTERVAL {step}))"
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE last_before AS WITH tried AS ("
            f"SELECT zone, day, ahead, moment AS first, {tried} AS moment FROM last_before) "
            "SELECT zone, day, ahead, coalesce(max(moment) FILTER ("
            "timezone(zone, CAST(moment AS TIMESTAMPTZ)) - moment = ahead), any_value(first) - INTERVAL 1 MINUTE) "
            "AS moment FROM tried GROUP BY zone, day, ahead"
        )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE local_days AS SELECT local_days.*, last_before.moment + INTERVAL 1 MINUTE AS "
        "changes_at FROM local_days LEFT JOIN last_before USING (zone, day, ahead)"
    )
