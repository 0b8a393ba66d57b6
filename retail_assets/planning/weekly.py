"""Weeks ahead, a year of them: level of the store-SKU times the season of its category and country.

    mean(week) = level of recent weeks * season of the store-SKU in that week of the year

Seasons are periodic over 52 weeks of 7 days, so that weekdays and retail events fall on the same week, and are found
with the levels in turn (iterative proportional fitting), smoothed over neighbouring weeks except where an event is.
A series' season is drawn to that of its category and country, and that one to its category's, by what they sold.
Chosen by backtest against 52-week seasonal naive, LightGBM and other settings: benchmarks/weekly_forecasts.py.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

YEAR = 52
SWEEPS = 5
SMALLEST = 1e-9


@dataclass(frozen=True)
class WeeklySettings:
    """`half_life` of a week's weight in the level, with `prior_weeks` of the long-run one; `smooth`, the weight of each
    neighbouring week in a season; `ridge` and `own_ridge`, the units that draw a group's season to its category's, and
    a series' to its group's (units of counts; where weeks scatter more than counts, that much more).
    """

    half_life: float = 8.0
    ridge: float = 50.0
    prior_weeks: float = 2.0
    smooth: float = 0.25
    own_ridge: float = 30.0


@dataclass(frozen=True)
class WeeklyHistory:
    """Sums of known days. `units` and `exposure` (share of the week's days whose demand is known), (series, weeks).

    The last column is the week that ends with the origin. `group` (category and country) and `category` are codes per
    series. `events` says which of the 52 weeks that end with the origin hold an event and are not smoothed.
    """

    units: Floats
    exposure: Floats
    group: Integers
    category: Integers
    events: Flags

    def until(self, weeks_before: int) -> "WeeklyHistory":
        """The same without the last `weeks_before` weeks."""
        last = self.units.shape[1] - weeks_before
        events = np.roll(self.events, weeks_before)
        return WeeklyHistory(self.units[:, :last], self.exposure[:, :last], self.group, self.category, events)


@dataclass(frozen=True)
class Seasons:
    """`season` of each series, (series, 52), whose position 51 ends at the origin, and its `level` in units a week."""

    season: Floats
    level: Floats


def position(weeks: int) -> Integers:
    """The place in the year, 0 to 51, of each of `weeks` weeks that end with the origin; the last one is 51."""
    return (np.arange(weeks) - weeks) % YEAR


def fit(history: WeeklyHistory, settings: WeeklySettings) -> Seasons:
    """Levels and seasons of a history; a week of the year that nobody saw has season 1."""
    units, exposure = history.units, history.exposure
    place = position(units.shape[1])
    categories, groups = int(history.category.max()) + 1, int(history.group.max()) + 1
    category_of_group = np.zeros(groups, dtype=np.int64)
    category_of_group[history.group] = history.category
    season = np.ones((groups, YEAR))
    level = units.sum(axis=1) / np.maximum(exposure.sum(axis=1), SMALLEST)
    scatter = 1.0
    for _ in range(SWEEPS):
        expected = exposure * level[:, None]
        of_category = _season(units, expected, history.category, categories, place, None, settings.ridge * scatter)
        of_category = _smoothed(of_category, history.events, settings.smooth)
        season = _season(
            units, expected, history.group, groups, place, of_category[category_of_group], settings.ridge * scatter
        )
        season = _smoothed(season, history.events, settings.smooth)
        season /= season.mean(axis=1, keepdims=True)
        weighted = exposure * season[history.group][:, place]
        scatter = _scatter(units, weighted * level[:, None])
        level = units.sum(axis=1) / np.maximum(weighted.sum(axis=1), SMALLEST)
    own = _own_season(history, season[history.group], level, place, settings.own_ridge * scatter, settings.smooth)
    weighted = exposure * own[:, place]
    level = units.sum(axis=1) / np.maximum(weighted.sum(axis=1), SMALLEST)
    weight = 0.5 ** ((units.shape[1] - 1 - np.arange(units.shape[1])) / settings.half_life)
    told = (weighted * weight).sum(axis=1) + settings.prior_weeks
    recent = ((units * weight).sum(axis=1) + settings.prior_weeks * level) / told
    return Seasons(own, recent)


def forecast(seasons: Seasons, weeks: int) -> Floats:
    """Mean units of the `weeks` weeks after the origin, (series, weeks)."""
    return np.asarray(seasons.level[:, None] * seasons.season[:, np.arange(weeks) % YEAR])


def seasonal_naive(history: WeeklyHistory, weeks: int) -> Floats:
    """The baseline: units of the same week a year before (in a week that was partly unknown, scaled up)."""
    known = history.units / np.maximum(history.exposure, 1.0 / 7.0)
    columns = history.units.shape[1] - YEAR + (np.arange(weeks) % YEAR)
    usual = history.units.sum(axis=1) / np.maximum(history.exposure.sum(axis=1), SMALLEST)
    made = np.where(columns[None, :] >= 0, known[:, np.maximum(columns, 0)], usual[:, None])
    unseen = (columns[None, :] >= 0) & (history.exposure[:, np.maximum(columns, 0)] <= 0)
    return np.asarray(np.where(unseen, usual[:, None], made))


def _season(
    units: Floats, expected: Floats, code: Integers, groups: int, place: Integers, prior: Floats | None, ridge: float
) -> Floats:
    """Units over what levels alone expect, (groups, 52), drawn to `prior` (1 without one) by `ridge` units."""
    sold, meant = np.zeros((groups, YEAR)), np.zeros((groups, YEAR))
    for week in range(units.shape[1]):
        sold[:, place[week]] += np.bincount(code, units[:, week], groups)
        meant[:, place[week]] += np.bincount(code, expected[:, week], groups)
    start = np.ones((groups, YEAR)) if prior is None else prior
    return np.asarray((sold + ridge * start) / (meant + ridge))


def _scatter(units: Floats, expected: Floats) -> float:
    """Variance over mean of the weeks around what is expected (1 for Poisson counts): what one unit of a ridge is."""
    return float(max(((units - expected) ** 2).sum() / max(expected.sum(), SMALLEST), SMALLEST))


def _own_season(
    history: WeeklyHistory, of_group: Floats, level: Floats, place: Integers, ridge: float, smooth: float
) -> Floats:
    """Seasons of each series, drawn to that of its group by `ridge` units, (series, 52)."""
    sold, meant = np.zeros((len(level), YEAR)), np.zeros((len(level), YEAR))
    for week in range(history.units.shape[1]):
        sold[:, place[week]] += history.units[:, week]
        meant[:, place[week]] += history.exposure[:, week] * level
    made = _smoothed((sold + ridge * of_group) / (meant + ridge), history.events, smooth)
    return np.asarray(made / made.mean(axis=1, keepdims=True))


def _smoothed(season: Floats, events: Flags, share: float) -> Floats:
    """Each week with `share` of either neighbour, except events, which also lend nothing to their neighbours."""
    before, after = np.roll(season, 1, axis=1), np.roll(season, -1, axis=1)
    lends_before, lends_after = ~np.roll(events, 1), ~np.roll(events, -1)
    weight = 1.0 + share * lends_before + share * lends_after
    made = (season + share * lends_before * before + share * lends_after * after) / weight
    return np.asarray(np.where(events[None, :], season, made))
