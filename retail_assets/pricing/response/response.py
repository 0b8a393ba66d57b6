"""Demand response: a hierarchical Poisson regression fitted without a loop over SKUs.

    units ~ exposure * exp(level of store-SKU + season of category, country and week + store in that week
                           + theta_sku . (log price, promotion, years, log competitor price))

Levels and seasons are found by iterative proportional fitting, the coefficients of all SKUs by one Newton step each,
shrunken to their category (`shrinkage`), in turn until nothing moves. Poisson pseudo-likelihood needs no logarithm of
zero (Santos Silva, Tenreyro 2006); demand that a stock-out hid is filled in by its expectation; working weights allow
for noise that grows with the mean (negative binomial), and a stock-out's day says only what it is known to say.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from retail_assets.pricing.config import ResponseConfig
from retail_assets.pricing.response.shrinkage import Posterior, Prior, shrink
from retail_assets.pricing.response.training_frames import ResponseFrame

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

START_MEAN = np.array([-1.5, 0.2, 0.0, 0.1])
USUAL_VARIANCE = np.array([0.25, 0.04, 0.09, 0.04])
LARGEST_STEP = 0.5
SEASON_RIDGE = 0.1
STORE_WEEK_RIDGE = 20.0
SWEEPS = 3
LEVEL_ROUNDS = 5
FINAL_EM_STEPS = 30
BLOCK_WEEKS = 4
LEAST_WEIGHT = 0.02


@dataclass(frozen=True)
class Fit:
    """A fitted response: coefficients per SKU and what the effects of the training rows were (logarithms).

    `score` and `information` are what each series says of its own elasticity apart from its SKU's, shapes (series,).
    """

    posterior: Posterior
    precision: Floats
    score: Floats
    information: Floats
    level: Floats
    season: Floats
    store_week: Floats
    noise: Floats
    rounds: int


def fit(frame: ResponseFrame, config: ResponseConfig) -> Fit:
    """Fits the regression; deterministic in its inputs."""
    prior = Prior.start(START_MEAN, USUAL_VARIANCE, len(frame.categories))
    theta = np.tile(START_MEAN, (len(frame.skus), 1))
    sold, hidden, state = frame.units, np.flatnonzero(frame.censored), _Effects.zero(frame)
    frame = replace(frame, units=sold.copy())
    for rounds in range(1, config.iterations + 1):  # noqa: B007
        state.balance(frame, np.einsum("nk,nk->n", frame.features, theta[frame.sku_code]))
        mean = state.mean
        frame.units[hidden] = uncensored(sold[hidden], mean[hidden])
        noise = _noise(frame, mean)
        unseen = hidden_variance(sold[hidden], mean[hidden])
        working = _Working.at(frame, mean, noise, hidden, unseen)
        gradient, information, dispersion = _newton(frame, working)
        evidence = gradient + np.einsum("sij,sj->si", information, theta)
        posterior = shrink(evidence, information, frame.category_of_sku, prior, steps=3)
        prior = posterior.prior
        change = np.clip(posterior.mean - theta, -LARGEST_STEP, LARGEST_STEP)
        theta = theta + change
        if np.abs(change[:, 0]).max() < config.tolerance:
            break
    posterior = shrink(evidence, information, frame.category_of_sku, prior, FINAL_EM_STEPS)
    score, own = _of_series(frame, working, information, dispersion)
    return Fit(
        posterior=posterior,
        precision=information,
        score=score,
        information=own,
        level=state.level,
        season=state.season,
        store_week=state.store_week,
        noise=noise,
        rounds=rounds,
    )


def uncensored(sold: Floats, mean: Floats) -> Floats:
    """Expected demand of days that sold out: E[D | D >= sold] of a Poisson D, shapes (n,), `sold` at least 1.

    E[D; D >= s] = mean * P(D >= s - 1). Far out, where both probabilities vanish, the excess is the sum of a geometric
    series; it is never above `mean`, as the Poisson is log-concave.
    """
    from scipy.special import gammainc

    at_least = gammainc(sold, mean)
    one_less = np.where(sold > 1, gammainc(np.maximum(sold - 1, 1), mean), 1.0)
    far_out = sold + mean / np.maximum(sold + 1 - mean, 1.0)
    expected = np.divide(mean * one_less, at_least, where=at_least > 1e-9, out=far_out)
    return np.clip(expected, sold, sold + mean)


def hidden_variance(sold: Floats, mean: Floats) -> Floats:
    """Variance of a Poisson D where D >= sold is all that is known, shapes (n,), between 0 and `mean`.

    E[D (D - 1); D >= s] = mean^2 * P(D >= s - 2). Far out, where the probabilities vanish, nearly nothing is left.
    """
    from scipy.special import gammainc

    at_least = gammainc(sold, mean)
    two_less = np.where(sold > 2, gammainc(np.maximum(sold - 2, 1), mean), 1.0)
    known = at_least > 1e-9
    expected = uncensored(sold, mean)
    square = np.divide(mean**2 * two_less, at_least, where=known, out=np.zeros_like(mean))
    return np.where(known, np.clip(square + expected - expected**2, 0.0, mean), 0.0)


def effects(frame: ResponseFrame, theta: Floats) -> tuple[Floats, Floats]:
    """Logarithmic levels of the store-SKUs and of the seasons given coefficients `theta` (series, k)."""
    found = _Effects.zero(frame)
    response = np.clip(np.einsum("nk,nk->n", frame.features, theta[frame.series_code]), -10.0, 10.0)
    for _ in range(LEVEL_ROUNDS):
        found.balance(frame, response)
    return found.level, found.season


class _Effects:
    """Multiplicative effects of series, seasons and store-weeks, and the mean they give."""

    def __init__(self, level: Floats, season: Floats, store_week: Floats) -> None:
        self.level, self.season, self.store_week = level, season, store_week
        self.mean = np.empty(0)

    @classmethod
    def zero(cls, frame: ResponseFrame) -> "_Effects":
        groups = (len(frame.sku_of_series), len(frame.seasons.week), frame.store_week_code.max() + 1)
        return cls(*(np.zeros(n) for n in groups))

    def balance(self, frame: ResponseFrame, response: Floats) -> None:
        """Iterative proportional fitting: each factor's totals meet the units sold, in turn."""
        mean = frame.exposure * np.exp(response + self.level[frame.series_code])
        mean *= np.exp(self.season[frame.season_code] + self.store_week[frame.store_week_code])
        for _ in range(SWEEPS):
            self.season += _balance(frame.units, mean, frame.season_code, self.season, SEASON_RIDGE)
            self.store_week += _balance(frame.units, mean, frame.store_week_code, self.store_week, STORE_WEEK_RIDGE)
            self.level += _balance(frame.units, mean, frame.series_code, self.level, 0.0)
        self.mean = mean


def _balance(units: Floats, mean: Floats, codes: Ints, effect: Floats, ridge: float) -> Floats:
    """The change of a factor's effects; `mean` is updated in place. `ridge` pseudo-units pull an effect to zero."""
    sold, expected = np.bincount(codes, units, len(effect)), np.bincount(codes, mean, len(effect))
    change: Floats = np.log(np.maximum(sold + ridge, 1e-3) / np.maximum(expected + ridge * np.exp(effect), 1e-3))
    mean *= np.exp(change)[codes]
    return change


def _noise(frame: ResponseFrame, mean: Floats) -> Floats:
    """Variance beyond Poisson per category: alpha in var = mean + alpha * mean^2, by moments; at least 0."""
    category = frame.category_of_sku[frame.sku_code]
    groups = len(frame.categories)
    excess = np.bincount(category, (frame.units - mean) ** 2 - mean, groups)
    scale = np.bincount(category, mean**2, groups)
    alpha: Floats = np.clip(excess / np.maximum(scale, 1e-9), 0.0, 10.0)
    return alpha


@dataclass(frozen=True)
class _Working:
    """The linear problem around a mean: features less their series' mean, residuals and weights of the rows."""

    centred: Floats
    residual: Floats
    weight: Floats

    @classmethod
    def at(cls, frame: ResponseFrame, mean: Floats, noise: Floats, hidden: Ints, unseen: Floats) -> "_Working":
        """Negative binomial weights at `mean`.

        Rows `hidden` that a stock-out cut off say less by the variance `unseen` (missing information; Louis 1982).
        """
        quality = 1.0 / (1.0 + noise[frame.category_of_sku[frame.sku_code]] * mean)
        weight = mean.copy()
        weight[hidden] = np.maximum(weight[hidden] - unseen, LEAST_WEIGHT * weight[hidden])
        weight *= quality
        centred = frame.features - _weighted_means(frame.features, weight, frame.series_code)
        return cls(centred, (frame.units - mean) * quality, weight)


def _newton(frame: ResponseFrame, working: _Working) -> tuple[Floats, Floats, Floats]:
    """Score (skus, k) and information (skus, k, k) of each SKU's coefficients, and its dispersion (skus,).

    Series and seasons are projected out, the dispersion divided out.
    """
    skus, k, centred, weight = len(frame.skus), frame.features.shape[1], working.centred, working.weight
    gradient = np.column_stack([np.bincount(frame.sku_code, centred[:, i] * working.residual, skus) for i in range(k)])
    information = np.empty((skus, k, k))
    lost = _lost_to_seasons(frame, centred, weight)
    for i in range(k):
        for j in range(i + 1):
            value = np.bincount(frame.sku_code, centred[:, i] * centred[:, j] * weight, skus) - lost[:, i, j]
            information[:, i, j] = information[:, j, i] = value
    dispersion = _dispersion(frame, working, information)[frame.category_of_sku]
    return gradient / dispersion[:, None], information / dispersion[:, None, None], dispersion


def _price_alone(frame: ResponseFrame, working: _Working, information: Floats) -> Floats:
    """Log price of each row less what the SKU's other features say of it."""
    along = np.einsum("sij,sj->si", _inverse(information[:, 1:, 1:]), information[:, 1:, 0])
    return working.centred[:, 0] - np.einsum("nk,nk->n", working.centred[:, 1:], along[frame.sku_code])


def _inverse(matrices: Floats) -> Floats:
    return np.linalg.pinv(matrices, rcond=1e-8, hermitian=True).astype(np.float64, copy=False)


def _of_series(
    frame: ResponseFrame, working: _Working, information: Floats, dispersion: Floats
) -> tuple[Floats, Floats]:
    """Score and information of each series' elasticity, its other coefficients as its SKU's; scores of a SKU sum to 0.

    What all series of a SKU say together is in the SKU's own coefficient, so that only their differences are left.
    """
    price = _price_alone(frame, working, information)
    series, sku = len(frame.sku_of_series), frame.sku_of_series
    score = np.bincount(frame.series_code, price * working.residual, series) / dispersion[sku]
    known = np.bincount(frame.series_code, price**2 * working.weight, series) / dispersion[sku]
    sums = [np.bincount(sku, values, len(frame.skus)) for values in (score, known)]
    return score - known * (sums[0] / np.maximum(sums[1], 1e-12))[sku], known


def _lost_to_seasons(frame: ResponseFrame, centred: Floats, weight: Floats) -> Floats:
    """Information that a SKU shares with its season groups and that therefore says nothing about the SKU alone."""
    seasons = int(frame.season_code.max()) + 1
    total = np.bincount(frame.season_code, weight, seasons) + SEASON_RIDGE
    cells, code = np.unique(frame.sku_code * seasons + frame.season_code, return_inverse=True)
    k = centred.shape[1]
    moved = np.column_stack([np.bincount(code, centred[:, i] * weight, len(cells)) for i in range(k)])
    sku, share = cells // seasons, 1.0 / total[cells % seasons]
    lost = np.empty((len(frame.skus), k, k))
    for i in range(k):
        for j in range(k):
            lost[:, i, j] = np.bincount(sku, moved[:, i] * moved[:, j] * share, len(frame.skus))
    return lost


def _dispersion(frame: ResponseFrame, working: _Working, information: Floats) -> Floats:
    """How much more the scores of elasticities scatter than rows alone would explain, per category, at least 1.

    What moves a SKU in all stores of a cluster, or over some weeks, is one accident and not many: scores are summed
    over BLOCK_WEEKS of a SKU and cluster before they are squared (clustered errors; Liang, Zeger 1986).
    """
    store = frame.store_of_series[frame.series_code]
    block = (frame.week - frame.week.min()).astype(np.int64) // (7 * BLOCK_WEEKS)
    place = frame.sku_code * len(frame.clusters) + frame.cluster_of_store[store]
    cells, code = np.unique(place * (block.max() + 1) + block, return_inverse=True)
    score = np.bincount(code, _price_alone(frame, working, information) * working.residual, len(cells))
    category = frame.category_of_sku[cells // (block.max() + 1) // len(frame.clusters)]
    groups = len(frame.categories)
    count, skus = (np.bincount(c, minlength=groups) for c in (category, frame.category_of_sku))
    square = np.bincount(category, score**2, groups) * count / np.maximum(count - skus, 1)
    explained = np.einsum(
        "si,sij,sj->s", information[:, 0, 1:], _inverse(information[:, 1:, 1:]), information[:, 1:, 0]
    )
    expected = np.bincount(frame.category_of_sku, information[:, 0, 0] - explained, groups)
    dispersion: Floats = np.maximum(square / np.maximum(expected, 1e-9), 1.0)
    return dispersion


def _weighted_means(features: Floats, weight: Floats, codes: Ints) -> Floats:
    total = np.maximum(np.bincount(codes, weight), 1e-12)
    columns = [(np.bincount(codes, features[:, i] * weight) / total)[codes] for i in range(features.shape[1])]
    return np.column_stack(columns)
