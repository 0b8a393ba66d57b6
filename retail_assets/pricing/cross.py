"""What a SKU sells when the rest of its category changes price: the cross-elasticity within categories, one per chain.

The weekly demand of a category is a free effect of the response model, so that a category's prices cannot be told from
its season there. Here the effects are explained, week by week:

    effect_t = cross * prices_t + a * effect_(t-1) + b * prices_(t-1) + country and week + country and category

`prices` is the mean log price of the category's SKUs. Prices that were set because demand was high are set on what was
seen the week before, which is held fixed. A category's few weeks say too little for a figure of its own (tried: further
from the truth); the chain's counts only where it beats zero on held-back weeks.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from retail_assets.pricing.frames import ResponseFrame
from retail_assets.pricing.response import Fit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SWEEPS = 8
LAGS = (1, 2)
FEWEST_WEEKS = 200


@dataclass(frozen=True)
class Cross:
    """Change of a SKU's units by the prices of its category's others, percent for percent, with its variance.

    `others` is the number of other SKUs of each category, (categories,), 0 where it has no season of its own. `gain` is
    the share of the squared error on held-back weeks that the figure avoids.
    """

    mean: float
    variance: float
    others: Floats
    gain: float

    @property
    def holds(self) -> bool:
        """Whether it beats zero on held-back weeks and is itself above zero beyond chance (95 %)."""
        return self.gain > 0 and self.mean > 1.96 * float(np.sqrt(self.variance))


def cross_elasticity(frame: ResponseFrame, fit: Fit, held_back_weeks: int) -> Cross | None:
    """The cross-elasticity of a fitted frame; None where there are too few weeks of categories to tell."""
    weeks = _Weeks.of(frame, fit.season)
    late = weeks.week > weeks.week.max(initial=0) - held_back_weeks
    if (~late).sum() < FEWEST_WEEKS or not late.any():
        return None
    with_prices, without = weeks.x, weeks.x[:, 1:]
    errors = [np.sum((weeks.y - x @ _solve(x[~late], weeks.y[~late]))[late] ** 2) for x in (with_prices, without)]
    price = weeks.x[:, 0] - without @ _solve(without, weeks.x[:, 0])
    found = _solve(with_prices, weeks.y)
    score = np.bincount(weeks.group, price * (weeks.y - with_prices @ found))
    groups = len(np.unique(weeks.group))
    size = np.bincount(weeks.category, weeks.skus, len(frame.categories))
    seen = np.bincount(weeks.category, minlength=len(frame.categories))
    return Cross(
        mean=float(found[0]),
        variance=float(np.sum(score**2) / np.sum(price**2) ** 2 * groups / max(groups - 1, 1)),
        others=np.where(seen > 0, np.maximum(size / np.maximum(seen, 1) - 1, 1.0), 0.0),
        gain=float(1 - errors[0] / errors[1]),
    )


def without_others(fit: Fit, category: Ints, cross: Cross) -> Fit:
    """The fit with own-price elasticities at fixed prices of the others.

    A SKU is one of the prices that move its category's demand: the effects of the weeks took that share,
    cross / others, out of what its own price does. `category` is (skus,).
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
    """Category-weeks with their week before, less the effects of country-week and of group; x is (rows, 3)."""

    y: Floats
    x: Floats
    week: Ints
    group: Ints
    category: Ints
    skus: Floats

    @classmethod
    def of(cls, frame: ResponseFrame, effect: Floats) -> "_Weeks":
        """The category-weeks of a frame whose week before is there too."""
        price, skus = _price_index(frame)
        seasons = frame.seasons
        width = int(seasons.week.max()) + 2
        key = seasons.group * width + seasons.week
        at = np.full((seasons.group.max() + 1) * width + 1, -1)
        at[key] = np.arange(len(key))
        lags = [np.where(seasons.week >= lag, at[np.maximum(key - lag, 0)], -1) for lag in LAGS]
        used = np.flatnonzero(np.all([lag >= 0 for lag in lags], axis=0) & (seasons.category >= 0) & (skus > 1))
        past = [values[lag[used]] for lag in lags for values in (effect, price)]
        values = np.column_stack([effect[used], price[used], *past])
        week = seasons.week[used]
        for _ in range(SWEEPS):
            for codes in (seasons.country[used] * width + week, seasons.group[used]):
                values = values - _means(values, codes)
        return cls(values[:, 0], values[:, 1:], week, seasons.group[used], seasons.category[used], skus[used])


def _price_index(frame: ResponseFrame) -> tuple[Floats, Floats]:
    """Mean over the SKUs of a season of their log price, and how many they are; (seasons,), 0 where none is left."""
    cells, code = np.unique(frame.season_code * len(frame.skus) + frame.sku_code, return_inverse=True)
    days = np.bincount(code, frame.exposure)
    price = np.bincount(code, frame.exposure * frame.features[:, 0]) / np.maximum(days, 1e-12)
    seasons, season = len(frame.seasons.week), cells // len(frame.skus)
    skus = np.bincount(season, minlength=seasons).astype(np.float64)
    return np.bincount(season, price, seasons) / np.maximum(skus, 1.0), skus


def _means(values: Floats, codes: Ints) -> Floats:
    count = np.maximum(np.bincount(codes), 1)
    return np.column_stack([(np.bincount(codes, column) / count)[codes] for column in values.T])


def _solve(x: Floats, y: Floats) -> Floats:
    return np.linalg.lstsq(x, y, rcond=None)[0].astype(np.float64, copy=False)
