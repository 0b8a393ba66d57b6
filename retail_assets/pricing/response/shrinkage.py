"""Empirical Bayes for many small regressions: coefficients of each SKU drawn from their category's distribution.

    theta_s ~ N(m_c, diag T_c),  m_c ~ N(m_0, diag B);   log likelihood of s = e_s . theta_s - theta_s . P_s theta_s / 2

The spreads T_c and B are estimated from all SKUs at once by expectation maximisation (Dempster, Laird, Rubin 1977,
section 4.5), the centres m_c by generalised least squares. Posteriors carry the uncertainty of both, the spreads' to
first order (Kass, Steffey 1989). A SKU whose prices never moved has no information P_s and gets its category's
distribution.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PRIOR_SKUS = 5.0  # a category's own spread counts against this many SKUs of the chain's average
USUAL_SKUS = 10.0  # ... and the chain's against this many SKUs of the usual spread (an inverse gamma prior)
USUAL_CATEGORIES = 1.0  # ... and the spread of categories against this many of half the usual deviation
LEAST_VARIANCE = 1e-4


@dataclass(frozen=True)
class Prior:
    """Mean and variance of the coefficients in each category, shapes (categories, k), and over categories, (k,).

    `mean_covariance` is that of the categories' means, (categories, k, k): what is not known of them.
    """

    mean: Floats
    variance: Floats
    mean_covariance: Floats
    chain_mean: Floats
    chain_variance: Floats
    usual_variance: Floats

    @classmethod
    def start(cls, mean: Floats, variance: Floats, categories: int) -> "Prior":
        """The same distribution for every category; `mean` and the usual `variance` have shape (k,)."""
        wide = np.tile(variance, (categories, 1))
        unknown = np.tile(np.diag(variance), (categories, 1, 1))
        return cls(np.tile(mean, (categories, 1)), wide, unknown, mean.copy(), variance.copy(), variance.copy())

    @property
    def mean_variance(self) -> Floats:
        """Variance of each category's mean, (categories, k)."""
        return np.einsum("cii->ci", self.mean_covariance)


@dataclass(frozen=True)
class Posterior:
    """Coefficients (skus, k), their covariance (skus, k, k) and the prior they were drawn to."""

    mean: Floats
    covariance: Floats
    prior: Prior

    def own_weight(self, category: Ints, coefficient: int) -> Floats:
        """How much of what was not known of a coefficient before a SKU's own sales they tell, 0 to 1, (skus,)."""
        before = (self.prior.variance + self.prior.mean_variance)[category, coefficient]
        return np.clip(1 - self.covariance[:, coefficient, coefficient] / before, 0.0, 1.0)


def shrink(evidence: Floats, precision: Floats, category: Ints, prior: Prior, steps: int) -> Posterior:
    """`steps` of expectation maximisation from `prior`, then the posterior of each SKU.

    `evidence` e is (skus, k), `precision` P (skus, k, k) positive semi-definite, singular where coefficients cannot be
    told apart (their sum then follows the data and their difference the category); `category` is (skus,).
    """
    for _ in range(steps):
        prior = _maximise(evidence, precision, category, prior)
    own = _own_covariance(precision, category, prior)
    lent = own / prior.variance[category][:, None, :]  # how far a SKU follows its category's mean
    mean = np.einsum("sij,sj->si", own, evidence) + np.einsum("sij,sj->si", lent, prior.mean[category])
    covariance = own + np.einsum("sij,sjk,slk->sil", lent, prior.mean_covariance[category], lent)
    moves = lent * ((mean - prior.mean[category]) / prior.variance[category])[:, None, :]  # with each spread
    unsure = _spread_variance(precision, own, category, prior)[category]
    return Posterior(mean, covariance + np.einsum("sij,sj,slj->sil", moves, unsure, moves), prior)


def _spread_variance(precision: Floats, own: Floats, category: Ints, prior: Prior) -> Floats:
    """Variance of each estimated T, (categories, k): the inverse of its Fisher information, the prior's included."""
    k = precision.shape[1]
    kept = np.einsum("sij,sji->si", np.eye(k) - np.einsum("sij,sjk->sik", precision, own), precision)
    information = _sums(kept**2, category, len(prior.mean)) + PRIOR_SKUS / prior.variance**2
    return 2.0 / information


def _own_covariance(precision: Floats, category: Ints, prior: Prior) -> Floats:
    """Covariance of each SKU's coefficients where its category's mean were known, (skus, k, k)."""
    total = precision.copy()
    diagonal = np.arange(precision.shape[1])
    total[:, diagonal, diagonal] += 1.0 / prior.variance[category]
    return np.linalg.inv(total).astype(np.float64, copy=False)


def _maximise(evidence: Floats, precision: Floats, category: Ints, prior: Prior) -> Prior:
    categories, k = prior.mean.shape
    own = _own_covariance(precision, category, prior)
    kept = np.eye(k) - np.einsum("sij,sjk->sik", precision, own)  # (P^-1 + T)^-1 = (1 - P C) P
    information = _sums(np.einsum("sij,sjk->sik", kept, precision), category, categories)
    said = _sums(np.einsum("sij,sj->si", kept, evidence), category, categories)
    between = np.eye(k) / prior.chain_variance
    centre_covariance = np.linalg.inv(information + between).astype(np.float64, copy=False)
    centre = np.einsum("cij,cj->ci", centre_covariance, said + prior.chain_mean / prior.chain_variance)
    away = np.einsum("sij,sj->si", own, evidence - np.einsum("sij,sj->si", precision, centre[category]))
    pull = np.einsum("sij,sjk->sik", own, precision)
    unsure = np.einsum("sij,sjk,sik->si", pull, centre_covariance[category], pull)
    spread = np.einsum("sii->si", own) + unsure + away**2
    count = np.bincount(category, minlength=categories).astype(float)[:, None]
    chain_spread = (spread.sum(axis=0) + USUAL_SKUS * prior.usual_variance) / (len(spread) + USUAL_SKUS)
    variance = (_sums(spread, category, categories) + PRIOR_SKUS * chain_spread) / (count + PRIOR_SKUS)
    seen = count[:, 0] > 0
    chain_mean = centre[seen].mean(axis=0)
    apart = (centre[seen] - chain_mean) ** 2 + np.einsum("cii->ci", centre_covariance[seen])
    usual = USUAL_CATEGORIES * prior.usual_variance / 4
    return Prior(
        mean=centre,
        variance=np.maximum(variance, LEAST_VARIANCE),
        mean_covariance=centre_covariance,
        chain_mean=chain_mean,
        chain_variance=np.maximum((apart.sum(axis=0) + usual) / (len(apart) + USUAL_CATEGORIES), LEAST_VARIANCE),
        usual_variance=prior.usual_variance,
    )


def _sums(values: Floats, codes: Ints, groups: int) -> Floats:
    flat = values.reshape(len(values), -1)
    total = np.column_stack([np.bincount(codes, flat[:, i], minlength=groups) for i in range(flat.shape[1])])
    return total.reshape(groups, *values.shape[1:]).astype(np.float64, copy=False)


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
