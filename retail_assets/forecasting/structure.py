"""What all series share: a log-linear model of demand with effects pooled over SKUs, categories, stores and countries.

    demand = level x weekday x season x events x (paid / usual price) ^ elasticity x display of a promotion x state

The level is the series' own, the weekday that of the department in its store, season and promotion the category's, the
elasticity the SKU's (shrunk to its category), events those of the country's department, and the state is what the
category sells in the country beside all that, day by day. Each effect is fitted in turn to the counts that the others
leave over, as Poisson counts with a conjugate prior. A day that ran out of stock is a lower bound: it counts as the
demand expected of a day that sold at least as much (expectation maximisation under a negative binomial).
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retail_assets.forecasting.baseline_days import EVENTS, Days, Floats, Integers

ROUNDS = 8
SEASON_DAYS = 300  # with fewer days known, season and trend cannot be told apart
USUAL_ELASTICITY, ELASTICITY_SPREAD, ELASTICITIES = -1.5, 0.4, (-4.0, 0.0)
USUAL_LIFT, LIFT_SPREAD = 0.2, 0.3
SEASON_SPREAD = 0.6
STATE_VARIANCE = 0.3  # of a category's days around the season, as a share of their mean
EVENT_SPREAD, LONGEST_EVENT_STEP = 0.3, 0.7
COUNTS_PER_FACT = 2.0  # of variance: shoppers and weather come in crowds
EVENT_COUNTS_PER_FACT = 5.0
LEVEL_PRIOR, WEEKDAY_PRIOR, STATE_PRIOR = 16.0, 200.0, 60.0  # units that the prior counts for
STATE_HALF_LIFE = 7.0
MOST_COUNTED = 200  # units up to which a censored day's distribution is summed
SMALL = 1e-9


@dataclass(frozen=True)
class Groups:
    """Numbers of what each series belongs to, (S,) each; `category` and `state` rows are (categories, countries)."""

    category: Integers
    sku: Integers
    store: Integers
    department: Integers
    country: Integers
    shelf: Integers
    state: Integers

    @classmethod
    def of(cls, keys: pd.DataFrame, countries: list[str]) -> "Groups":
        """Of the keys of Days; `shelf` is the department in its store, `state` the category in its country."""

        def code(*names: str) -> Integers:
            return keys.groupby(list(names), sort=True).ngroup().to_numpy(np.int64)

        country = keys["country"].map({name: number for number, name in enumerate(countries)}).to_numpy(np.int64)
        return cls(code("category"), code("sku"), code("store_id"), code("department"), country,
                   code("store_id", "department"), code("category", "country"))  # fmt: skip


@dataclass(frozen=True)
class Structure:
    """Effects; logs unless said otherwise. `elasticity`, `lift`, `usual_price` (log) and `prior` (units) per series.

    `weekday` (shelves, 7) is a factor, `season` (categories, 2) the weights of a yearly wave, `events` (countries,
    departments, EVENTS), `level` (S,) units a day, `dispersion` the variance beyond Poisson's as a share of mean^2.
    """

    level: Floats
    prior: Floats
    weekday: Floats
    season: Floats
    events: Floats
    elasticity: Floats
    lift: Floats
    usual_price: Floats
    dispersion: float


def fit(days: Days, groups: Groups) -> tuple[Structure, Floats]:
    """The effects, and `units` (S, T) with censored days at their expected demand."""
    known = days.units.shape[1]
    past = days.price[:, :known]
    logs = np.log(np.where(past > 0, past, np.nan))
    with_price = ~np.isnan(logs)
    usual = np.where(with_price, logs, 0.0).sum(axis=1) / np.maximum(with_price.sum(axis=1), 1)
    price, promoted = paid(days, usual, slice(0, known))
    size = len(days.keys)
    now = Structure(
        level=np.ones(size),
        prior=np.ones(size),
        weekday=np.ones((groups.shelf.max() + 1, 7)),
        season=np.zeros((groups.category.max() + 1, 2)),
        events=np.zeros((len(days.countries), groups.department.max() + 1, len(EVENTS))),
        elasticity=np.full(size, USUAL_ELASTICITY),
        lift=np.zeros(size),
        usual_price=usual,
        dispersion=0.2,
    )
    state, units = np.zeros((groups.state.max() + 1, known)), days.units
    for _ in range(ROUNDS):
        rest = days.weight * now.level[:, None] * now.weekday[groups.shelf][:, days.weekday[:known]]
        rest = rest * np.exp(state)[groups.state]
        now = _price_effects(now, groups, units, rest * calendar(now, days, groups, slice(0, known)), price, promoted)
        priced = np.exp(now.elasticity[:, None] * price + now.lift[:, None] * promoted)
        without = rest * priced / np.exp(state)[groups.state]
        now = _season(now, days, groups, units, without * np.exp(event_effects(now, days, groups, slice(0, known))))
        now = _events(now, days, groups, units, rest * priced * np.exp(season(now, days, groups, slice(0, known))))
        shared = days.weight * calendar(now, days, groups, slice(0, known)) * priced
        expected = shared * now.level[:, None] * now.weekday[groups.shelf][:, days.weekday[:known]]
        state = _smooth_state(units, expected, groups)
        shared = shared * np.exp(state)[groups.state]
        now = _levels(now, groups, units, shared * now.weekday[groups.shelf][:, days.weekday[:known]])
        now = _weekdays(now, days, groups, units, shared * now.level[:, None])
        expected = shared * now.level[:, None] * now.weekday[groups.shelf][:, days.weekday[:known]]
        now = replace(now, dispersion=_dispersion(days, expected))
        units = uncensored(days, expected, now.dispersion)
    return now, units


def paid(days: Days, usual: Floats, when: slice) -> tuple[Floats, Floats]:
    """Log of the price paid over the usual one (0 where it is not known), and 1 where a promotion runs."""
    with np.errstate(divide="ignore", invalid="ignore"):
        price = np.nan_to_num(np.log(days.price[:, when]) - usual[:, None], neginf=0.0, posinf=0.0)
    discount = days.discount[:, when]
    return price + np.log1p(-discount), (discount > 0).astype(float)


def season(of: Structure, days: Days, groups: Groups, when: slice) -> Floats:
    """Log effect of the time of year, (S, days of `when`)."""
    found: Floats = (of.season @ _wave(days)[:, when])[groups.category]
    return found


def event_effects(of: Structure, days: Days, groups: Groups, when: slice) -> Floats:
    """Log effect of holidays, their eves and the weeks of sales, (S, days of `when`)."""
    effects = np.einsum("cde,cet->cdt", of.events, days.events[:, :, when])
    return np.asarray(effects[groups.country, groups.department])


def calendar(of: Structure, days: Days, groups: Groups, when: slice) -> Floats:
    """Factor of season and events."""
    return np.asarray(np.exp(season(of, days, groups, when) + event_effects(of, days, groups, when)))


def sums(values: Floats, code: Integers) -> Floats:
    """Sums of rows with the same code, (codes, ...)."""
    order = np.argsort(code, kind="stable")
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))
    return np.asarray(np.add.reduceat(values[order], starts, axis=0))


def _wave(days: Days) -> Floats:
    turn = 2 * np.pi * days.day_of_year / 365.25
    return np.stack([np.cos(turn), np.sin(turn)])


def _price_effects(
    now: Structure, groups: Groups, units: Floats, base: Floats, price: Floats, promoted: Floats
) -> Structure:
    """Two Newton steps of each SKU's elasticity and each category's lift, in quasi-Poisson with normal priors."""
    elasticity, lift = now.elasticity, now.lift
    spread = ELASTICITY_SPREAD**2
    for _ in range(2):
        expected = base * np.exp(elasticity[:, None] * price + lift[:, None] * promoted)
        miss = units * (base > 0) - expected
        weight = sums((expected * price**2).sum(axis=1), groups.sku) / COUNTS_PER_FACT
        pull = sums((miss * price).sum(axis=1), groups.sku) / COUNTS_PER_FACT
        own, of_category = _first(elasticity, groups.sku), _first(groups.category, groups.sku)
        mass = np.bincount(of_category, weights=weight + SMALL)
        centre = np.bincount(of_category, weights=(weight + SMALL) * own) / np.maximum(mass, SMALL)
        centre = (20 * centre + USUAL_ELASTICITY) / 21
        own = np.clip(own + (pull - (own - centre[of_category]) / spread) / (weight + 1 / spread), *ELASTICITIES)
        elasticity = own[groups.sku]
        of = _first(lift, groups.category)
        weight = sums((expected * promoted).sum(axis=1), groups.category) / COUNTS_PER_FACT
        pull = sums((miss * promoted).sum(axis=1), groups.category) / COUNTS_PER_FACT
        step = (pull - (of - USUAL_LIFT) / LIFT_SPREAD**2) / (weight + 1 / LIFT_SPREAD**2)
        lift = np.clip(of + step, -1.0, 2.0)[groups.category]
    return replace(now, elasticity=elasticity, lift=lift)


def _season(now: Structure, days: Days, groups: Groups, units: Floats, base: Floats) -> Structure:
    """Newton steps of each category's yearly wave; the days of a category move together, so that many count for few."""
    if units.shape[1] < SEASON_DAYS:
        return now
    wave, season_of = _wave(days)[:, : units.shape[1]], now.season.copy()
    sold, base_of = sums(units * (base > 0), groups.category), sums(base, groups.category)
    for _ in range(3):
        expected = base_of * np.exp(season_of @ wave)
        weight = 1 / (1 + STATE_VARIANCE * expected)
        for number in range(len(season_of)):
            pull = (wave * (sold - expected)[number] * weight[number]).sum(axis=1) - season_of[
                number
            ] / SEASON_SPREAD**2
            bend = (wave * expected[number] * weight[number]) @ wave.T + np.eye(2) / SEASON_SPREAD**2
            season_of[number] += np.clip(np.linalg.solve(bend, pull), -1.0, 1.0)
    return replace(now, season=season_of)


def _events(now: Structure, days: Days, groups: Groups, units: Floats, base: Floats) -> Structure:
    events, known = now.events, days.events[:, :, : units.shape[1]]
    place = groups.country * events.shape[1] + groups.department
    shape = (len(days.countries) * events.shape[1], units.shape[1])
    sold, base_of = np.zeros(shape), np.zeros(shape)
    present = np.unique(place)
    sold[present], base_of[present] = sums(units * (base > 0), place), sums(base, place)
    for _ in range(2):
        effects = np.einsum("cde,cet->cdt", events, known).reshape(shape)
        expected = base_of * np.exp(effects)
        pull, weight = (
            np.einsum("cdt,cet->cde", x.reshape(*events.shape[:2], -1), known) / EVENT_COUNTS_PER_FACT
            for x in (sold - expected, expected)
        )
        centre = events.mean(axis=1, keepdims=True)
        step = (pull - (events - centre) / EVENT_SPREAD**2) / (weight + 1 / EVENT_SPREAD**2)
        events = events + np.clip(step, -LONGEST_EVENT_STEP, LONGEST_EVENT_STEP)
    return replace(now, events=np.clip(events, -7.0, 3.0))


def _smooth_state(units: Floats, expected: Floats, groups: Groups) -> Floats:
    """Log of what a category sells in a country beside what is expected, from the days before and after; mean 0."""
    sold, foreseen = sums(units * (expected > 0), groups.state), sums(expected, groups.state)
    keep = 0.5 ** (1 / STATE_HALF_LIFE)
    near = [decayed(x, keep) + decayed(x[:, ::-1], keep)[:, ::-1] - x for x in (sold, foreseen)]
    state = np.log((near[0] + STATE_PRIOR) / (near[1] + STATE_PRIOR))
    return np.asarray(state - state.mean(axis=1, keepdims=True))


def decayed(values: Floats, keep: float) -> Floats:
    """Sums over the days so far of which each day keeps the share `keep`, (rows, T)."""
    found, total = np.empty_like(values), np.zeros(len(values))
    for day in range(values.shape[1]):
        total = total * keep + values[:, day]
        found[:, day] = total
    return found


def _levels(now: Structure, groups: Groups, units: Floats, shared: Floats) -> Structure:
    """Each series' level, shrunk to that of its SKU times the strength of its shelf."""
    sold, foreseen = (units * (shared > 0)).sum(axis=1), shared.sum(axis=1)
    of_sku = (sums(sold, groups.sku) / np.maximum(sums(foreseen, groups.sku), SMALL))[groups.sku]
    strength = sums(sold, groups.shelf) / np.maximum(sums(of_sku * foreseen, groups.shelf), SMALL)
    prior = np.maximum(of_sku * strength[groups.shelf], 1e-4)
    return replace(now, prior=prior, level=(sold + LEVEL_PRIOR) / (foreseen + LEVEL_PRIOR / prior))


def _weekdays(now: Structure, days: Days, groups: Groups, units: Floats, base: Floats) -> Structure:
    """Each shelf's weekdays, shrunk to its department's times its store's; their mean is 1."""
    day = np.eye(7)[days.weekday[: units.shape[1]]]
    sold, foreseen = (sums(x @ day, groups.shelf) for x in (units * (base > 0), base))
    store, department = (_first(code, groups.shelf) for code in (groups.store, groups.department))
    of_store = np.ones((store.max() + 1, 7))
    for _ in range(3):
        part = foreseen * of_store[store]
        of_department = (sums(sold, department) + 20) / (sums(part, department) + 20)
        part = foreseen * of_department[department]
        of_store = (sums(sold, store) + 1) / (sums(part, store) + 1)
    prior = of_store[store] * of_department[department]
    factor = np.maximum((sold + WEEKDAY_PRIOR * prior) / (foreseen + WEEKDAY_PRIOR), 1e-4)
    return replace(now, weekday=factor / factor.mean(axis=1, keepdims=True))


def _first(values: NDArray, code: Integers) -> NDArray:
    """The value of the first row of each code."""
    return np.asarray(values[np.unique(code, return_index=True)[1]])


def _dispersion(days: Days, expected: Floats) -> float:
    """By moments over the days that are known whole."""
    whole = (expected > 0) & ~days.censored
    beyond = ((days.units - expected) ** 2 - expected)[whole].sum()
    return float(np.clip(beyond / max((expected[whole] ** 2).sum(), SMALL), 0.01, 2.0))


def uncensored(days: Days, expected: Floats, dispersion: float) -> Floats:
    """`days.units` with each censored day at the mean of demand given that it was at least as much."""
    hidden = days.censored & (expected > 0)
    found = days.units.copy()
    found[hidden] = expected_beyond(expected[hidden], days.units[hidden], dispersion)
    return found


def expected_beyond(mean: Floats, least: Floats, dispersion: float) -> Floats:
    """E[D | D >= least] of a negative binomial D with `mean` and variance mean + dispersion x mean^2, both (N,)."""
    shape = 1 / dispersion
    odds = mean / (shape + mean)
    probability, below, part = (1 - odds) ** shape, np.zeros(len(mean)), np.zeros(len(mean))
    for count in range(int(min(least.max(initial=0.0), MOST_COUNTED))):
        inside = count < least
        below += np.where(inside, probability, 0.0)
        part += np.where(inside, count * probability, 0.0)
        probability = probability * (count + shape) / (count + 1) * odds
    left = 1 - below
    beyond = np.where(left > 1e-6, (mean - part) / np.maximum(left, 1e-6), least)
    return np.maximum(beyond, least)
