"""Helpers of the scenarios: what a table holds, and which of its days were written anew."""

import json
from collections.abc import Callable
from datetime import date
from subprocess import CompletedProcess
from typing import Any

import pytest

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake

Retail = Callable[..., "CompletedProcess[str]"]


def files_by_day(lake: Lake, mart: str) -> dict[str, set[str]]:
    """The Parquet files of each business date: a day whose set changed was written again."""
    found: dict[str, set[str]] = {}
    for uri in lake.open("gold", mart).file_uris():
        day = uri.split("business_date=")[1].split("/")[0]
        found.setdefault(day, set()).add(uri)
    return found


def rewritten_days(before: dict[str, set[str]], after: dict[str, set[str]]) -> set[str]:
    """Days that are new, gone or written again."""
    return {day for day in before.keys() | after.keys() if before.get(day) != after.get(day)}


def one(lake: Lake, sql: str) -> Any:
    """The single value of a query."""
    return lake.query(sql).column(0)[0].as_py()


def newest_day(lake: Lake) -> date:
    """The newest business date of the sales mart."""
    return one(lake, f"select max(business_date) from {lake.scan('gold', 'fct_sales_daily')}")


@pytest.fixture
def refreshed(retail: Retail) -> Callable[[Home], dict[str, Any]]:
    """Runs the whole graph on a home and returns its status."""

    def run(home: Home) -> dict[str, Any]:
        return json.loads(retail(home.root, "run", "--json").stdout)

    return run
