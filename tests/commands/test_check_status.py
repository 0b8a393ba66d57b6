"""What `retail status` and `retail run` say of checks: on a real Dagster instance, with the newest run that ended."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from retail_assets.cli import exit_code
from retail_assets.commands.check_status import CheckStatus, failed_checks, keep_promises
from retail_assets.commands.command_line import CHECK_FAILED
from retail_assets.commands.status import Status
from retail_assets.resources.dagster.instance import prepare
from retail_assets.resources.dagster.jobs import REFRESH_JOB_NAME
from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake

FOUND: dict[str, Any] = {"worst": 0.0312, "limit": 0.02, "wrong_shares": {"DE-001": 0.0312}}


def definitions(passed: bool = False) -> dg.Definitions:
    """One asset with a check that blocks, one that warns and one that holds."""

    @dg.asset(key=["pricing", "integrity"])
    def integrity() -> None:
        return

    @dg.multi_asset_check(
        specs=[
            dg.AssetCheckSpec("prices_are_right", asset=integrity, blocking=True, description="At most 2 % are wrong."),
            dg.AssetCheckSpec("nobody_is_late", asset=integrity),
            dg.AssetCheckSpec("sums_agree", asset=integrity),
            dg.AssetCheckSpec("stores_are_known", asset=integrity),
        ]
    )
    def checks() -> Iterator[dg.AssetCheckResult]:
        yield dg.AssetCheckResult(check_name="prices_are_right", passed=passed, metadata=FOUND)
        late = {"reasons": ["DE-001 is 3 days late", "at most 1 is allowed"], "days": 3}
        of_dbt = {"dagster_dbt/failed_row_count": 7, "unique_id": "test.x", "Execution Duration": 0.1}
        warning = dg.AssetCheckSeverity.WARN
        yield dg.AssetCheckResult(check_name="nobody_is_late", passed=passed, severity=warning, metadata=late)
        yield dg.AssetCheckResult(check_name="sums_agree", passed=True)
        yield dg.AssetCheckResult(check_name="stores_are_known", passed=passed, severity=warning, metadata=of_dbt)

    job = dg.define_asset_job(REFRESH_JOB_NAME, selection=dg.AssetSelection.all())
    return dg.Definitions([integrity], asset_checks=[checks], jobs=[job])


@pytest.fixture
def environment(home: Home, lake: Lake) -> Environment:
    return Environment(name="test", home=home, lake=lake)


def refresh(home: Home, passed: bool) -> None:
    prepare(home)
    defs = definitions(passed)
    with dg.DagsterInstance.get() as instance:
        defs.resolve_job_def(REFRESH_JOB_NAME).execute_in_process(instance=instance, raise_on_error=False)
        keep_promises(defs, Path(instance.root_directory))


def test_failed_checks_come_with_numbers_bounds_promise_and_what_they_stop(environment: Environment) -> None:
    assert failed_checks(environment) == []
    refresh(environment.home, passed=False)
    error, warning, unknown = failed_checks(environment)
    assert (error.asset, error.check) == ("pricing/integrity", "prices_are_right")
    assert (error.severity, error.blocking, error.promise) == ("error", True, "At most 2 % are wrong.")
    assert error.numbers == FOUND
    assert error.found == "limit 0.02, worst 0.0312, wrong_shares DE-001 0.0312"
    assert (warning.severity, warning.blocking, warning.promise) == ("warning", False, None)
    assert warning.found == "DE-001 is 3 days late; at most 1 is allowed"
    assert unknown.found == "failed_rows 7"


def test_long_lists_are_cut_in_words_only() -> None:
    stores = [str(number) for number in range(186)]
    check = CheckStatus(
        asset="a", check="c", severity="error", blocking=False, promise=None, numbers={"withheld_in": stores}
    )
    assert check.found == "withheld_in 0, 1, 2, 3, 4, 5, 6, 7 and 178 more"
    assert check.model_dump()["numbers"]["withheld_in"] == stores


def test_the_newest_run_counts(environment: Environment) -> None:
    refresh(environment.home, passed=False)
    refresh(environment.home, passed=True)
    assert failed_checks(environment) == []


def test_strict_exits_for_an_error_and_not_for_a_warning(environment: Environment) -> None:
    refresh(environment.home, passed=False)
    error, warning, unknown = failed_checks(environment)
    empty = Status(
        environment="test",
        home="",
        sources=[],
        held=[],
        marts=[],
        models=[],
        refused=[],
        prices=None,
        waiting=[],
        checks=[],
    )
    codes = [
        exit_code(empty.model_copy(update={"checks": checks}), strict)
        for checks, strict in (([error, warning], True), ([warning], True), ([error], False), ([], True))
    ]
    assert codes == [CHECK_FAILED, 0, 0, 0]
