"""Answers of the forecasting service: online features and the live model, or the last batch forecast; each a row."""

import json
import logging
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from retail_assets.core.manifest import Manifest
from retail_assets.decisions.rows import new_decision_id
from retail_assets.features.store import FeatureStore
from retail_assets.features.vectors import FeatureVectors
from retail_assets.forecasting.baseline.naive import NAIVE, SALES, SeasonalNaive
from retail_assets.forecasting.baseline.stored import Baselines
from retail_assets.forecasting.cold_start import OWN
from retail_assets.forecasting.config import ForecastingConfig, quantile_name
from retail_assets.forecasting.context import ForecastContext
from retail_assets.forecasting.encoding import ForecastModelError
from retail_assets.forecasting.model import DemandForecaster, request_frame
from retail_assets.forecasting.training import FEATURE_TABLE, PRODUCT, SERVICE
from retail_assets.releases.canary_watch import FAILED
from retail_assets.releases.rows import Release
from retail_assets.releases.traffic_split import arm_of
from retail_assets.releases.verdicts import Pair
from retail_assets.resources.environments import Environment
from retail_assets.resources.lake import Lake
from retail_assets.resources.source_control import git_commit
from retail_assets.resources.table_versions import Versions
from retail_assets.serving.clock import Clock
from retail_assets.serving.live import Live
from retail_assets.serving.runtime import LAKE_ERRORS, Runtime
from retail_assets.serving.service_app import NoAnswer

if TYPE_CHECKING:
    from retail_assets.features.online import OnlineRow

logger = logging.getLogger(__name__)

CONTEXT_TABLES = ("dim_calendar", "dim_promotion", "dim_store", "dim_product")


@dataclass(frozen=True)
class Known:
    """What one forecast was made from: believed features, the day they are of and their age in seconds."""

    row: "OnlineRow"
    day: date
    at: datetime
    age_s: float
    cache_age_s: float | None = None


@dataclass(frozen=True)
class Made:
    """A forecast before it is dressed as answer and row. `days` has target_date, horizon, mean and quantiles.

    `rung` is of the cold start ladder (forecasting/cold_start.py); only a batch forecast has another than the first.
    """

    origin: date
    days: pd.DataFrame
    model_version: str
    inputs: dict[str, Any]
    features_at: datetime | None
    age_s: float | None
    git_commit: str
    fallback: str | None = None
    cache_age_s: float | None = None
    rung: str = OWN


class ForecastDesk:
    """Forecasts with what is live."""

    def __init__(self, environment: Environment) -> None:
        self.features = FeatureStore.at(environment.home, environment.lake).for_serving()
        self.vectors = FeatureVectors(self.features, SERVICE)
        self.runtime: Runtime[DemandForecaster] = Runtime(PRODUCT, environment, self._load, also_poll=self._refresh)
        self._lake = environment.lake
        self.clock = Clock(environment, FEATURE_TABLE, lambda: self.features.knowledge_time(SERVICE))
        self._versions = Versions(environment.lake)
        self._naive = SeasonalNaive(environment.lake)
        self._baselines = Baselines(environment.lake)
        self._context: ForecastContext | None = None
        self._context_versions: dict[str, int | None] = {}
        self._levels = [quantile_name(level) for level in ForecastingConfig.load().intervals.levels]
        self._commit = git_commit()
        self._base_view = _base_view()

    def _load(self, folder: Path, _: Manifest) -> DemandForecaster:
        """Refuses a model whose features the feature service lacks, or that cannot make a forecast with this code."""
        model, served = DemandForecaster.load(folder), self.features.features(SERVICE)
        unknown = sorted(set(model.spec.features) - set(served))
        if unknown:
            raise ForecastModelError(f"the model needs features that {SERVICE} does not have: {', '.join(unknown)}")
        context = self._context
        if context is not None and context.stores and context.products:
            store_id, sku = next(iter(context.stores)), next(iter(context.products))
            frame = request_frame(store_id, sku, dict.fromkeys(served), context, datetime.now(UTC).date(), 1)
            if not np.isfinite(model.predict(frame, threads=1).to_numpy()).all():
                raise ForecastModelError("the model forecasts no number for a series without history")
        return model

    def _refresh(self) -> None:
        self.clock.poll()
        self.vectors.poll()
        self._naive.poll(self.clock.newest_day)
        self._baselines.poll()
        versions = self._versions.of("gold", *CONTEXT_TABLES)
        if versions != self._context_versions and None not in versions.values():
            self._context = ForecastContext.read(self._lake)
            self._context_versions = versions

    def forecast(self, store_id: str, sku: str, horizon: int, late: bool = False) -> dict[str, Any]:
        """One answer (see ForecastAnswer); its row is in the decision log before this returns.

        With `late`, when there is more to do than time, a seasonal naive forecast is answered.
        Raises UnknownKey, NothingLive, NoAnswer, DecisionLogError.
        """
        begun, live = perf_counter(), self.runtime.live.require(store_id)
        self.runtime.catalogue.require(store_id, sku)
        naive = self._naive.of(store_id, sku, self.clock.newest_day, horizon) if late else None
        known = self._known(store_id, sku) if naive is None else ""
        if naive is not None:
            self.runtime.metrics.fallback("busy")
            made = self._naively(naive, horizon, "there is more to do than time")
        elif isinstance(known, str):
            made = self._fall_back(store_id, sku, horizon, known)
        else:
            live, made = self._made(live, store_id, sku, horizon, known)
            for shadow in self.runtime.live.shadows(store_id):
                self.runtime.beside(lambda shadow=shadow: [self._shadowed(shadow, store_id, sku, horizon, known)])  # type: ignore[misc]
        answer = self._answered(made, store_id, sku)
        arm = "fallback" if made.fallback else arm_of(live.release)
        took = round(1000 * (perf_counter() - begun), 3)
        self.runtime.log.record([_row(made, answer) | {"arm": arm_of(live.release), "latency_ms": took}])
        self.runtime.metrics.decided(1, made.model_version, arm)
        return answer

    def _answered(self, made: Made, store_id: str, sku: str) -> dict[str, Any]:
        answer = _answer(made, store_id, sku, new_decision_id(), datetime.now(UTC), self._levels)
        ages = [age for age in (made.cache_age_s, self.runtime.cache_age_s()) if age is not None]
        return answer | {"cache_age_s": max(ages, default=None)}

    def _shadowed(
        self, shadow: Live[DemandForecaster], store_id: str, sku: str, horizon: int, known: Known
    ) -> dict[str, Any]:
        """The row of a forecast that reaches nobody."""
        made = self._make(shadow, store_id, sku, horizon, known)
        return _row(made, self._answered(made, store_id, sku)) | {"mode": "shadow", "arm": "shadow"}

    def _made(
        self, live: Live[DemandForecaster], store_id: str, sku: str, horizon: int, known: Known
    ) -> tuple[Live[DemandForecaster], Made]:
        """By the canary in a store it has drawn, and by the champion where that one cannot answer."""
        champion, watch = self.runtime.live.champion(store_id), self.runtime.watch
        if champion is None or live.release.action != "canary":
            return live, self._make(live, store_id, sku, horizon, known)
        if watch.suspended(live.release):
            return champion, self._make(champion, store_id, sku, horizon, known)
        begun = thread_time()
        try:
            made = self._make(live, store_id, sku, horizon, known)
            if not np.isfinite(made.days["mean"].to_numpy(float)).all():
                raise ForecastModelError(f"{live.release.version} forecasts no number for {store_id} {sku}")
        except (*FAILED, ForecastModelError):
            logger.exception("canary %s cannot forecast %s %s", live.release.version, store_id, sku)
            watch.failed(live.release)
            return champion, self._make(champion, store_id, sku, horizon, known)
        ms = 1000 * (thread_time() - begun)
        asked = (store_id, sku, horizon)
        if watch.answered(live.release, (*asked, known.day)):
            self.runtime.beside(lambda: self._compared(live.release, made, ms, champion, asked, known))
        return live, made

    def _compared(
        self,
        canary: Release,
        made: Made,
        ms: float,
        champion: Live[DemandForecaster],
        asked: tuple[str, str, int],
        known: Known,
    ) -> list[dict[str, Any]]:
        """Asks the champion what the canary was asked; no row, as nobody gets its answer."""
        begun = thread_time()
        try:
            other = self._make(champion, *asked, known)
        except (*FAILED, ForecastModelError):
            self.runtime.watch.champion_failed(canary)
            raise
        champion_ms = 1000 * (thread_time() - begun)
        units, expected = (float(days["mean"].sum()) for days in (made.days, other.days))
        scores = (math.log1p(units / asked[2]), math.log1p(expected / asked[2]))
        self.runtime.watch.compared(canary, Pair(ms, champion_ms, *scores, units, expected))
        return []

    def _known(self, store_id: str, sku: str) -> Known | str:
        """The features of a key, or why they cannot be used."""
        context, moment = self._context, self.clock.now()
        if context is None or self.clock.newest_day is None:
            return "missing: gold has no features or no calendar yet"
        if not self.vectors.ready:
            return "missing: no features have been read from gold yet"
        row = self.vectors.online([{"store_id": store_id, "sku": sku}], at=moment)[0]
        if row.missing:
            return f"missing: no features of {', '.join(row.missing_views)}"
        if row.stale:
            ages = [f"{view} ({row.beliefs[view].age_seconds or 0:.0f} s)" for view in row.stale_views]
            return f"stale: features of {', '.join(ages)} are too old"
        at = row.event_timestamps[self._base_view]
        return Known(row, context.origin_of(store_id, at), at, row.age_seconds or 0.0, self.runtime.cache_age_s())

    def _make(self, live: Live[DemandForecaster], store_id: str, sku: str, horizon: int, known: Known) -> Made:
        """The batch's rule: days count from the retailer's newest day, also where a store's own features are older."""
        assert self._context is not None and self.clock.newest_day is not None
        origin = max(self.clock.newest_day, known.day)
        late = (origin - known.day).days
        baseline = self._baselines.of(store_id, sku)
        ahead = horizon + late
        frame = request_frame(store_id, sku, known.row.values, self._context, known.day, ahead, baseline).iloc[late:]
        days = live.model.predict(frame, threads=1)
        days.insert(0, "target_date", frame["target_date"])
        inputs = {
            "features": known.row.values,
            "features_at": {view: at.isoformat() for view, at in known.row.event_timestamps.items()},
            "origin": origin.isoformat(),
            "horizon": horizon,
            "baseline": [None if np.isnan(units) else units for units in frame["baseline"].tolist()],
        }
        return Made(
            origin,
            days,
            live.release.version,
            inputs,
            known.at,
            known.age_s,
            self._commit,
            cache_age_s=known.cache_age_s,
        )

    def _fall_back(self, store_id: str, sku: str, horizon: int, why: str) -> Made:
        """The newest batch forecast of the days after the retailer's newest day, else a seasonal naive one; marked."""
        days, naive = self._batch(store_id, sku, horizon), None
        if days is None or days.empty:
            naive = self._naive.of(store_id, sku, self.clock.newest_day, horizon)
        if naive is not None:
            self.runtime.metrics.fallback("stale" if why.startswith("stale") else "missing")
            return self._naively(naive, horizon, f"{why}; no batch forecast")
        if days is None or days.empty:
            raise NoAnswer(
                f"{store_id} {sku} has no forecast: {why}, and no batch forecast or sales to fall back to",
                todo="refresh the data: `retail run`",
            )
        self.runtime.metrics.fallback("stale" if why.startswith("stale") else "missing")
        origin, version = days["origin_date"].iloc[0].date(), str(days["model_version"].iloc[0])
        inputs = {"gold": "forecasts", "origin": origin.isoformat(), "horizon": horizon, "why": why}
        rung = str(days["rung"].iloc[0]) if "rung" in days and pd.notna(days["rung"].iloc[0]) else OWN
        return Made(origin, days, version, inputs, None, None, self._commit, fallback=why, rung=rung)

    def _batch(self, store_id: str, sku: str, horizon: int) -> pd.DataFrame | None:
        try:
            return newest_batch_forecast(self._lake, store_id, sku, self.clock.newest_day, horizon)
        except LAKE_ERRORS as error:
            logger.error("the batch forecast of %s %s cannot be read: %s", store_id, sku, error)
            return None

    def _naively(self, days: pd.DataFrame, horizon: int, why: str) -> Made:
        assert self.clock.newest_day is not None
        inputs = {"gold": SALES, "origin": self.clock.newest_day.isoformat(), "horizon": horizon, "why": why}
        reason = f"{why}: a seasonal naive forecast"
        return Made(self.clock.newest_day, days, NAIVE, inputs, None, None, self._commit, fallback=reason)


def newest_batch_forecast(lake: Lake, store_id: str, sku: str, after: date | None, horizon: int) -> pd.DataFrame | None:
    """Rows of gold/forecasts from the newest origin of a store-SKU, for `horizon` days after the day `after`."""
    if not lake.exists("gold", "forecasts"):
        return None
    with lake.connect() as connection:
        return connection.execute(
            f"""select * from {lake.scan("gold", "forecasts")}
                where store_id = $store and sku = $sku and target_date > coalesce($after, origin_date)
                qualify origin_date = max(origin_date) over () order by target_date limit {int(horizon)}""",
            {"store": store_id, "sku": sku, "after": after},
        ).df()


def _base_view() -> str:
    """The view whose day is the day a forecast starts from."""
    from retail_assets.features.registry import repository

    return str(repository().service(SERVICE).tags["base_view"])


def _answer(made: Made, store_id: str, sku: str, decision_id: str, at: datetime, levels: list[str]) -> dict[str, Any]:
    levels = levels if made.model_version != NAIVE else []
    columns = made.days[["mean", *levels]].to_numpy().tolist()
    targets = pd.to_datetime(made.days["target_date"]).dt.date
    return {
        "decision_id": decision_id,
        "store_id": store_id,
        "sku": sku,
        "origin_date": made.origin,
        "days": [
            {
                "date": day,
                "horizon": (day - made.origin).days,
                "mean": mean,
                "quantiles": dict(zip(levels, quantiles, strict=True)),
            }
            for day, (mean, *quantiles) in zip(targets, columns, strict=True)
        ],
        "model_version": made.model_version,
        "rung": made.rung,
        "decided_at": at,
        "features_at": made.features_at,
        "feature_age_s": made.age_s,
        "fallback": made.fallback is not None,
        "fallback_reason": made.fallback,
        "cache_age_s": None,
    }


def _row(made: Made, answer: dict[str, Any]) -> dict[str, Any]:
    days = [[day["date"].isoformat(), day["mean"], *day["quantiles"].values()] for day in answer["days"]]
    columns = ["date", "mean", *answer["days"][0]["quantiles"]]
    return {
        "decision_id": answer["decision_id"],
        "at": answer["decided_at"],
        "product": PRODUCT,
        "store_id": answer["store_id"],
        "sku": answer["sku"],
        "inputs": json.dumps(made.inputs, default=str),
        "model_version": made.model_version,
        "policy_hash": None,
        "guardrails": "[]",
        "output": json.dumps({"columns": columns, "days": days, "rung": answer["rung"]}),
        "price": None,
        "currency": None,
        "previous_price": None,
        "mode": "fallback" if made.fallback else "service",
        "dagster_run_id": None,
        "git_commit": made.git_commit,
        "business_date": made.origin,
    }
