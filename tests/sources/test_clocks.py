"""Hours that do not exist, hours that come twice and trading days that end in the night, by a rule and counted."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from retail_assets.resources import duck
from retail_assets.sources.lookups import create_days
from retail_assets.sources.staging import literal
from retail_assets.sources.values import clock_change, to_utc

ZONES = (
    "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Beirut", "Africa/Casablanca",
    "Pacific/Apia", "Asia/Kolkata",
)  # fmt: skip


@pytest.mark.parametrize("zone", ZONES)
def test_every_quarter_of_an_hour_around_every_change_is_decided_as_by_python(zone: str) -> None:
    with duck.connect() as connection:
        create_days(connection, list(ZONES))
        days = connection.execute("SELECT day FROM local_days WHERE zone = ? AND NOT steady", [zone]).fetchall()
        assert bool(days) == (zone != "Asia/Kolkata")
        clock = [
            datetime(day.year, day.month, day.day) + timedelta(minutes=minute)  # noqa: DTZ001
            for (day,) in days
            for minute in range(-60, 1500, 15)
        ]
        connection.register("clock", pa.table({"t": pa.array(clock, pa.timestamp("us"))}))
        found = connection.execute(
            f"SELECT t, {to_utc('t', literal(zone))}, {clock_change('t')} FROM clock AS typed LEFT JOIN local_days AS "
            f"_day_t ON _day_t.zone = {literal(zone)} AND _day_t.day = CAST(t AS DATE)"
        ).fetchall()
    for local, instant, change in found:
        first, second = (
            local.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC).replace(tzinfo=None) for fold in (0, 1)
        )
        back = first.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        assert (instant, change) == (first, None if first == second else "twice" if back == local else "skipped")
