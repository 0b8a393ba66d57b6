"""What all series share: a log-linear model of demand with effects pooled over SKUs, categories, stores and countries.

    demand = level x weekday x season x events x (paid / usual price) ^ elasticity x display of a promotion x state

The level is the series' own, the weekday that of the department in its store, season and promotion the category's, the
elasticity the SKU's (shrunk to its category), events those of the country's department, and the state is what the
category sells in the country beside all that, day by day. Each effect is fitted in turn to the counts that the others
leave over, as Poisson counts with a conjugate prior. A day that ran out of stock is a lower bound: it counts as the
demand expected of a day that sold at least as much (expectation maximisation under a negative binomial).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from retail_assets.forecasting.baseline.baseline_days import EVENTS, Days, Floats, Integers
from retail_assets.forecasting.baseline.demand_facts import Facts, Groups, sums
from retail_assets.forecasting.baseline.effects import Structure

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


def fit(days: Days, groups: Groups) -> tuple[Structure, Facts]:
    """The effects, and the facts they are of, with censored days at their expected demand.

    Whatever is as large as all series and days is gone through some series at a time.
    """
    facts = Facts.of(days, groups)
    size, cells = len(days.keys), facts.cells
    now = Structure(
        level=np.ones(size),
        prior=np.ones(size),
        weekday=np.ones((groups.shelf.max() + 1, 7)),
        season=np.zeros((groups.category.max() + 1, 2)),
        events=np.zeros((len(days.countries), groups.department.max() + 1, len(EVENTS))),
        elasticity=np.full(size, USUAL_ELASTICITY),
        lift=np.zeros(size),
        usual_price=facts.usual_price,
        dispersion=0.2,
    )
    state = np.zeros((groups.state.max() + 1, facts.units.shape[1]))
    for _ in range(ROUNDS):
        now = _price_effects(now, facts, np.exp(calendar(now, days, facts) + state[cells.state]))
        sold, foreseen = facts.sold_by_cell(), facts.by_cell(now)
        now = _season(now, days, facts, sold, foreseen * np.exp(event_effects(now, days, facts)))
        now = _events(now, days, facts, sold, foreseen * np.exp(season(now, days, facts) + state[cells.state]))
        state = _smooth_state(sold, foreseen * np.exp(calendar(now, days, facts)), facts)
        shared = np.exp(calendar(now, days, facts) + state[cells.state])
        sold_on, foreseen_on = facts.by_weekday(now, shared)
        now = _levels(now, groups, sold_on.sum(axis=1), (foreseen_on * now.weekday[groups.shelf]).sum(axis=1))
        now = _weekdays(now, groups, sold_on, foreseen_on * now.level[:, None])
        beyond, squares, hidden = facts.beyond_chance(now, shared)
        now = replace(now, dispersion=float(np.clip(beyond / max(squares, SMALL), 0.01, 2.0)))
        facts.uncensor(expected_beyond(hidden, facts.sold_out_at, now.dispersion))
    return now, facts


def season(of: Structure, days: Days, facts: Facts) -> Floats:
    """Log effect of the time of year, (cells, T)."""
    found: Floats = (of.season @ _wave(days)[:, : facts.units.shape[1]])[facts.cells.category]
    return found


def event_effects(of: Structure, days: Days, facts: Facts) -> Floats:
    """Log effect of holidays, their eves and the weeks of sales, (cells, T)."""
    effects = np.einsum("cde,cet->cdt", of.events, days.events[:, :, : facts.units.shape[1]])
    return np.asarray(effects[facts.cells.country, facts.cells.department])


def calendar(of: Structure, days: Days, facts: Facts) -> Floats:
    """Log effect of season and events, (cells, T)."""
    return season(of, days, facts) + event_effects(of, days, facts)


def _wave(days: Days) -> Floats:
    turn = 2 * np.pi * days.day_of_year / 365.25
    return np.stack([np.cos(turn), np.sin(turn)])


def _price_effects(now: Structure, facts: Facts, shared: Floats) -> Structure:
    """Two Newton steps of each SKU's elasticity and each category's lift, in quasi-Poisson with normal priors."""
    groups, spread = facts.groups, ELASTICITY_SPREAD**2
    for _ in range(2):
        found = facts.by_price(now, shared)
        weight, pull = (sums(x, groups.sku) / COUNTS_PER_FACT for x in (found.price_weight, found.price_pull))
        own, of_category = _first(now.elasticity, groups.sku), _first(groups.category, groups.sku)
        mass = np.bincount(of_category, weights=weight + SMALL)
        centre = np.bincount(of_category, weights=(weight + SMALL) * own) / np.maximum(mass, SMALL)
        centre = (20 * centre + USUAL_ELASTICITY) / 21
        own = np.clip(own + (pull - (own - centre[of_category]) / spread) / (weight + 1 / spread), *ELASTICITIES)
        of = _first(now.lift, groups.category)
        weight, pull = (sums(x, groups.category) / COUNTS_PER_FACT for x in (found.lift_weight, found.lift_pull))
        step = (pull - (of - USUAL_LIFT) / LIFT_SPREAD**2) / (weight + 1 / LIFT_SPREAD**2)
        lift = np.clip(of + step, -1.0, 2.0)[groups.category]
        now = replace(now, elasticity=own[groups.sku], lift=lift)
    return now


def _season(now: Structure, days: Days, facts: Facts, sold: Floats, base: Floats) -> Structure:
    """Newton steps of each category's yearly wave; the days of a category move together, so that many count for few."""
    if sold.shape[1] < SEASON_DAYS:
        return now
    wave, season_of = _wave(days)[:, : sold.shape[1]], now.season.copy()
    sold, base_of = (sums(x, facts.cells.category) for x in (sold, base))
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


def _events(now: Structure, days: Days, facts: Facts, of_cells: Floats, base: Floats) -> Structure:
    events, known = now.events, days.events[:, :, : base.shape[1]]
    place = facts.cells.country * events.shape[1] + facts.cells.department
    shape = (len(days.countries) * events.shape[1], base.shape[1])
    sold, base_of = np.zeros(shape), np.zeros(shape)
    present = np.unique(place)
    sold[present], base_of[present] = sums(of_cells, place), sums(base, place)
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


def _smooth_state(sold: Floats, expected: Floats, facts: Facts) -> Floats:
    """Log of what a category sells in a country beside what is expected, from the days before and after; mean 0."""
    sold, foreseen = (sums(x, facts.cells.state) for x in (sold, expected))
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


def _levels(now: Structure, groups: Groups, sold: Floats, foreseen: Floats) -> Structure:
    """Each series' level, shrunk to that of its SKU times the strength of its shelf."""
    of_sku = (sums(sold, groups.sku) / np.maximum(sums(foreseen, groups.sku), SMALL))[groups.sku]
    strength = sums(sold, groups.shelf) / np.maximum(sums(of_sku * foreseen, groups.shelf), SMALL)
    prior = np.maximum(of_sku * strength[groups.shelf], 1e-4)
    return replace(now, prior=prior, level=(sold + LEVEL_PRIOR) / (foreseen + LEVEL_PRIOR / prior))


def _weekdays(now: Structure, groups: Groups, of_series: Floats, base: Floats) -> Structure:
    """Each shelf's weekdays, shrunk to its department's times its store's; their mean is 1."""
    sold, foreseen = (sums(x, groups.shelf) for x in (of_series, base))
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
