"""Small tables a judge joins: referenced rows of other sources, and the UTC offset of every zone and day."""

import duckdb

from retail_assets.resources.lake import Lake
from retail_assets.sources.contract import Contract
from retail_assets.sources.judging import fields_used
from retail_assets.sources.staging import literal, quoted

FIRST_DAY, LAST_DAY = "1995-01-01", "2045-12-31"


def create_lookups(connection: duckdb.DuckDBPyConnection, lake: Lake, contract: Contract) -> None:
    """Creates `reference_<name>` (_key, <name> as a struct of the newest row), `local_days` and `utc_days`.

    The day tables hold (zone, day, ahead, steady): the offset from UTC as an interval, and whether it holds all day.
    """
    for reference in contract.references:
        fields = [f"{quoted(f)} := {quoted(f)}" for f in fields_used(contract, reference.name)] or ["nothing := true"]
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE reference_{reference.name} AS "
            f"SELECT CAST({reference.target} AS VARCHAR) AS _key, "
            f"arg_max(struct_pack({', '.join(fields)}), (delivered_at, row_id)) AS {reference.name} "
            f"FROM {lake.scan('bronze', reference.source)} WHERE {reference.target} IS NOT NULL GROUP BY 1"
        )
    _create_days(connection, _zones(connection, contract))


def _zones(connection: duckdb.DuckDBPyConnection, contract: Contract) -> list[str]:
    zones = {feed.time_zone for feed in contract.feeds} - {"store"} | {"UTC"}
    if any(feed.time_zone == "store" for feed in contract.feeds):
        zones |= {z for (z,) in connection.execute("SELECT DISTINCT store.time_zone FROM reference_store").fetchall()}
    return sorted(zone for zone in zones if zone)


def _create_days(connection: duckdb.DuckDBPyConnection, zones: list[str]) -> None:
    listed = ", ".join(literal(zone) for zone in zones)
    days = f"unnest(generate_series(TIMESTAMP '{FIRST_DAY}', TIMESTAMP '{LAST_DAY}', INTERVAL 1 DAY))"
    midnight = {
        "local_days": "midnight - CAST(timezone(zone, midnight) AS TIMESTAMP)",
        "utc_days": "timezone(zone, CAST(midnight AS TIMESTAMPTZ)) - midnight",
    }
    for name, ahead in midnight.items():
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {name} AS WITH days AS ("
            f"SELECT zone, {days} AS midnight FROM (SELECT unnest([{listed}]) AS zone)), "
            f"offsets AS (SELECT zone, midnight, {ahead} AS ahead FROM days) "
            "SELECT zone, CAST(midnight AS DATE) AS day, ahead, "
            "ahead = lead(ahead) OVER (PARTITION BY zone ORDER BY midnight) AS steady FROM offsets"
        )
