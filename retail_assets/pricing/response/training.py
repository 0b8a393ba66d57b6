"""Training as one function of recorded inputs: gold versions and configuration in, model files and manifest out."""

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np

from retail_assets.core.manifest import Manifest, installed
from retail_assets.pricing.config import PricingConfig
from retail_assets.pricing.response.cross import cross_elasticity, without_others
from retail_assets.pricing.response.evaluation import Holdout, held_out, metrics
from retail_assets.pricing.response.local import differences
from retail_assets.pricing.response.model import PRODUCT, PriceModel, model_of
from retail_assets.pricing.response.response import fit
from retail_assets.pricing.response.training_frames import (
    FEATURES,
    ResponseFrame,
    frame_of,
    read_base_demand,
    read_panel,
    why_nothing,
)
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore

CODE_VERSION = "3"
READS = ("fct_sales_daily", "dim_store", "dim_product", "dim_promotion")


@dataclass(frozen=True)
class Training:
    """A trained model with its proof and what it was trained on."""

    model: PriceModel
    frame: ResponseFrame
    holdout: Holdout
    metrics: dict[str, float]
    gold: dict[str, int]
    train_from: date
    train_until: date


def newest_day(lake: Lake) -> date | None:
    """The newest business date in gold, None while there are no sales."""
    days = lake.open("gold", "fct_sales_daily").partitions()
    return max((date.fromisoformat(str(day["business_date"])) for day in days), default=None)


def gold_versions(lake: Lake) -> dict[str, int]:
    """The newest Delta version of every gold table that training reads."""
    return {name: lake.open("gold", name).version() for name in READS}


def train(lake: Lake, config: PricingConfig, gold: dict[str, int], until: date) -> Training:
    """Learns demand response from gold at the given versions; the same arguments give the same bytes.

    Raises ResponseDataError where there is nothing to learn from.
    """
    response = config.response
    panel = read_panel(lake, until, response, gold)
    if not panel.num_rows:
        raise why_nothing(lake, until, response, gold)
    frame = frame_of(panel, response)
    holdout = held_out(frame, response)
    base = read_base_demand(lake, until, gold)
    learnt = fit(frame, response)
    cross = cross_elasticity(frame, learnt)
    if cross is not None:
        learnt = without_others(learnt, frame.category_of_sku, cross)
    by_store = differences(frame, learnt) if holdout.kept == "store_level" else None
    model = model_of(frame, learnt, base, until.isoformat(), response.elasticity_ceiling, by_store, cross)
    first = frame.week.min().astype(date)
    return Training(model, frame, holdout, metrics(model, holdout, cross), gold, first, until)


def save(training: Training, config: PricingConfig, store: ModelStore, at: datetime, git_commit: str) -> str:
    """Stores the model with its manifest and returns its version."""
    manifest = Manifest(
        product=PRODUCT,
        created_at=at,
        gold=training.gold,
        feature_service="",
        features=list(FEATURES),
        git_commit=git_commit,
        config=recorded_config(config),
        seed=config.response.seed,
        metrics=training.metrics,
        train_from=training.train_from,
        train_until=training.train_until,
        rows=len(training.frame.units),
        libraries=installed("numpy", "scipy", "duckdb", "pyarrow"),
    )
    return store.save(PRODUCT, training.model.files(), manifest)


def recorded_config(config: PricingConfig) -> dict[str, object]:
    """What the manifest records of configuration and code: a change of either trains anew."""
    return {"code_version": CODE_VERSION, "response": config.response.model_dump(mode="json")}


def current_version(store: ModelStore, config: PricingConfig, gold: dict[str, int], until: date) -> str | None:
    """The newest stored version where training again is not due, None where it is.

    Due: nothing stored, another code version or configuration, or at least `retrain_after_days` of new days.
    """
    versions = store.versions(PRODUCT)
    if not versions:
        return None
    newest = store.manifest(PRODUCT, versions[-1])
    return versions[-1] if not is_due(newest, recorded_config(config), gold, until, config) else None


def is_due(
    newest: Manifest, recorded: dict[str, object], gold: dict[str, int], until: date, config: PricingConfig
) -> bool:
    """Whether a model like `newest` has to be trained again for gold at these versions. Pure."""
    if newest.config != recorded:
        return True
    age = (until - newest.train_until).days
    return newest.gold != gold and (age >= config.response.retrain_after_days or age < 0)


def elasticity_spread(model: PriceModel) -> dict[str, float]:
    """Quartiles of the SKUs' elasticities, for a glance."""
    values = model.table[: len(model.skus), 0]
    return {f"p{q}": float(np.percentile(values, q)) for q in (10, 25, 50, 75, 90)}
