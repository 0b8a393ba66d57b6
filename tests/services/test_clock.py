"""On one machine the data are the clock; elsewhere the wall is."""

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa

from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake
from retail_assets.serving.clock import Clock

LONG_AGO = date(2020, 2, 28)
KNOWN = datetime(2020, 2, 29, 12, tzinfo=UTC)


def clock(name: str, home: Home, lake: Lake) -> Clock:
    """A clock over a lake whose newest business date is `LONG_AGO`."""
    days = pa.table({"store_id": ["UK-001", "UK-001"], "business_date": [LONG_AGO - timedelta(days=1), LONG_AGO]})
    lake.append("gold", "fct_sales_daily", days, partition_by=["business_date"])
    made = Clock(Environment(name=name, home=home, lake=lake), "fct_sales_daily", lambda: KNOWN)
    made.poll()
    return made


def test_the_newest_business_date_is_today_on_one_machine(home: Home, lake: Lake) -> None:
    made = clock("local", home, lake)
    assert (made.newest_day, made.now()) == (LONG_AGO, KNOWN)
    assert (made.days_since(LONG_AGO), made.days_since(LONG_AGO - timedelta(days=4))) == (0, 4)


def test_a_newer_day_moves_the_clock(home: Home, lake: Lake) -> None:
    made = clock("local", home, lake)
    newer = pa.table({"store_id": ["UK-001"], "business_date": [LONG_AGO + timedelta(days=2)]})
    lake.append("gold", "fct_sales_daily", newer, partition_by=["business_date"])
    made.poll()
    assert made.days_since(LONG_AGO) == 2


def test_the_wall_clock_rules_elsewhere(home: Home, lake: Lake) -> None:
    made = clock("production", home, lake)
    assert made.now() - KNOWN > timedelta(days=365)
    assert made.days_since(LONG_AGO) == (datetime.now(UTC).date() - LONG_AGO).days


def test_an_empty_gold_has_no_today(home: Home, lake: Lake) -> None:
    made = Clock(Environment(name="local", home=home, lake=lake), "fct_sales_daily")
    made.poll()
    assert made.days_since(LONG_AGO) is None
