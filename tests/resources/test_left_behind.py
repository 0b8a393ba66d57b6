"""One product's failure stops no other: what is left behind by a run on a real instance, and how the graph is cut."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from retail_assets.releases.ledger import Ledger
from retail_assets.resources.dagster.jobs import REFRESH_JOB_NAME, refresh
from retail_assets.resources.dagster.left_behind import (
    CONTINUES,
    FOUNDATION,
    STARTED_HERE,
    a_failed_product_stops_no_other,
    left_behind,
)
from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake

GRAPH = {
    "gold/sales": [],
    "forecasting/model": ["gold/sales"],
    "forecasting/forecasts": ["forecasting/model"],
    "pricing/model": ["gold/sales"],
    "pricing/decisions": ["pricing/model", "forecasting/forecasts"],
    "planning/orders": ["forecasting/forecasts"],
}


def run(*broken: str, refused: str | None = None) -> tuple[set[str], set[str]]:
    """Runs GRAPH with `broken` assets that raise and a check of `refused` that blocks: made, and left behind."""
    job = dg.define_asset_job("all", executor_def=dg.in_process_executor)
    checks = [refusing(refused)] if refused else []
    defs = dg.Definitions([node(key, broken) for key in GRAPH], asset_checks=checks, jobs=[job])
    resolved = defs.resolve_job_def("all")
    with dg.DagsterInstance.ephemeral() as instance:
        done = resolved.execute_in_process(instance=instance, raise_on_error=False)
        made = {event.asset_key for event in done.get_asset_materialization_events()}
        left = left_behind(resolved, done.all_events)
        if left:
            rest = resolved.execute_in_process(instance=instance, raise_on_error=False, asset_selection=sorted(left))
            assert {event.asset_key for event in rest.get_asset_materialization_events()} == left
    return (*({key.to_user_string() for key in keys if key} for keys in (made, left)),)  # type: ignore[return-value]


def node(name: str, broken: tuple[str, ...]) -> dg.AssetsDefinition:
    @dg.asset(key=name.split("/"), deps=[key.split("/") for key in GRAPH[name]])
    def made() -> None:
        if name in broken:
            raise dg.Failure(f"{name} is broken")

    return made


def refusing(name: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=name.split("/"), blocking=True)
    def holds() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False)

    return holds


@pytest.mark.parametrize(
    ("broken", "left"),
    [
        ([], set()),
        (["forecasting/model"], {"pricing/decisions", "planning/orders"}),
        (["forecasting/forecasts"], {"pricing/decisions", "planning/orders"}),
        (["pricing/model"], set()),
        (["forecasting/model", "pricing/model"], {"planning/orders"}),
        (["gold/sales"], set()),
    ],
)
def test_what_waited_for_another_product_is_left_behind_and_can_be_done(broken: list[str], left: set[str]) -> None:
    assert run(*broken)[1] == left


def test_a_pricing_error_loses_no_forecast() -> None:
    made, _ = run("pricing/model")
    assert made >= {"forecasting/forecasts", "planning/orders"}


def test_nobody_goes_on_with_what_a_blocking_check_refused() -> None:
    made, left = run(refused="forecasting/forecasts")
    assert "forecasting/forecasts" in made and left == set()
    assert run("planning/orders", refused="pricing/model")[1] == set()


def test_a_run_of_the_scheduler_is_continued_once(home: Home) -> None:
    """Forecasts fail for real (this home has no features), and prices, which waited for them, are asked for."""
    from retail_assets.definitions import collected, resources

    lake = Lake.at(home.lake)
    given = resources(Environment(name="test", home=home, lake=lake))
    job = dg.Definitions(collected("ASSETS"), jobs=[refresh], resources=given).resolve_job_def(REFRESH_JOB_NAME)
    chosen = [dg.AssetKey(["forecasting", "forecasts"]), dg.AssetKey(["pricing", "price_decisions"])]
    Ledger(lake).promote("forecasting", "v1", by="test", reason="test")
    for tags, asked in (({}, {chosen[1]}), (STARTED_HERE, set()), ({CONTINUES: "another"}, set())):
        with dg.DagsterInstance.ephemeral() as instance:
            failed = job.execute_in_process(instance=instance, raise_on_error=False, asset_selection=chosen, tags=tags)
            context = dg.build_run_status_sensor_context(
                "a_failed_product_stops_no_other",
                failed.get_run_failure_event(),
                instance,
                failed.dagster_run,
            ).for_run_failure()
            told = a_failed_product_stops_no_other(context)
        assert (set(told.asset_selection) if isinstance(told, dg.RunRequest) else set()) == asked


@pytest.fixture(scope="module")
def graph() -> Any:
    from retail_assets.definitions import defs

    return defs.resolve_asset_graph()


@pytest.fixture(scope="module")
def upstream(graph: Any) -> Callable[[dg.AssetKey], set[dg.AssetKey]]:
    def of(key: dg.AssetKey) -> set[dg.AssetKey]:
        found: set[dg.AssetKey] = set()
        frontier = {key}
        while frontier:
            parents = set().union(*(graph.get(one).parent_keys for one in frontier))
            frontier, found = parents - found, found | parents
        return found

    return of


def test_no_forecast_and_no_plan_waits_for_prices(graph: Any, upstream: Callable[[dg.AssetKey], set[Any]]) -> None:
    waiting = {key for key in graph.materializable_asset_keys if key.path[0] in ("forecasting", "planning")}
    assert waiting
    for key in waiting:
        assert not [parent for parent in upstream(key) if parent.path[0] == "pricing"], key


def test_a_price_waits_for_no_picture(graph: Any, upstream: Callable[[dg.AssetKey], set[Any]]) -> None:
    """Prophet, plans and the online store of features are for others."""
    before = upstream(dg.AssetKey(["pricing", "price_publications"]))
    assert dg.AssetKey(["forecasting", "forecasts"]) in before
    assert not before & {
        dg.AssetKey(["forecasting", "demand_components"]),
        dg.AssetKey(["features", "online_features"]),
    }
    assert not [key for key in before if key.path[0] == "planning"]


def test_prophet_is_the_last_of_what_could_run(graph: Any) -> None:
    """The in-process executor takes the highest priority of the steps that are ready."""
    from retail_assets.definitions import defs
    from retail_assets.resources.dagster.run_order import PRIORITY

    nodes = defs.resolve_job_def(REFRESH_JOB_NAME).graph.node_dict
    order = {name: int(node.tags.get(PRIORITY, 0)) for name, node in nodes.items()}
    lowest = min(order.values())
    assert {name for name, priority in order.items() if priority == lowest} == {"forecasting__demand_components"}
    prices = [name for name in order if name.startswith("pricing__") or name == "forecasting__forecasts"]
    assert {order[name] for name in prices} == {0} and order["planning__order_proposals"] < 0


def test_the_foundation_is_what_every_product_stands_on(graph: Any) -> None:
    stages = {key.path[0] for key in graph.materializable_asset_keys}
    assert set(FOUNDATION) <= stages and not {"forecasting", "pricing"} & set(FOUNDATION)
