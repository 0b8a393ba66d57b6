"""What a pricing backtest has learnt as tables: each series, each item's average series, the covariates."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict

from retail_assets.pricing.backtest import history_model as models
from retail_assets.pricing.backtest.history import History
from retail_assets.pricing.backtest.history_model import Learnt
from retail_assets.pricing.response.shrinkage import truncate

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

NORMAL_95 = 1.96
FIGURES = (
    *("elasticity", "lo", "hi", "cut_off", "weight", "rows", "ols", "source", "series", "lowest", "highest"),
    *("others", "others_lo", "others_hi", "covariate", "effect", "units", "forecast"),
)
"""Columns of ours in the files that are written."""
OWN, ITEM, OTHERS, NONE = "own", "item", "others", "none"


class Estimate(BaseModel):
    """An elasticity with its 95 % interval, what least squares alone says, and what it rests on.

    `source`: the `own` sales, the `item`'s other series (the own price never moved enough), `others` (none of its
    item's did), or `none`: no price ever moved enough, and the figures are None. `cut_off`: by the data it lies above
    the highest elasticity that is taken for possible, where it ends; `hi` is then what the data allow.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    elasticity: float | None
    lo: float | None
    hi: float | None
    cut_off: bool
    ols: float | None
    source: str


class SeriesElasticity(Estimate):
    """That of one series, named by its keys; `weight` is the share of its own sales in it, `rows` how many it has."""

    series: str
    weight: float
    rows: int


class ItemElasticity(Estimate):
    """That of an item's average series (the series' own where it is alone); its series lie between `lowest` and
    `highest`.

    `others` is what its units answer to the mean price of the other items in the same place, with its 95 % interval;
    None where there are none, or their prices never moved.
    """

    item: str
    series: int
    lowest: float | None
    highest: float | None
    others: float | None = None
    others_lo: float | None = None
    others_hi: float | None = None


class CovariateEffect(BaseModel):
    """What a covariate does to an item's average series (or the series, where there is one key): the change of ln units
    for one more of it, with its 95 % interval. None where it never moved.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: str
    covariate: str
    effect: float | None
    lo: float | None
    hi: float | None


def series_table(learnt: Learnt, history: History, ceiling: float) -> pd.DataFrame:
    """A row per series, in the order of the history's keys: elasticity, lo, hi, cut_off, weight, rows, ols, source."""
    moved, rows = learnt.moved[:, 0], np.bincount(history.series, minlength=len(history.keys))
    source = _sources(moved, learnt.item_moved[history.item_of_series])
    figures = _estimates(learnt.theta[:, 0], learnt.variance[:, 0], ceiling)
    found = pd.DataFrame(figures | {"weight": learnt.weight[:, 0], "rows": rows}, index=history.keys.index)
    found["ols"] = np.where(moved, models.series_ols(history).theta[:, 0], np.nan)
    return _without_figures(found.assign(source=source), source == NONE)


def item_table(learnt: Learnt, history: History, series: pd.DataFrame, ceiling: float) -> pd.DataFrame:
    """A row per item: item, elasticity, lo, hi, cut_off, ols, series, lowest, highest, source; `series` is
    `series_table`.
    """
    moved = learnt.item_moved
    first = np.unique(history.item_of_series, return_index=True)[1]
    ols = np.where(moved, models.pooled_ols(history).theta[first, 0], np.nan)
    count = np.bincount(history.item_of_series, minlength=len(history.items))
    source = _sources(moved, moved)
    figures = _estimates(learnt.item_mean[:, 0], learnt.item_variance[:, 0], ceiling)
    found = pd.DataFrame({"item": history.items} | figures | {"ols": ols})
    of_item = series["elasticity"].groupby(history.item_of_series)
    found = found.assign(series=count, lowest=of_item.min(), highest=of_item.max(), source=source)
    alone = (count == 1) & moved
    for name in ("elasticity", "lo", "hi", "cut_off"):
        found[name] = np.where(alone, series[name].to_numpy()[first], found[name])
    return _without_figures(found, source == NONE)


def _estimates(mean: Floats, variance: Floats, ceiling: float) -> dict[str, npt.NDArray[Any]]:
    """Columns elasticity, lo, hi and cut_off of estimates that may not lie above the ceiling.

    Where the data say they do, the interval goes from the bound's side to the data's own upper end: with both ends at
    the bound it would look certain of what the data contradict.
    """
    deviation = np.sqrt(variance)
    elasticity, _, lo, hi = truncate(mean, deviation, ceiling)
    cut_off = mean > ceiling
    return {
        "elasticity": elasticity,
        "lo": lo,
        "hi": np.where(cut_off, mean + NORMAL_95 * deviation, hi),
        "cut_off": cut_off,
    }


def cross_table(learnt: Learnt, history: History) -> dict[str, Floats]:
    """Columns of the cross-elasticity, the last coefficient, per item; NaN where the others' prices never moved."""
    moved = _any(learnt.moved[:, -1], history)
    mean, reach = learnt.item_mean[:, -1], NORMAL_95 * np.sqrt(learnt.item_variance[:, -1])
    columns = {"others": mean, "others_lo": mean - reach, "others_hi": mean + reach}
    return {name: np.where(moved, values, np.nan) for name, values in columns.items()}


def covariate_table(learnt: Learnt, history: History) -> pd.DataFrame:
    """A row per covariate and item's average series, or per series where they are all there is: effect, lo, hi."""
    single = len(history.keys.columns) == 1
    moved = learnt.moved
    if single:
        names, mean, variance = history.keys.iloc[:, 0].to_numpy(), learnt.theta, learnt.variance
    else:
        names, mean, variance = np.array(history.items, dtype=object), learnt.item_mean, learnt.item_variance
        moved = np.stack([_any(column, history) for column in moved.T], axis=1)
    parts = []
    for at, covariate in enumerate(history.names[1:], start=1):
        effect, reach = np.where(moved[:, at], mean[:, at], np.nan), NORMAL_95 * np.sqrt(variance[:, at])
        parts.append(
            pd.DataFrame(
                {"of": names, "covariate": covariate, "effect": effect, "lo": effect - reach, "hi": effect + reach}
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["of", "covariate", "effect"])


def beside_keys(keys: pd.DataFrame, figures: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Columns of the caller's, and ours by the names that they have beside these."""
    return pd.concat([keys.reset_index(drop=True), figures.rename(columns=names).reset_index(drop=True)], axis=1)


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The table's rows; what is not known is None."""
    rows = table.to_dict("records")
    return [{str(name): None if pd.isna(value) else value for name, value in row.items()} for row in rows]


def _any(moved: Mask, history: History) -> Mask:
    """Which items have a series of the mask."""
    return np.asarray(np.bincount(history.item_of_series, moved, minlength=len(history.items)) > 0)


def _sources(own: Mask, of_item: Mask) -> "npt.NDArray[np.object_]":
    """What the elasticities of series or items rest on."""
    if not of_item.any():
        return np.full(len(own), NONE, dtype=object)
    return np.where(own, OWN, np.where(of_item, ITEM, OTHERS)).astype(object)


def _without_figures(table: pd.DataFrame, rows: Mask) -> pd.DataFrame:
    """The table without the elasticities of rows that have learnt nothing."""
    for name in {"elasticity", "lo", "hi", "lowest", "highest"} & set(table.columns):
        table[name] = np.where(rows, np.nan, table[name])
    return table.assign(cut_off=table["cut_off"].to_numpy(dtype=bool) & ~rows)
