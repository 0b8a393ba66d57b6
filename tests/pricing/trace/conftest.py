"""A traced home: the tiny retailer, and helpers that trace its decisions."""

from collections.abc import Callable
from pathlib import Path

import pytest

from retail_assets.pricing.trace.document import Trace
from retail_assets.pricing.trace.trace import trace_price
from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake

Tracer = Callable[..., Trace]


def environment_of(root: Path) -> Environment:
    """The environment of a home."""
    home = Home.at(root)
    return Environment(name="test", home=home, lake=Lake.at(home.lake))


def sample_ids(lake: Lake, count: int) -> list[str]:
    """Ids of decisions spread over all stores and outcomes."""
    sql = f"""select decision_id from {lake.scan("decisions", "pricing")}
              order by row_number() over (partition by store_id, output::json->>'outcome' order by sku), store_id
              limit {count}"""
    ids: list[str] = lake.query(sql)["decision_id"].to_pylist()
    return ids


@pytest.fixture(scope="session")
def environment(tiny_home: Path) -> Environment:
    """The tiny home, to read only."""
    return environment_of(tiny_home)


@pytest.fixture(scope="session")
def decision_id(environment: Environment) -> str:
    """A decision that changed a price."""
    sql = f"""select decision_id from {environment.lake.scan("decisions", "pricing")}
              where output::json->>'outcome' = 'changed' order by store_id, sku limit 1"""
    found: str = environment.lake.query(sql)["decision_id"][0].as_py()
    return found


@pytest.fixture(scope="session")
def trace(environment: Environment, decision_id: str) -> Trace:
    """The trace of that decision, replayed."""
    return trace_price(environment, decision_id, replay=True)
