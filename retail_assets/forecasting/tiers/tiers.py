"""How fast a series drifts, which rhythm that gives it, and what is due. Pure; the state is a table (ops/series_tiers).

A series is fast when its forecasts miss by more than chance explains: then what it was forecast from is out of date.
The velocity is the bias of the last forecasts in standard errors of a count with the series' own dispersion, so that
slow and fast sellers are judged alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from retail_assets.forecasting.views_config import TiersConfig

KEYS = ["store_id", "sku"]
FAST, SLOW = "fast", "slow"
MOVED = " is at version "  # what policy.needs_training says of a gold table that moved on
LARGEST_DISPERSION = 20.0
PRIOR_UNITS = 0.1  # a day: a series that hardly sells says little


def drift_velocity(past: pd.DataFrame) -> pd.Series:
    """Per series (index store_id, sku): |units - mean| over all rows of `past` in standard errors, 0 or more.

    `past` has `units` that came (NaN where unknown) and the `mean` that was forecast for them without knowing them.
    """
    known = past[past["units"].notna()]
    sums = known.groupby(KEYS, sort=True).agg(
        units=("units", "sum"), mean=("mean", "sum"), days=("units", "size"), variance=("units", "var")
    )
    level = (sums["units"] / sums["days"]).clip(lower=PRIOR_UNITS)
    dispersion = (sums["variance"] / level).clip(1.0, LARGEST_DISPERSION).fillna(1.0)
    noise = np.sqrt(dispersion * (sums["mean"] + PRIOR_UNITS * sums["days"]))
    return ((sums["units"] - sums["mean"]).abs() / noise).rename("drift_velocity")


def tier_of(velocity: float, before: str | None, config: TiersConfig) -> str:
    """`fast` from `fast_from` on, `slow` below `slow_below`; between the two a series stays what it was (new: slow).

    A velocity that is not known (NaN) is that of a series without history: fast, for what is said of it ages first.
    """
    if np.isnan(velocity) or velocity >= config.fast_from:
        return FAST
    return SLOW if velocity < config.slow_below or before is None else before


def next_due(tier: str, last: date, config: TiersConfig) -> date:
    """When a series that was retrained on `last` is due again."""
    return last + timedelta(days=config.fast_days if tier == FAST else config.slow_days)


@dataclass(frozen=True)
class Work:
    """What today asks for: `full` training, a `refresh` of the fast tier, or `none`; and how many series are due."""

    action: str
    reason: str
    fast_due: int
    slow_due: int


def work(table: pd.DataFrame, today: date, config: TiersConfig) -> Work:
    """From the rows of ops/series_tiers: a full training when a slow series is due, else a refresh when a fast one is.

    A full training serves every series; it comes first, and no table at all asks for it. So does drift of a share of
    all series from `config.full_share` on: what all share is no matter of leaf values. It is asked for once a week.
    """
    due = table[table["next_due"] <= today]
    fast, slow = int((due["tier"] == FAST).sum()), int((due["tier"] == SLOW).sum())
    if table.empty:
        return Work("full", "no series was ever trained", 0, 0)
    if slow:
        return Work("full", f"{slow} slow series were last trained {_oldest(due, SLOW)}", fast, slow)
    drifting = float((table["tier"] == FAST).mean())
    if fast and drifting >= config.full_share:
        return Work("full", f"{drifting:.0%} of all series drift", fast, slow)
    if fast:
        return Work("refresh", f"{fast} fast series were last trained {_oldest(due, FAST)}", fast, slow)
    return Work("none", f"the next series is due on {table['next_due'].min()}", 0, 0)


def _oldest(due: pd.DataFrame, tier: str) -> str:
    return f"on {due.loc[due['tier'] == tier, 'last_retrained'].min()}"


def updated(
    velocity: pd.Series,
    series: pd.DataFrame,
    before: pd.DataFrame,
    trained: Mapping[str, date],
    measured_on: date,
    config: TiersConfig,
) -> pd.DataFrame:
    """The next state of the table: one row per row of `series` (store_id, sku), sorted by them.

    `trained` is the day up to which each tier's model has learnt; a series that changes its tier keeps what it has got.
    """
    rows = series[KEYS].drop_duplicates().sort_values(KEYS).set_index(KEYS)
    old = before.set_index(KEYS) if len(before) else pd.DataFrame(columns=["tier", "last_retrained"])
    rows["drift_velocity"] = velocity.reindex(rows.index)
    tiers = [tier_of(v, old["tier"].get(key), config) for key, v in rows["drift_velocity"].items()]
    full, fast = trained[SLOW], max(trained[SLOW], trained[FAST])
    last = [fast if tier == FAST else full for tier in tiers]
    kept = [old["last_retrained"].get(key) for key in rows.index]
    rows["tier"] = tiers
    rows["last_retrained"] = [max(now, then) if then is not None else now for now, then in zip(last, kept, strict=True)]
    rows["next_due"] = [next_due(tier, day, config) for tier, day in zip(tiers, rows["last_retrained"], strict=True)]
    rows["measured_on"] = measured_on
    return rows.reset_index()
