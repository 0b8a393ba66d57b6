"""What a SKU sells when the rest of its category changes price: cross-elasticities within categories.

Prices that a retailer lists follow demand, and what a whole category has in common in a week (season, weather, shocks)
moves both: list prices cannot tell a category's prices from its good weeks. Promotions can: they are planned weeks
ahead and differ between countries. Held against each other are therefore the items of a category that are *not* on
promotion, week by week, by how much the others are discounted:

    units_t ~ usual_t * exp(cross * discount_t + a * discounts, list prices and demand around t
                            + country and week + country and category + category and week)

`units` are those of the unpromoted items of a category and country, `usual` what they would sell by their own prices
and levels, `discount` is the mean log discount of the others (Poisson pseudo-likelihood, so that weeks without a sale
count). The weeks before and after (t - 1, t + 1) hold lasting shocks fixed; the effects of category and week, which
need two countries, hold its season. Nothing of a promoted item's own success is in it.

Each category's figure is drawn to the chain's, and the chain's to zero, by what is not known of them: where nothing is
seen, no substitution is claimed.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from retail_assets.pricing.response.response import Fit, uncensored
from retail_assets.pricing.response.training_frames import FEATURES, ResponseFrame

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PRICE, PROMOTION = FEATURES.index("log_price"), FEATURES.index("promotion")
SWEEPS = 25
ROUNDS = 8
LARGEST_STEP = 1.0
BLOCK_WEEKS = 13
FEWEST_WEEKS = 200
PSEUDO_UNITS = 2.0
LEAST_VARIANCE = 1e-4
USUAL_CROSS = 0.5  # standard deviation around zero of what a chain's figure is expected to be
USUAL_SPREAD = 0.1  # ... and of its categories around it, itself not known: falling with its fourth power
SPREADS = np.geomspace(0.01, 2.0, 60)


@dataclass(frozen=True)
class Cross:
    """Change of a SKU's units by the mean price of its category's others, percent for percent.

    `mean` and `variance` are of each category, (categories,), `chain_mean` and `chain_variance` of a category never
    seen. `others` is the number of other SKUs of each category, 0 where there is none.
    """

    mean: Floats
    variance: Floats
    chain_mean: float
    chain_variance: float
    others: Floats


def cross_elasticity(frame: ResponseFrame, fit: Fit) -> Cross | None:
    """The cross-elasticities of a fitted frame; None where there are too few weeks of categories to tell."""
    weeks = _Weeks.of(frame, fit)
    if len(weeks.units) < FEWEST_WEEKS or not np.any(weeks.x[:, 0]):
        return None
    fitted = np.log((weeks.units / weeks.usual + 1) / 2)
    for _ in range(ROUNDS):
        mean = weeks.usual * np.exp(fitted)
        gap = weeks.units / mean - 1
        weight = 1.0 / _variance_of(gap, mean)
        values = _without_effects(np.column_stack([fitted + gap, weeks.x]), weeks.effects, weight)
        found, discount, rest = _regress(values, weight)
        residual = rest - discount * found
        fitted = fitted + np.clip(gap - residual, -LARGEST_STEP, LARGEST_STEP)
    categories = len(frame.categories)
    precision = np.bincount(weeks.category, weight * discount**2, categories)
    evidence = np.bincount(weeks.category, weight * discount * rest, categories)
    own = (evidence / np.maximum(precision, 1e-12))[weeks.category]
    scores = np.bincount(weeks.block, weight * discount * (rest - own * discount))
    count, used = len(scores), int((precision > 0).sum())
    excess = float(np.sum(scores**2)) / max(float(precision.sum()), 1e-12) * count / max(count - used, 1)
    return _pooled(evidence / max(excess, 1.0), precision / max(excess, 1.0), weeks.others)


def without_others(fit: Fit, category: Ints, cross: Cross) -> Fit:
    """The fit with own-price elasticities at fixed prices of the others.

    A SKU is one of the others of its neighbours: within a week of its category, what they win when it gets dearer
    counts as lost to it once more, by cross / others. `category` is (skus,).
    """
    known = cross.others > 0
    each = np.divide(1.0, cross.others, where=known, out=np.zeros(len(known)))
    share, unsure = cross.mean * each, cross.variance * each**2
    posterior = fit.posterior
    mean, covariance, centre = posterior.mean.copy(), posterior.covariance.copy(), posterior.prior.mean.copy()
    mean[:, 0] += share[category]
    covariance[:, 0, 0] += unsure[category]
    centre[:, 0] += share
    moved = replace(posterior, mean=mean, covariance=covariance, prior=replace(posterior.prior, mean=centre))
    return replace(fit, posterior=moved)


@dataclass(frozen=True)
class _Weeks:
    """Weeks of a category in a country that have a week before and after; arrays of shape (rows,), x is (rows, 8).

    `units` are those of the items not on promotion, `usual` what these would sell by their own prices and levels; the
    first column of x is the discount of the others. Within a `block` errors may go together; `effects` are the codes of
    what is held fixed; `others` is (categories,).
    """

    units: Floats
    usual: Floats
    x: Floats
    block: Ints
    category: Ints
    effects: tuple[Ints, ...]
    others: Floats

    @classmethod
    def of(cls, frame: ResponseFrame, fit: Fit) -> "_Weeks":
        """Sums the rows of a frame."""
        country, week = frame.seasons.country[frame.season_code], frame.seasons.week[frame.season_code]
        category = frame.category_of_sku[frame.sku_code]
        categories, width = len(frame.categories), int(week.max()) + 3
        cells, cell = np.unique((country * categories + category) * width + week + 1, return_inverse=True)
        units, usual = _unpromoted_demand(frame, fit, cell)
        demand = np.log((units + PSEUDO_UNITS) / (usual + PSEUDO_UNITS))
        others = np.maximum(np.bincount(_of_skus(frame, cell)[0] // len(frame.skus)) - 1.0, 0.0)
        discount, price = _discount_of_others(frame, fit, cell, others), _unpromoted_price(frame, fit, cell)
        at = np.full(int(cells.max()) + 2, -1)
        at[cells] = np.arange(len(cells))
        before, after = at[cells - 1], at[cells + 1]
        seen = (usual > 0) & (others > 0)
        used = np.flatnonzero(seen & (before >= 0) & seen[before] & (after >= 0) & seen[after])
        around = [values[lag[used]] for values in (demand, discount, price) for lag in (before, after)]
        group, week = cells[used] // width, cells[used] % width
        named = group % categories
        effects = [group // categories * width + week, group]
        if len(np.unique(group // categories)) > 1:
            effects.append(named * width + week)
        size = np.bincount(named, others[used], categories) / np.maximum(np.bincount(named, minlength=categories), 1)
        return cls(
            units=units[used],
            usual=usual[used],
            x=np.column_stack([discount[used], price[used], *around]),
            block=np.unique(group * width + week // BLOCK_WEEKS, return_inverse=True)[1],
            category=named,
            effects=tuple(np.unique(codes, return_inverse=True)[1] for codes in effects),
            others=size,
        )


def _expected(frame: ResponseFrame, fit: Fit) -> Floats:
    """Units of each row by its own price and level, the category's week left out."""
    response = np.einsum("nk,nk->n", frame.features, fit.posterior.mean[frame.sku_code])
    effects = fit.level[frame.series_code] + fit.store_week[frame.store_week_code]
    return np.asarray(frame.exposure * np.exp(np.clip(response, -10, 10) + effects))


def _unpromoted_demand(frame: ResponseFrame, fit: Fit, cell: Ints) -> tuple[Floats, Floats]:
    """Units sold and units expected of a cell's rows without promotion, (cells,)."""
    expected, hidden = _expected(frame, fit), np.flatnonzero(frame.censored)
    units = frame.units.copy()
    units[hidden] = uncensored(units[hidden], (expected * np.exp(fit.season[frame.season_code]))[hidden])
    plain = frame.features[:, PROMOTION] == 0
    sold, usual = (np.asarray(np.bincount(cell, values * plain), dtype=np.float64) for values in (units, expected))
    return sold, usual


def _unpromoted_price(frame: ResponseFrame, fit: Fit, cell: Ints) -> Floats:
    """Mean log price of a cell's rows without promotion, (cells,)."""
    weight = _expected(frame, fit) * (frame.features[:, PROMOTION] == 0)
    return np.bincount(cell, weight * frame.features[:, PRICE]) / np.maximum(np.bincount(cell, weight), 1e-12)


def _of_skus(frame: ResponseFrame, cell: Ints) -> tuple[Ints, Ints]:
    """The distinct pairs of cell and SKU (cell * SKUs + SKU), and that of each row."""
    pairs, pair = np.unique(cell * len(frame.skus) + frame.sku_code, return_inverse=True)
    return pairs, pair.astype(np.int64)


def _discount_of_others(frame: ResponseFrame, fit: Fit, cell: Ints, others: Floats) -> Floats:
    """Mean log discount of the others, over a cell's rows without promotion by their expected units; (cells,)."""
    pairs, pair = _of_skus(frame, cell)
    days = np.bincount(pair, frame.exposure)
    own = np.bincount(pair, frame.exposure * frame.discount) / np.maximum(days, 1e-12)
    total = np.bincount(pairs // len(frame.skus), own)
    seen = (total[cell] - own[pair]) / np.maximum(others[cell], 1.0)
    weight = _expected(frame, fit) * (frame.features[:, PROMOTION] == 0)
    return np.bincount(cell, weight * seen) / np.maximum(np.bincount(cell, weight), 1e-12)


def _without_effects(values: Floats, effects: tuple[Ints, ...], weight: Floats) -> Floats:
    """Columns less the effects, by alternating weighted means."""
    totals = [np.maximum(np.bincount(codes, weight), 1e-12) for codes in effects]
    for _ in range(SWEEPS):
        for codes, total in zip(effects, totals, strict=True):
            means = [(np.bincount(codes, column * weight) / total)[codes] for column in values.T]
            values = values - np.column_stack(means)
    return values


def _regress(values: Floats, weight: Floats) -> tuple[float, Floats, Floats]:
    """Coefficient of the second column on the first, and both less what the other columns say of them."""
    root = np.sqrt(weight)
    controls = values[:, 2:]
    said = np.linalg.lstsq(controls * root[:, None], values[:, :2] * root[:, None], rcond=None)[0]
    rest, discount = (values[:, :2] - controls @ said).T
    return float((weight * discount * rest).sum() / max((weight * discount**2).sum(), 1e-12)), discount, rest


def _variance_of(gap: Floats, mean: Floats) -> Floats:
    """Variance of units / mean: shocks of any week, and chance, which falls with the mean; (rows,), above zero."""
    chance = 1.0 / mean
    scale = 1.0 / (np.median(chance) + chance)
    x = np.column_stack([np.ones(len(chance)), chance]) * scale[:, None]
    found = np.maximum(np.linalg.lstsq(x, gap**2 * scale, rcond=None)[0], 0.0)
    return np.maximum(found[0] + found[1] * chance, LEAST_VARIANCE)


def _pooled(evidence: Floats, precision: Floats, others: Floats) -> Cross:
    """Categories drawn from the chain's distribution, whose mean is drawn to zero; averaged over its likely spreads."""
    seen = precision > 1e-9
    error = 1.0 / precision[seen]
    said, spread = evidence[seen] * error, SPREADS[:, None] ** 2
    known = 1.0 / (error + spread)
    unsure = 1.0 / (known.sum(axis=1) + USUAL_CROSS**-2)
    centre = unsure * (known @ said)
    fit = np.log(known).sum(axis=1) + np.log(unsure) - known @ said**2 + centre**2 / unsure
    chance = np.exp((fit - fit.max()) / 2) * SPREADS / (1 + (SPREADS / USUAL_SPREAD) ** 2) ** 2
    chance /= chance.sum()
    lent = error * known
    means = np.column_stack([lent * centre[:, None] + (1 - lent) * said, centre])
    variances = np.column_stack([spread * lent + lent**2 * unsure[:, None], unsure + SPREADS**2])
    mean = chance @ means
    variance = chance @ (variances + (means - mean) ** 2)
    alone, place = others == 0, np.where(seen, np.cumsum(seen) - 1, len(mean) - 1)
    return Cross(
        mean=np.where(alone, 0.0, mean[place]),
        variance=np.where(alone, 0.0, variance[place]),
        chain_mean=float(mean[-1]),
        chain_variance=float(variance[-1]),
        others=others,
    )
