"""The warm start of the fast tier: proven on an older version and days held back, then made of the newest version."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.core.accuracy import rmse
from retail_assets.core.manifest import Manifest, installed
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.frames import Gold, crossed, sampled
from retail_assets.forecasting.model import DemandForecaster
from retail_assets.forecasting.policy import Verdict
from retail_assets.forecasting.tiers import FAST, KEYS
from retail_assets.forecasting.training import LIBRARIES, PRODUCT, TrainingSource, features_of, gold_versions
from retail_assets.forecasting.views_config import TiersConfig, ViewsConfig
from retail_assets.forecasting.warm_start import refreshed
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from retail_assets.resources.source_control import git_commit

FAST_PRODUCT = "forecasting_fast_tier"
FEWEST_DAYS = 14  # since an older model was trained: half of them refresh it, half prove it
LONGEST_PROOF = 28


@dataclass(frozen=True)
class FastTier:
    """RMSE on the days held back of the model as it was and refreshed; files and manifest where it may be stored."""

    scores: dict[str, float]
    verdict: Verdict
    files: dict[str, bytes] | None = None
    manifest: Manifest | None = None


def refresh_fast_tier(
    lake: Lake, source: TrainingSource, store: ModelStore, table: pd.DataFrame, span: tuple[date, date]
) -> FastTier | None:
    """Refreshes the newest model for the fast series of `table`; None where no model is old enough to prove it on.

    The proof refreshes an older version with the first half of the days it has not seen, and scores it on the rest.
    """
    config, tiers = ForecastingConfig.load(), ViewsConfig.load().tiers
    older = _older(store, span[1] - timedelta(days=FEWEST_DAYS))
    if older is None:
        return None
    versions = gold_versions(lake, source)
    held = min((span[1] - older.train_until).days // 2, LONGEST_PROOF, config.horizon)
    proof_origin = span[1] - timedelta(days=held)
    features = features_of(source, _days(span, proof_origin, config, tiers), versions, config)
    gold = Gold(lake, span[1], versions)
    try:
        aged = DemandForecaster.load(store.path(PRODUCT, older.version))
        gold.learn_baseline(proof_origin, config.reach)
        renewed = refreshed(aged, _recent(gold, features, proof_origin, config, tiers), config, tiers.refresh_keep)
        frame = gold.examples(crossed(gold.at_origin(features, proof_origin, config.series), held, proof_origin))
        fast = frame.merge(table.loc[table["tier"] == FAST, KEYS], on=KEYS)
        scores = {name: _rmse(fast, model, config) for name, model in (("aged", aged), ("refreshed", renewed))}
        verdict = no_worse(scores)
        if not verdict.passed:
            return FastTier(scores, verdict)
        base = store.manifest(PRODUCT, store.versions(PRODUCT)[-1])
        gold.learn_baseline(span[1], config.reach)
        examples = _recent(gold, features, span[1], config, tiers)
        newest = DemandForecaster.load(store.path(PRODUCT, base.version))
        made = refreshed(newest, examples, config, tiers.refresh_keep)
    finally:
        gold.close()
    manifest = _manifest(base, versions, scores, span[1], int(examples["units"].notna().sum()), tiers)
    return FastTier(scores, verdict, made.files(), manifest)


def no_worse(scores: dict[str, float]) -> Verdict:
    """A refresh is kept where its RMSE on days held back is not above that of the model as it was."""
    aged, renewed = scores["aged"], scores["refreshed"]
    passed = bool(renewed <= aged)
    reasons = () if passed else (f"RMSE {renewed:.4f} on the days held back, {aged:.4f} without the refresh",)
    return Verdict(passed, reasons, scores)


def _older(store: ModelStore, until: date) -> Manifest | None:
    """The newest version that has learnt nothing after `until`."""
    manifests = [store.manifest(PRODUCT, version) for version in store.versions(PRODUCT)]
    return next((m for m in reversed(manifests) if m.train_until <= until), None)


def _manifest(
    base: Manifest, versions: dict[str, int], scores: dict[str, float], until: date, rows: int, tiers: TiersConfig
) -> Manifest:
    """The manifest of `base` with what the refresh changed; the proof's scores are its metrics."""
    changed = {
        "product": FAST_PRODUCT,
        "created_at": datetime.now(UTC),
        "gold": versions,
        "config": base.config | {"warm_start_of": base.version, "keep": tiers.refresh_keep},
        "git_commit": git_commit(),
        "metrics": {f"rmse_{name}": value for name, value in scores.items()},
        "train_until": until,
        "rows": rows,
        "libraries": installed(*LIBRARIES),
    }
    return base.model_copy(update=changed)


def _days(span: tuple[date, date], proof_origin: date, config: ForecastingConfig, tiers: TiersConfig) -> list[date]:
    first = max(
        span[0] + timedelta(days=config.training.warmup_days), proof_origin - timedelta(days=tiers.refresh_days)
    )
    reach = range(0, (span[1] - first).days + 1, config.training.origin_every)
    days = {span[1] - timedelta(days=back) for back in reach}
    return sorted(days | {proof_origin - timedelta(days=back) for back in range(config.series.origin_days)})


def _recent(gold: Gold, features: pa.Table, until: date, config: ForecastingConfig, tiers: TiersConfig) -> pd.DataFrame:
    """Examples of origins in the last `refresh_days` before `until`, with targets up to it."""
    days = features["business_date"]
    low, high = pa.scalar(until - timedelta(days=tiers.refresh_days), pa.date32()), pa.scalar(until, pa.date32())
    origins = features.filter(pc.and_(pc.greater_equal(days, low), pc.less_equal(days, high)))
    return gold.examples(sampled(origins, config.horizon, until, tiers.refresh_rows, config.seed))


def _rmse(frame: pd.DataFrame, model: DemandForecaster, config: ForecastingConfig) -> float:
    known = frame[frame["units"].notna()]
    return rmse(known["units"].to_numpy(float), model.mean(known, config.threads)) if len(known) else float(np.nan)
