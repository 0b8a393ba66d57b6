"""From a lake to a stored model, and from the live model to gold/forecasts: what the assets and the benchmarks call."""

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa

from retail_assets.core.manifest import Manifest, installed
from retail_assets.forecasting.baseline.baseline import COLUMNS as BASELINE
from retail_assets.forecasting.cold_start import OWN, with_rungs
from retail_assets.forecasting.config import ForecastingConfig, quantile_name
from retail_assets.forecasting.evaluation import Fit, Training, origin_days, train
from retail_assets.forecasting.forecast_tasks import forecast_part, forecast_stores, store_tasks
from retail_assets.forecasting.frames import KEYS, PRICES, TABLES, Gold
from retail_assets.forecasting.model import DemandForecaster
from retail_assets.releases.assignment import Assignment
from retail_assets.resources.fanout import HERE, Fanout
from retail_assets.resources.lake import Lake
from retail_assets.resources.source_control import git_commit

PRODUCT = "forecasting"
SERVICE = "demand_forecast"
FEATURE_TABLE = "feat_store_product_daily"
LIBRARIES = ("lightgbm", "numpy", "pandas", "pyarrow", "duckdb")
CODE_VERSION = "3"
SERIES_AT_ONCE = 5000
DAYS_AT_ONCE = 20


class TrainingSource(Protocol):
    """What training needs of the feature store."""

    def training_set(
        self,
        service: str,
        start: date,
        end: date,
        *,
        version: Mapping[str, int] | None = None,
        days: Collection[date] | None = None,
        names: Collection[str] | None = None,
    ) -> pa.Table:
        """Features (those in `names`) per key and day (all from `start` to `end`, or `days`), as known when it closed.

        Of gold at `version`, the newest where it names none.
        """

    def features(self, service: str) -> list[str]:
        """Names of the feature columns, in order."""

    def gold_versions(self, service: str) -> dict[str, int]:
        """Delta versions of the gold tables behind the service."""


def recorded_config(config: ForecastingConfig) -> dict[str, Any]:
    """What the manifest keeps of configuration and code."""
    return {"code_version": CODE_VERSION, **config.model_dump(mode="json")}


def gold_versions(lake: Lake, source: TrainingSource) -> dict[str, int]:
    """Delta versions of every gold table that training reads; raises LakeError when one is missing."""
    read = [*TABLES, *([PRICES] if lake.exists("gold", PRICES) else [])]
    return source.gold_versions(SERVICE) | {name: lake.open("gold", name).version() for name in read}


def feature_span(lake: Lake) -> tuple[date, date] | None:
    """First and newest business date with features; None when there are none."""
    days = [date.fromisoformat(str(p["business_date"])) for p in lake.open("gold", FEATURE_TABLE).partitions()]
    return (min(days), max(days)) if days else None


def run_training(
    lake: Lake,
    source: TrainingSource,
    config: ForecastingConfig,
    versions: dict[str, int],
    span: tuple[date, date],
    fit: Fit | None = None,
) -> Training:
    """Trains (by `fit`, else from scratch) and proves a forecaster on gold at `versions`; `span` is `feature_span`."""
    names = source.features(SERVICE)
    gold = Gold(lake, span[1], versions)
    try:  # nobody but the training holds the features, so that it can let go of them
        return train(gold, features_of(source, origin_days(*span, config), versions, config), names, config, fit)
    finally:
        gold.close()


def run_training_on(
    fanout: Fanout,
    lake: Lake,
    source: TrainingSource,
    config: ForecastingConfig,
    versions: dict[str, int],
    span: tuple[date, date],
) -> Training:
    """`run_training` on a worker of the cluster where there is one, else here: the same bytes."""
    task = (lake, source, config, versions, span)
    return fanout.map(_trained, [task])[0]


def _trained(task: tuple[Lake, TrainingSource, ForecastingConfig, dict[str, int], tuple[date, date]]) -> Training:
    return run_training(*task)


def features_of(
    source: TrainingSource, days: list[date], versions: Mapping[str, int] | None, config: ForecastingConfig
) -> pa.Table:
    """The features that are learnt from, on the listed days of gold at `versions`, sorted by store, SKU and day.

    Asked for in stretches and in single precision: memory grows with `days` alone.
    """
    pinned = {name: versions[name] for name in source.gold_versions(SERVICE)} if versions else None
    names = [name for name in source.features(SERVICE) if name not in config.exclude_features]
    parts = []
    for first in range(0, len(days), DAYS_AT_ONCE):
        stretch = days[first : first + DAYS_AT_ONCE]
        found = source.training_set(SERVICE, stretch[0], stretch[-1], version=pinned, days=stretch, names=names)
        parts.append(_single(found.select([*KEYS, "business_date", *names])))
    return pa.concat_tables(parts).sort_by([(name, "ascending") for name in (*KEYS, "business_date")])


def _single(table: pa.Table) -> pa.Table:
    fields = [f.with_type(pa.float32()) if pa.types.is_float64(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields))


def manifest_of(
    training: Training, config: ForecastingConfig, versions: dict[str, int], features: list[str]
) -> Manifest:
    """The manifest of a training; the model store adds files and version."""
    return Manifest(
        product=PRODUCT,
        created_at=datetime.now(UTC),
        gold=versions,
        feature_service=SERVICE,
        features=features,
        git_commit=git_commit(),
        config=recorded_config(config),
        seed=config.seed,
        metrics=training.metrics,
        train_from=training.train_from,
        train_until=training.windows.newest,
        rows=training.rows,
        libraries=installed(*LIBRARIES),
    )


def forecast(
    lake: Lake,
    source: TrainingSource,
    models: Mapping[str, DemandForecaster],
    assigned: Assignment,
    origin: date,
    config: ForecastingConfig,
    fanout: Fanout = HERE,
) -> pa.Table:
    """Rows of gold/forecasts for `origin`: every active series and day ahead, in the schema of `forecast_schema`.

    Each store is forecast by the version it is assigned, which is in `models`; without one it is left out. Where
    `fanout` has more than this process, stores are pieces of work of their own; the rows are the same.
    """
    days = [origin - timedelta(days=back) for back in reversed(range(config.series.origin_days))]
    recent = features_of(source, days, None, config)
    gold = Gold(lake, origin)
    try:
        series = gold.at_origin(recent, origin, config.series)
        gold.baseline = gold.learn_baseline(origin, config.reach).since(days[0])
        parts = [
            part.assign(model_version=share.version)
            for share in assigned.shares(series)
            for part in _parts(lake, gold, share.rows, models[share.version], origin, config, fanout)
        ]
    finally:
        gold.close()
    made = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=forecast_schema(config).names)
    made = made.assign(origin_date=origin, business_date=origin)
    made = with_rungs(lake, made, origin, config.horizon, config.series.origin_days, config.intervals.levels)
    made.loc[made["rung"] != OWN, list(BASELINE)] = np.nan
    return pa.Table.from_pandas(made, schema=forecast_schema(config), preserve_index=False)


def _parts(
    lake: Lake,
    gold: Gold,
    series: pa.Table,
    model: DemandForecaster,
    origin: date,
    config: ForecastingConfig,
    fanout: Fanout,
) -> list[pd.DataFrame]:
    if not fanout.is_local:
        return fanout.map(forecast_stores, store_tasks(lake, series, model, origin, config, gold.baseline))
    return [
        forecast_part(gold, series.slice(first, SERIES_AT_ONCE), model, origin, config)
        for first in range(0, len(series), SERIES_AT_ONCE)
    ]


def forecast_schema(config: ForecastingConfig) -> pa.Schema:
    """The Arrow schema of gold/forecasts; a forecast is made again from its recorded baseline."""
    quantiles = [(quantile_name(level), pa.float64()) for level in config.intervals.levels]
    return pa.schema(
        [
            ("store_id", pa.string()),
            ("sku", pa.string()),
            ("target_date", pa.date32()),
            ("horizon", pa.int32()),
            ("mean", pa.float64()),
            *quantiles,
            *((name, pa.float64()) for name in BASELINE),
            ("origin_date", pa.date32()),
            ("model_version", pa.string()),
            ("rung", pa.string()),
            ("business_date", pa.date32()),
        ]
    )
