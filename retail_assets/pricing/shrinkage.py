"""Empirical Bayes for many small regressions: coefficients of each SKU drawn from their category's distribution.

    theta_s ~ N(m_c, diag T_c),  m_c ~ N(m_0, diag B);   log likelihood of s = e_s . theta_s - theta_s . P_s theta_s / 2

The distributions are estimated from all SKUs at once by expectation maximisation (Dempster, Laird, Rubin 1977, section
4.5). A SKU whose prices never moved has no information P_s and gets its category's mean.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PRIOR_SKUS = 5.0  # a category's own spread counts against this many SKUs of the chain's average
USUAL_SKUS = 10.0  # ... and the chain's against this many SKUs of the usual spread (an inverse gamma prior)
LEAST_VARIANCE = 1e-4


@dataclass(frozen=True)
class Prior:
    """Mean and variance of the coefficients in each category, shapes (categories, k), and over categories, (k,)."""

    mean: Floats
    variance: Floats
    mean_variance: Floats
    chain_mean: Floats
    chain_variance: Floats
    usual_variance: Floats

    @classmethod
    def start(cls, mean: Floats, variance: Floats, categories: int) -> "Prior":
        """The same distribution for every category; `mean` and the usual `variance` have shape (k,)."""
        wide = np.tile(variance, (categories, 1))
        return cls(np.tile(mean, (categories, 1)), wide, wide.copy(), mean.copy(), variance.copy(), variance.copy())


@dataclass(frozen=True)
class Posterior:
    """Coefficients (skus, k), their covariance (skus, k, k) and the prior they were drawn to."""

    mean: Floats
    covariance: Floats
    prior: Prior


def shrink(evidence: Floats, precision: Floats, category: Ints, prior: Prior, steps: int) -> Posterior:
    """`steps` of expectation maximisation from `prior`, then the posterior of each SKU.

    `evidence` e is (skus, k), `precision` P (skus, k, k) positive semi-definite, singular where coefficients cannot be
    told apart (their sum then follows the data and their difference the category); `category` is (skus,).
    """
    for _ in range(steps):
        mean, covariance = _posterior(evidence, precision, category, prior)
        prior = _maximise(mean, covariance, category, prior)
    mean, covariance = _posterior(evidence, precision, category, prior)
    return Posterior(mean, covariance, prior)


def _posterior(evidence: Floats, precision: Floats, category: Ints, prior: Prior) -> tuple[Floats, Floats]:
    inverse = 1.0 / prior.variance[category]
    total = precision.copy()
    diagonal = np.arange(evidence.shape[1])
    total[:, diagonal, diagonal] += inverse
    covariance = np.linalg.inv(total).astype(np.float64, copy=False)
    return np.einsum("sij,sj->si", covariance, evidence + inverse * prior.mean[category]), covariance


def _maximise(mean: Floats, covariance: Floats, category: Ints, prior: Prior) -> Prior:
    categories = len(prior.mean)
    count = np.bincount(category, minlength=categories).astype(float)[:, None]
    average = _sums(mean, category, categories) / np.maximum(count, 1.0)
    within = prior.variance / np.maximum(count, 1.0)
    weight = np.where(count > 0, prior.chain_variance / (prior.chain_variance + within), 0.0)
    centre = weight * average + (1 - weight) * prior.chain_mean
    centre_variance = np.where(count > 0, weight * within, prior.chain_variance)
    spread = np.einsum("sii->si", covariance) + (mean - centre[category]) ** 2
    chain_spread = (spread.sum(axis=0) + USUAL_SKUS * prior.usual_variance) / (len(spread) + USUAL_SKUS)
    variance = (_sums(spread, category, categories) + PRIOR_SKUS * chain_spread) / (count + PRIOR_SKUS)
    seen = count[:, 0] > 0
    chain_mean = centre[seen].mean(axis=0)
    chain_variance = ((centre[seen] - chain_mean) ** 2 + centre_variance[seen]).mean(axis=0)
    return Prior(
        mean=centre,
        variance=np.maximum(variance, LEAST_VARIANCE),
        mean_variance=centre_variance,
        chain_mean=chain_mean,
        chain_variance=np.maximum(chain_variance, LEAST_VARIANCE),
        usual_variance=prior.usual_variance,
    )


def _sums(values: Floats, codes: Ints, groups: int) -> Floats:
    return np.column_stack([np.bincount(codes, values[:, k], minlength=groups) for k in range(values.shape[1])])


def truncate(mean: Floats, deviation: Floats, ceiling: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean, standard deviation, 2.5 % and 97.5 % quantile of normals cut off above `ceiling`; shapes (n,).

    Moments as in Johnson, Kotz, Balakrishnan (1994), chapter 13. Every result is below the ceiling.
    """
    from scipy.special import log_ndtr, ndtr, ndtri

    deviation = np.maximum(deviation, 1e-9)
    edge = np.clip((ceiling - mean) / deviation, -30.0, 30.0)
    ratio = np.exp(-0.5 * edge**2 - 0.5 * np.log(2 * np.pi) - log_ndtr(edge))
    centre = np.minimum(mean - deviation * ratio, ceiling)
    spread = deviation * np.sqrt(np.maximum(1 - edge * ratio - ratio**2, 1e-9))
    mass = np.maximum(ndtr(edge), 1e-290)
    low, high = (np.minimum(mean + deviation * ndtri(mass * q), ceiling) for q in (0.025, 0.975))
    return centre, spread, low, high
