"""Price elasticities of anybody's history: least squares, and what shrinkage makes of it.

    ln units = level of series + theta_series . (ln price, covariates) + error        (family "log")
    units ~ exp(the same), variance mean + alpha * mean^2                            (family "count": zeros are data)

Series of one item (a brand in many stores) draw their coefficients from the item's distribution (`shrinkage`). What
hits an item in all stores at once is no independent evidence of each: intervals carry the error of the item's own
coefficient, from scores summed over all series of a period and correlated over periods (Driscoll, Kraay 1998).
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from retail_assets.pricing.backtest.history import History
from retail_assets.pricing.backtest.movement import moved_items, moved_series
from retail_assets.pricing.response.shrinkage import Posterior, Prior, shrink

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

USUAL_ELASTICITY = -1.5
PRICE_VARIANCE, COVARIATE_VARIANCE = 0.5, 0.04
EM_STEPS = 60
NEWTON_STEPS = 25
CONVERGED = 1e-4
SMALL_MOVE = 1e-5
LEAST_SPREAD = 1e-9


@dataclass(frozen=True)
class Learnt:
    """Coefficients (series, k) of one contender, the level of each series, and units sold per unit predicted, by item.

    `variance` is (series, k), `item_mean` and `item_variance` (items, k) are of each item's average series; `weight` is
    the share of a series' own sales in each coefficient, 0 to 1, (series, k). `moved`, (series, k), and `item_moved`,
    (items,), say whose price or covariate moved enough to tell something. Baselines know no variance: NaN.
    """

    theta: Floats
    level: Floats
    scale: Floats
    variance: Floats
    item_mean: Floats
    item_variance: Floats
    weight: Floats
    moved: Mask
    item_moved: Mask

    def forecast(self, history: History) -> Floats:
        """Expected units of each row; NaN where the series sold nothing in training."""
        mean = self.level[history.series] + np.einsum("nk,nk->n", history.features, self.theta[history.series])
        return np.asarray(np.exp(np.clip(mean, -50, 50)) * self.scale[history.item])


def no_response(history: History) -> Learnt:
    """Every series sells its average whatever the price."""
    return _finish(history, np.zeros((len(history.keys), history.features.shape[1])), "count")


def pooled_ols(history: History) -> Learnt:
    """Least squares of logarithms with a level per series and one set of coefficients per item."""
    step, items = _Step.of(history, "log"), len(history.items)
    total = (_sums(values, history.item_of_series, items) for values in (step.bread, step.evidence))
    return _finish(history, _solve(*total)[history.item_of_series], "log")


def series_ols(history: History) -> Learnt:
    """Least squares of logarithms, each series for itself; the item's coefficients where its price never moved."""
    step = _Step.of(history, "log")
    moved = step.bread[:, 0, 0] > SMALL_MOVE
    theta = np.where(moved[:, None], _solve(step.bread, step.evidence), pooled_ols(history).theta)
    return _finish(history, theta, "log")


def shrunken(history: History, family: str) -> Learnt:
    """Coefficients of each series between its own and its item's, by how much its sales say."""
    steady, told = _steady(history), moved_series(history)
    item, scaled = history.item_of_series, replace(steady, features=steady.features / _spread(steady))
    k = history.features.shape[1]
    prior = Prior.start(
        np.r_[USUAL_ELASTICITY, np.zeros(k - 1)],
        np.r_[PRICE_VARIANCE, np.full(k - 1, COVARIATE_VARIANCE)],
        len(history.items),
    )
    theta = np.zeros((len(history.keys), k))
    for _ in range(NEWTON_STEPS if family == "count" else 1):
        step = _Step.of(scaled, family, theta)
        noise = step.noise(scaled)[item]
        evidence, precision = step.evidence / noise[:, None], step.bread / noise[:, None, None]
        found = _lent(shrink(evidence, precision, item, prior, EM_STEPS), evidence, precision, item, told)
        change, theta = float(np.abs(found.mean - theta).max()), found.mean
        if change < CONVERGED:
            break
    shared = _Step.of(scaled, family, theta).shared_variance(scaled, theta)
    spread = _spread(steady)
    moved = np.einsum("sii->si", step.bread) > SMALL_MOVE
    item_moved = np.bincount(item, moved[:, 0], len(history.items)) > 0
    moved[:, 0] &= told
    own = np.stack([found.own_weight(item, coefficient) for coefficient in range(k)], axis=1)
    return replace(
        _finish(steady, theta / spread, family),
        variance=(np.einsum("sii->si", found.covariance) + shared[item]) / spread**2,
        item_mean=found.prior.mean / spread,
        item_variance=(found.prior.mean_variance + shared) / spread**2,
        weight=np.where(moved, own, 0.0),
        moved=moved,
        item_moved=item_moved,
    )


def _steady(history: History) -> History:
    """The history with the prices of items that moved too little, or too rarely, held at their series' mean."""
    still = ~moved_items(history)[history.item]
    if not still.any():
        return history
    features, price = history.features.copy(), history.features[:, :1]
    features[still, 0] = _means(price, np.ones(len(price)), history.series)[still, 0]
    return replace(history, features=features)


def _lent(found: Posterior, evidence: Floats, precision: Floats, item: Ints, told: Mask) -> Posterior:
    """The posterior in which series whose own prices tell too little (not `told`) have their item's elasticity; what
    they add to the item's stays.
    """
    if told.all():
        return found
    known = found.prior.mean[item, :1] * ~told[:, None]
    evidence, precision = evidence - precision[:, :, 0] * known, precision.copy()
    evidence[~told, 0] = precision[~told, 0] = precision[~told, :, 0] = 0.0
    lent = shrink(evidence, precision, item, found.prior, 0)
    mean = np.where(told[:, None], found.mean, lent.mean)
    return Posterior(mean, np.where(told[:, None, None], found.covariance, lent.covariance), found.prior)


def prices_of_others(history: History, item_key: str) -> Floats | None:
    """Mean log price of the other items of a row's place and period, each less its series' mean; (rows,).

    A place is what the keys but the item name. Rows without others get the series' mean, 0; None where no row has any.
    """
    places = [name for name in history.keys.columns if name != item_key]
    place = history.keys.groupby(places, sort=False).ngroup().to_numpy()[history.series]
    code = np.unique(place * (int(history.period.max()) + 1) + history.period, return_inverse=True)[1]
    price = history.features[:, :1] - _means(history.features[:, :1], np.ones(len(code)), history.series)
    others = np.bincount(code)[code] - 1
    if not others.any():
        return None
    total = np.bincount(code, price[:, 0])[code] - price[:, 0]
    return np.where(others > 0, total / np.maximum(others, 1), 0.0)


def with_others(history: History, item_key: str | None) -> History | None:
    """The history with the prices of others as its last covariate; None where no row has any."""
    others = None if item_key is None else prices_of_others(_steady(history), item_key)
    if others is None:
        return None
    return replace(history, features=np.column_stack([history.features, others]), names=(*history.names, "others"))


def _spread(history: History) -> Floats:
    """Standard deviation of each covariate within its series, 1 where it never moves; the price keeps its unit."""
    within = history.features - _means(history.features, np.ones(len(history.units)), history.series)
    spread: Floats = np.sqrt(np.mean(within**2, axis=0))
    return np.r_[1.0, np.where(spread > LEAST_SPREAD, spread, 1.0)[1:]]


@dataclass(frozen=True)
class _Step:
    """A weighted linear problem with the levels of the series taken out: z = x . theta; rows of weight 0 say nothing.

    `bread` is X'WX, (series, k, k), `evidence` X'Wz, (series, k).
    """

    x: Floats
    z: Floats
    weight: Floats
    bread: Floats
    evidence: Floats

    @classmethod
    def of(cls, history: History, family: str, theta: Floats | None = None) -> "_Step":
        """The problem of a family; counts are linear only around coefficients `theta`."""
        z, weight = _logs(history) if family == "log" or theta is None else _linear(history, theta)
        x = history.features - _means(history.features, weight, history.series)
        z = z - _means(z[:, None], weight, history.series)[:, 0]
        groups = len(history.keys)
        evidence = _sums(x * (z * weight)[:, None], history.series, groups)
        return cls(x, z, weight, _products(x, weight, history.series, groups), evidence)

    def noise(self, history: History) -> Floats:
        """Error variance of each item, (items,); levels and coefficients cost degrees of freedom."""
        items, own = len(history.items), _solve(self.bread, self.evidence)
        residual = self.z - np.einsum("nk,nk->n", self.x, own[history.series])
        square = np.bincount(history.item, self.weight * residual**2, items)
        rows = np.bincount(history.item, self.weight > 0, items)
        moved = np.einsum("sii->si", self.bread) > SMALL_MOVE
        freedom = rows - np.bincount(history.item_of_series, 1 + moved.sum(axis=1), items)
        return np.asarray(np.maximum(square, SMALL_MOVE) / np.maximum(freedom, 1.0), dtype=np.float64)

    def shared_variance(self, history: History, theta: Floats) -> Floats:
        """Variance of each item's coefficients (items, k): errors are shared by its series and last over periods."""
        items, periods, k = len(history.items), int(history.period.max()) + 1, self.x.shape[1]
        residual = (self.z - np.einsum("nk,nk->n", self.x, theta[history.series])) * self.weight
        score = _sums(self.x * residual[:, None], history.item * periods + history.period, items * periods)
        score = score.reshape(items, periods, k)
        lags = min(int(4 * (periods / 100) ** (2 / 9)), periods - 1)
        meat = np.einsum("bti,btj->bij", score, score)
        for lag in range(1, lags + 1):
            product = np.einsum("bti,btj->bij", score[:, lag:], score[:, :-lag]) * (1 - lag / (lags + 1))
            meat += product + product.transpose(0, 2, 1)
        bread = _sums(self.bread, history.item_of_series, items)
        inverse = np.linalg.pinv(bread, hermitian=True)
        variance = np.einsum("bki,bij,bkj->bk", inverse, meat, inverse)
        return np.where(np.einsum("bii->bi", bread) > SMALL_MOVE, np.maximum(variance, 0.0), 0.0)


def _logs(history: History) -> tuple[Floats, Floats]:
    sold = history.units > 0
    return np.log(np.where(sold, history.units, 1.0)), sold.astype(np.float64)


def _linear(history: History, theta: Floats) -> tuple[Floats, Floats]:
    """Working response and weights of counts around `theta` (McCullagh, Nelder 1989), negative binomial by item."""
    mean = np.maximum(np.nan_to_num(_finish(history, theta, "count").forecast(history)), 1e-12)
    items = len(history.items)
    excess = np.bincount(history.item, (history.units - mean) ** 2 - mean, items)
    alpha = np.clip(excess / np.maximum(np.bincount(history.item, mean**2, items), 1e-9), 0.0, 10.0)
    return np.log(mean) + (history.units - mean) / mean, mean / (1 + alpha[history.item] * mean)


def _finish(history: History, theta: Floats, family: str) -> Learnt:
    """Levels of the series for given coefficients, and the factor that lets totals meet."""
    response = np.einsum("nk,nk->n", history.features, theta[history.series])
    groups, items = len(history.keys), len(history.items)
    with np.errstate(divide="ignore", invalid="ignore"):
        if family == "log":
            sold = history.units > 0
            gap = np.where(sold, np.log(np.where(sold, history.units, 1.0)) - response, 0.0)
            level = np.bincount(history.series, gap, groups) / np.bincount(history.series, sold, groups)
        else:
            expected = np.bincount(history.series, np.exp(np.clip(response, -50, 50)), groups)
            total = np.bincount(history.series, history.units, groups)
            level = np.where(total > 0, np.log(total / expected), np.nan)
    nothing, nothing_of_items = np.full(theta.shape, np.nan), np.full((items, theta.shape[1]), np.nan)
    still, still_items = np.zeros(theta.shape, dtype=bool), np.zeros(items, dtype=bool)
    known = (nothing, nothing_of_items, nothing_of_items, nothing, still, still_items)
    plain = Learnt(theta, level, np.ones(items), *known)
    mean = np.nan_to_num(plain.forecast(history))
    predicted = np.bincount(history.item, mean, items)
    sales = np.bincount(history.item, history.units, items)
    scale = np.divide(sales, predicted, out=np.ones(items), where=predicted > 0)
    return replace(plain, scale=scale)


def _means(values: Floats, weight: Floats, codes: Ints) -> Floats:
    total = np.maximum(np.bincount(codes, weight), 1e-12)
    columns = [(np.bincount(codes, values[:, i] * weight) / total)[codes] for i in range(values.shape[1])]
    return np.column_stack(columns)


def _sums(values: Floats, codes: Ints, groups: int) -> Floats:
    flat = values.reshape(len(values), -1)
    total = np.column_stack([np.bincount(codes, flat[:, i], groups) for i in range(flat.shape[1])])
    return total.reshape(groups, *values.shape[1:]).astype(np.float64, copy=False)


def _products(x: Floats, weight: Floats, codes: Ints, groups: int) -> Floats:
    """X'WX of each group, (groups, k, k)."""
    k = x.shape[1]
    pairs = [np.bincount(codes, x[:, i] * x[:, j] * weight, groups) for i in range(k) for j in range(k)]
    return np.stack(pairs, axis=-1).reshape(groups, k, k).astype(np.float64, copy=False)


def _solve(bread: Floats, evidence: Floats) -> Floats:
    """Least squares of each group; what cannot be told apart gets the smallest coefficients."""
    inverse = np.linalg.pinv(bread, rcond=1e-10, hermitian=True)
    solved: Floats = np.einsum("sij,sj->si", inverse, evidence)
    return solved
