"""What `demand_model` does now: a full training, a refresh of the version that answers, or nothing, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from retail_assets.core.manifest import Manifest
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.policy import needs_training
from retail_assets.forecasting.tiers.refresh import own_config, parent_of, unfit
from retail_assets.forecasting.tiers.state import stored
from retail_assets.forecasting.tiers.tiers import MOVED, Work, work
from retail_assets.forecasting.training import PRODUCT, recorded_config
from retail_assets.forecasting.views_config import ViewsConfig
from retail_assets.releases.ledger import Ledger
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore

Action = Literal["full", "refresh", "none"]


@dataclass(frozen=True)
class Plan:
    """`reasons` are why, or of "none" what is waited for. `parent` is the full version that a refresh starts from."""

    action: Action
    reasons: tuple[str, ...]
    parent: Manifest | None = None


def decide(
    changed: Sequence[str], refreshed: bool, asked: Work, unusable: str | None, tiers_decide: bool
) -> tuple[Action, tuple[str, ...]]:
    """The action and its reasons.

    `changed` is how data, features, code or configuration differ from those of the newest version, which may be a
    `refreshed` one; `asked` is what the tiers ask for; `unusable` is why nothing can be refreshed, None where it can.
    New data alone wait until a series is due; everything else trains in full. Nothing is made again of what made the
    newest version.
    """
    if not changed and not (refreshed and asked.action == "full"):
        return "none", ()
    others = [reason for reason in changed if MOVED not in reason]
    if others or not tiers_decide:
        return "full", tuple(changed) or (asked.reason,)
    if asked.action == "none" and unusable is None:
        return "none", (asked.reason,)
    if asked.action == "refresh" and unusable is None:
        return "refresh", (asked.reason,)
    return "full", (unusable or asked.reason, *changed)


def plan(
    lake: Lake,
    store: ModelStore,
    config: ForecastingConfig,
    versions: dict[str, int],
    features: list[str],
    span: tuple[date, date],
) -> Plan:
    """Reads the newest version, the one that answers, and the state of every series, and decides."""
    tiers, names = ViewsConfig.load().tiers, store.versions(PRODUCT)
    newest = store.manifest(PRODUCT, names[-1]) if names else None
    if newest is None:
        return Plan("full", needs_training(None, versions, features, recorded_config(config)).reasons)
    plain = newest.model_copy(update={"config": own_config(newest)})
    changed = needs_training(plain, versions, features, recorded_config(config)).reasons
    parent = champion(lake, store)
    if parent is None:
        unusable: str | None = "no version answers that could be refreshed"
    else:
        unusable = _differs(parent, features, config) or unfit(parent, span, config, tiers)
    asked = work(stored(lake), span[1], tiers)
    action, reasons = decide(changed, parent_of(newest) is not None, asked, unusable, tiers.decide_training)
    return Plan(action, reasons, parent if action == "refresh" else None)


def champion(lake: Lake, store: ModelStore) -> Manifest | None:
    """The full version behind what answers in the cloud: itself, or what it was refreshed from; None without one."""
    live = Ledger(lake).live(PRODUCT)
    kept = store.versions(PRODUCT)
    if live is None or live.version not in kept:
        return None
    manifest = store.manifest(PRODUCT, live.version)
    name = parent_of(manifest) or live.version
    return store.manifest(PRODUCT, name) if name in kept else None


def learnt_until(lake: Lake, store: ModelStore) -> tuple[date, date] | None:
    """The days up to which the trees, and the leaf values, of the version that answers in the cloud have learnt."""
    full, live = champion(lake, store), Ledger(lake).live(PRODUCT)
    if full is None or live is None:
        return None
    return full.train_until, store.manifest(PRODUCT, live.version).train_until


def _differs(parent: Manifest, features: list[str], config: ForecastingConfig) -> str | None:
    reasons = needs_training(parent, parent.gold, features, recorded_config(config)).reasons
    return f"{parent.version}: {'; '.join(reasons)}" if reasons else None
