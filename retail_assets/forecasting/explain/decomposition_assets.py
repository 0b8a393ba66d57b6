"""The asset that shows demand as trend, seasons, holidays and promotions, and the checks on what it wrote."""

import json
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from time import perf_counter
from typing import Any

import dagster as dg
import pandas as pd
import psutil

from retail_assets.core.manifest import installed
from retail_assets.forecasting.common import DAILY, GROUP, OWNERS, written_with
from retail_assets.forecasting.explain.contributions import GROUPS
from retail_assets.forecasting.explain.decomposition_rows import TABLE, scores
from retail_assets.forecasting.explain.decomposition_run import Decomposed, decompose_demand
from retail_assets.forecasting.explain.demand_panel import TABLES
from retail_assets.forecasting.policy import Verdict
from retail_assets.forecasting.training import feature_span
from retail_assets.forecasting.views_config import DecompositionConfig, ViewsConfig
from retail_assets.resources.dagster.run_order import LAST
from retail_assets.resources.dagster.unchanged import unchanged
from retail_assets.resources.environments import fanout
from retail_assets.resources.lake import Lake

KEY = dg.AssetKey(["forecasting", "demand_components"])
PROOF = "decomposition_proof"
CODE_VERSION = "2"
TOLD_EVERY_S = 10.0


@dg.asset(
    key=KEY,
    deps=[["forecasting", "forecasts"], *(["gold", name] for name in TABLES)],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"prophet", "deltalake"},
    code_version=CODE_VERSION,
    freshness_policy=DAILY,
    op_tags=LAST,
    description="gold/demand_components: per store-department and country-category and day, Prophet's trend, weekday, "
    "time of year, holidays and promotions; on the days ahead they add up to the sum of the SKU forecasts. Shown to "
    "people, used by nothing: it runs last, for a limited time, the largest series first; a later run does the rest.",
)
def demand_components(lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Fits the series that changed since they were written, and now and then proves the largest on days held back."""
    config, span = ViewsConfig.load().decomposition, feature_span(lake)
    if span is None:
        return dg.MaterializeResult(metadata={"status": "no sales yet"})
    made_from = _made_from(lake, config)
    if written_with(lake, "gold", TABLE).get("made_from") == made_from:
        return unchanged()
    proven = written_with(lake, "reports", PROOF).get("proven_until")
    prove = proven is None or span[1] - date.fromisoformat(proven) >= timedelta(days=config.proof_every_days)

    def keep(made: Decomposed) -> int:
        told = {"series": str(made.series), "fresh": str(made.fresh)}
        finished = {"made_from": made_from} if made.is_complete else {}  # without it the next run goes on
        return lake.overwrite("gold", TABLE, made.rows, metadata=told | finished)

    made = decompose_demand(lake, span[1], config, fanout(config.processes), prove, _progress(), keep)
    if made.proof is not None:
        lake.overwrite("reports", PROOF, made.proof, metadata={"proven_until": str(span[1])})
    return dg.MaterializeResult(metadata={"delta_version": keep(made), **_metadata(made)})


def _made_from(lake: Lake, config: DecompositionConfig) -> str:
    """What the components follow from, as text."""
    tables = {name: lake.version("gold", name) for name in (*TABLES, "forecasts")}
    rest = {"config": config.fit_settings(), "code": CODE_VERSION, **installed("prophet")}
    return json.dumps(tables | rest, sort_keys=True)


def _metadata(made: Decomposed) -> dict[str, Any]:
    rest = f"{made.fresh:,} of {made.series:,} series are decomposed; the next run goes on, the largest first"
    return {
        "status": "decomposed" if made.is_complete else rest,
        "dagster/row_count": len(made.rows),
        "series": made.series,
        "series_decomposed": made.fresh,
        "series_fitted": made.fitted,
        "seconds": round(made.seconds, 1),
        "fit_seconds_of_all_processes": round(made.fit_seconds, 1),
        "memory_mb": round(psutil.Process().memory_info().rss / 1e6),
        **({} if made.proof is None else scores(made.proof.to_pandas())),
        **{name: dg.MetadataValue.md(image) for name, image in plots(made.rows.to_pandas()).items()},
    }


def _progress() -> Callable[[int, int], None]:
    """A line in the log when something was done since the last one, at most one every TOLD_EVERY_S."""
    log, begun, told = dg.get_dagster_logger(), perf_counter(), [perf_counter()]

    def progress(done: int, of: int) -> None:
        now = perf_counter()
        if done == of or now - told[0] >= TOLD_EVERY_S:
            told[0] = now
            log.info(f"Prophet: {done} of {of} series, {now - begun:.0f} s")

    return progress


def plots(rows: pd.DataFrame) -> dict[str, str]:
    """A markdown image per hierarchy: the parts of its largest series."""
    from retail_assets.forecasting.report import plot_components

    drawn = {}
    for hierarchy, group in rows.groupby("hierarchy", sort=True):
        sums = group.groupby(["place", "product_group"])["units"].sum()
        place, what = sums.sort_values(kind="stable").index[-1]
        own = group[(group["place"] == place) & (group["product_group"] == what)].sort_values("day")
        drawn[f"largest_{hierarchy}"] = plot_components(
            own, f"{what} in {place}: units a day and what they are made of"
        )
    return drawn


def adds_up(rows: pd.DataFrame) -> Verdict:
    """The groups of reasons add up to the bottom-up sum, to the last of the six places, wherever there is one."""
    told = rows[rows["bottom_up"].notna()]
    sums = told[[f"{group}_units" for group in GROUPS]].sum(axis=1)
    wrong = told[sums != told["bottom_up"]]
    reasons = tuple(
        f"{r.place}, {r.product_group}, {r.day}: the parts are not the sum" for r in wrong.head(5).itertuples()
    )
    return Verdict(wrong.empty, reasons, {"compared": float(len(told)), "wrong": float(len(wrong))})


def beats_naive(found: dict[str, float]) -> Verdict:
    """Prophet's WAPE is below that of the worse baseline in each hierarchy: a view that is worse than both misleads."""
    reasons = []
    for hierarchy in sorted({name.split("/")[1] for name in found}):
        own = found[f"wape_prophet/{hierarchy}"]
        worse = max(found[f"wape_{name}/{hierarchy}"] for name in ("seasonal_naive", "weekday_mean"))
        if not own < worse:
            reasons.append(f"{hierarchy}: WAPE {own:.3f}, the worse baseline has {worse:.3f}")
    return Verdict(bool(found) and not reasons, tuple(reasons) or (() if found else ("nothing was proven yet",)), found)


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "parts_add_up_to_the_forecasts",
            asset=KEY,
            description="Level, season, holidays, promotion and other are the sum of the SKU forecasts, exactly.",
        ),
        dg.AssetCheckSpec(
            "decomposition_is_no_worse_than_naive",
            asset=KEY,
            description="On days held back Prophet's error is below the worse of seasonal naive's and weekday mean's.",
        ),
    ]
)
def decomposition_checks(lake: dg.ResourceParam[Lake]) -> Iterator[dg.AssetCheckResult]:
    """Reads the newest components and the newest proof."""
    verdicts = {}
    if lake.exists("gold", TABLE):
        rows = lake.open("gold", TABLE).to_pyarrow_table().to_pandas()
        verdicts["parts_add_up_to_the_forecasts"] = adds_up(rows)
    proof = lake.open("reports", PROOF).to_pyarrow_table().to_pandas() if lake.exists("reports", PROOF) else None
    verdicts["decomposition_is_no_worse_than_naive"] = beats_naive({} if proof is None else scores(proof))
    for name in ("parts_add_up_to_the_forecasts", "decomposition_is_no_worse_than_naive"):
        verdict = verdicts.get(name, Verdict(False, ("there are no components yet",), {}))
        severity = dg.AssetCheckSeverity.ERROR if name.startswith("parts") else dg.AssetCheckSeverity.WARN
        yield dg.AssetCheckResult(
            check_name=name,
            asset_key=KEY,
            passed=verdict.passed,
            severity=severity,
            metadata={"reasons": list(verdict.reasons), **verdict.numbers},
        )


ASSETS: list[Any] = [demand_components]
CHECKS: list[Any] = [decomposition_checks]
