"""What a build has to do: nothing, some days, or everything, and why."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.warehouse import impact, state
from retail_assets.warehouse.errors import WarehouseError
from retail_assets.warehouse.manifest import code_hash, is_by_day, load_manifest, models

MOST_DAYS = 120  # beyond, deleting and inserting days costs more than building everything once


class Plan(BaseModel):
    """One build. `days` holds the business dates of every day-by-day model (some have none) when mode is `days`.

    `bronze` names the Delta version of every bronze table that is read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["unchanged", "days", "full"]
    reason: str
    code_hash: str
    lake: str
    bronze: dict[str, int]
    days: dict[str, list[date]] = {}

    @property
    def all_days(self) -> list[date]:
        """Every business date that some model rebuilds."""
        return sorted({day for days in self.days.values() for day in days})

    def touching_nothing(self) -> "Plan":
        """The same inputs, with no day to rebuild: dbt still runs, and everything it says can be seen again."""
        by_day: dict[str, list[date]] = {
            name: [] for name in models(load_manifest()) if is_by_day(load_manifest(), name)
        }
        return self.model_copy(update={"mode": "days", "days": by_day})

    def variables(self) -> dict[str, Any]:
        """dbt's `--vars`."""
        days = {model: [day.isoformat() for day in days] for model, days in self.days.items()}
        return {"bronze_versions": self.bronze, "days": days if self.mode == "days" else []}


def days_with_data(lake: Lake, first: date, last: date) -> list[date]:
    """The days from `first` to `last`, without those before and after everything that bronze holds.

    Raises WarehouseError where none is left.
    """
    bronze = impact.versions(lake, (*impact.ACTIVITY, impact.HELD))
    _raise_if_missing(lake, impact.ACTIVITY, bronze)
    known = impact.known_days(lake, bronze)
    days = range(max(first, min(known)).toordinal(), min(last, max(known)).toordinal() + 1) if known else ()
    if not days:
        held = f"the data are of {min(known)} to {max(known)}" if known else "there are no data yet"
        raise WarehouseError(f"there is nothing to build from {first} to {last}: {held}", todo="give other days")
    return [date.fromordinal(day) for day in days]


def make_plan(lake: Lake, home: Home, days: Sequence[date] | None = None, full: bool = False) -> Plan:
    """Compares what bronze and the dbt code are now with what the DuckDB file was built from.

    `days` are rebuilt in every model whether or not they changed; `full` rebuilds everything. Raises WarehouseError
    when a bronze table is missing.
    """
    manifest = load_manifest()
    bronze = impact.versions(lake, _sources(manifest))
    _raise_if_missing(lake, _sources(manifest), bronze)
    now = {"code_hash": code_hash(), "lake": impact.identity(lake, bronze), "bronze": bronze}
    before = state.read(home)
    reason = "asked for" if full else _reason_for_everything(lake, before, now)
    if reason or before is None:
        return Plan(mode="full", reason=reason or "there is no DuckDB file", **now)
    if before.complete and not days and before.bronze == bronze:
        return Plan(mode="unchanged", reason="bronze and code are what the last build read", **now)
    changed = _changed_days(lake, manifest, before, bronze, set(days or ()))
    reason = "asked for" if days else "bronze changed" if before.complete else "a build did not end"
    plan = Plan(mode="days", reason=reason, days=changed, **now)
    if len(plan.all_days) > MOST_DAYS:
        return Plan(mode="full", reason=f"{len(plan.all_days)} days changed", **now)
    return plan


def _sources(manifest: dict[str, Any]) -> list[str]:
    return sorted(source["name"] for source in manifest["sources"].values())


def _raise_if_missing(lake: Lake, wanted: Iterable[str], bronze: Iterable[str]) -> None:
    missing = sorted(set(wanted) - set(bronze))
    if missing:
        raise WarehouseError(
            f"bronze has no table {', '.join(missing)}",
            where=lake.table_uri("bronze", missing[0]),
            todo="run the sources first: `retail run`",
        )


def _reason_for_everything(lake: Lake, before: state.BuildState | None, now: dict[str, Any]) -> str | None:
    if before is None:
        return "there is no DuckDB file"
    if before.lake != now["lake"]:
        return "the DuckDB file was built from another lake"
    if before.code_hash != now["code_hash"]:
        return "the dbt code changed"
    if not before.complete and before.full:
        return "a full build did not end"
    if any(now["bronze"].get(table, -1) < version for table, version in before.bronze.items()):
        return "bronze is older than what was built from it"
    if set(before.bronze) != set(now["bronze"]):
        return "bronze has other tables"
    if impact.stores_moved(lake, before.bronze["stores"], now["bronze"]["stores"]):
        return "a store appeared or moved"
    return None


def _changed_days(
    lake: Lake, manifest: dict[str, Any], before: state.BuildState, bronze: dict[str, int], asked: set[date]
) -> dict[str, list[date]]:
    known = impact.known_days(lake, bronze)
    reached = {}
    for table, version in bronze.items():
        changed = impact.changed_days(lake, table, before.bronze[table], version)
        reached[table] = impact.reached_days(lake, bronze, table, changed, known)
        if table in impact.ACTIVITY:
            reached[table] = reached[table] | asked
    sold = [impact.unlisted_days(lake, versions, reached["pos_lines"]) for versions in (before.bronze, bronze)]
    reaching = {"unlisted": set().union(*sold)}
    spread = impact.spread(manifest, reached, last=max(known, default=date.min), reaching=reaching)
    by_day = {name: set(days) for name, days in spread.items() if is_by_day(manifest, name)}
    return {name: sorted(days.union(before.unfinished.get(name, ()))) for name, days in by_day.items()}
