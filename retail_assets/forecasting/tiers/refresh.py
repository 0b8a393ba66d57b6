"""The refresh between two full trainings: a version like any other, made of a full one (its parent) and recent days.

It is proven by the code that proves a training, and only what learns differs: where a training grows trees, a refresh
learns the parent's leaf values anew. The model that is proven starts from the parent's own proof model, so that it has
seen nothing of the windows that calibrate and prove it. One model serves every series: see docs/explain-a-forecast.md.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.core.manifest import Manifest
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.encoding import ForecastModelError
from retail_assets.forecasting.evaluation import (
    PROOF_PREFIX,
    ShortHistory,
    Training,
    origin_days,
    plan_windows,
)
from retail_assets.forecasting.forecast_tasks import model_of
from retail_assets.forecasting.frames import Gold, sampled
from retail_assets.forecasting.model import DemandForecaster
from retail_assets.forecasting.tiers.warm_start import refreshed
from retail_assets.forecasting.training import PRODUCT, TrainingSource, manifest_of, run_training
from retail_assets.forecasting.views_config import TiersConfig
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_proof import proven
from retail_assets.resources.model_store import ModelStore

WARM_START = "warm_start"  # in the configuration that the manifest of a refreshed version records


def parent_of(manifest: Manifest) -> str | None:
    """The full version that a refreshed one was made of; None for a full one."""
    started: dict[str, Any] | None = manifest.config.get(WARM_START)
    return str(started["parent"]) if started else None


def own_config(manifest: Manifest) -> dict[str, Any]:
    """What a manifest records of configuration and code, without its refresh."""
    return {name: value for name, value in manifest.config.items() if name != WARM_START}


def past_until(parent: Manifest, config: ForecastingConfig) -> date:
    """The day up to which the model that proved the full version `parent` has learnt."""
    return plan_windows(parent.train_from, parent.train_until, config).calibrate


def is_provable(parent: Manifest) -> bool:
    """Whether a version was stored with the model that proved it, as every full one is."""
    return any(name.startswith(PROOF_PREFIX) for name in parent.files)


def proof_model(store: ModelStore, parent: Manifest) -> DemandForecaster:
    """The model that proved the full version `parent`, without intervals; ModelStoreError where a byte changed."""
    folder = proven(store, PRODUCT, parent.version)
    names = [name for name in parent.files if name.startswith(PROOF_PREFIX)]
    return model_of({name.removeprefix(PROOF_PREFIX): (folder / name).read_bytes() for name in names})


def unfit(parent: Manifest, span: tuple[date, date], config: ForecastingConfig, tiers: TiersConfig) -> str | None:
    """Why `parent` cannot be refreshed with gold from `span[0]` to `span[1]`; None where it can."""
    if not is_provable(parent):
        return f"{parent.version} was stored without the model that proved it"
    try:
        windows = plan_windows(origin_days(*span, _shorter(config, tiers))[0], span[1], config)
    except ShortHistory as error:
        return str(error)
    if windows.calibrate < past_until(parent, config):
        return f"the model that proved {parent.version} has seen days after {windows.calibrate}"
    return None


def refresh(
    lake: Lake,
    source: TrainingSource,
    store: ModelStore,
    parent: Manifest,
    config: ForecastingConfig,
    tiers: TiersConfig,
    versions: dict[str, int],
    span: tuple[date, date],
) -> Training:
    """`parent` refreshed with gold at `versions` up to `span[1]`, calibrated and proven as a training is.

    The same parent, gold and configuration give the same bytes. Raises ForecastModelError where the parent's proof
    model has seen the windows (`unfit` says so before), ModelStoreError where the parent was changed.
    """
    final = DemandForecaster.load(proven(store, PRODUCT, parent.version))
    start = _WarmStart(proof_model(store, parent), final, past_until(parent, config), tiers)
    return run_training(lake, source, _shorter(config, tiers), versions, span, start)


def refreshed_manifest(
    training: Training,
    parent: Manifest,
    config: ForecastingConfig,
    tiers: TiersConfig,
    versions: dict[str, int],
    features: list[str],
) -> Manifest:
    """The manifest of a refresh: it names its parent and how much of it was kept."""
    how = {"parent": parent.version, "days": tiers.refresh_days, "rows": tiers.refresh_rows, "keep": tiers.refresh_keep}
    made = manifest_of(training, config, versions, features)
    return made.model_copy(update={"config": made.config | {WARM_START: how}, "train_from": parent.train_from})


@dataclass(frozen=True)
class _WarmStart:
    """Learns as `evaluation.train` asks for: from the parent's final model for the newest day, else from its proof."""

    past: DemandForecaster
    final: DemandForecaster
    past_until: date
    tiers: TiersConfig

    def __call__(
        self, gold: Gold, origins: pa.Table, until: date, names: list[str], config: ForecastingConfig
    ) -> tuple[DemandForecaster, int]:
        newest = until == gold.until
        if not newest and until < self.past_until:
            raise ForecastModelError(f"the model to refresh has learnt up to {self.past_until}, the proof asks {until}")
        days = origins["business_date"]
        first = pa.scalar(until - timedelta(days=self.tiers.refresh_days), pa.date32())
        recent = origins.filter(pc.and_(pc.greater_equal(days, first), pc.less_equal(days, pa.scalar(until))))
        gold.learn_baseline(until, config.reach)
        examples = gold.examples(sampled(recent, config.horizon, until, config.training.rows, config.seed))
        model = refreshed(self.final if newest else self.past, examples, config, self.tiers.refresh_keep)
        return model, int(examples["units"].notna().sum())


def _shorter(config: ForecastingConfig, tiers: TiersConfig) -> ForecastingConfig:
    """`config` with the rows and days that a refresh and its two windows need."""
    days = tiers.refresh_days + 2 * config.backtest.window_days
    less = {"days": min(days, config.training.days), "rows": tiers.refresh_rows}
    return config.model_copy(update={"training": config.training.model_copy(update=less)})
