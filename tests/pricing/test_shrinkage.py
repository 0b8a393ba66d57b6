"""Shrinkage decides how much a SKU's own noise may move its price: at both ends, and where nothing is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import truncnorm

from retail_assets.pricing.response.shrinkage import Prior, shrink, truncate

MEAN, VARIANCE = np.array([-1.5, 0.2]), np.array([0.25, 0.04])
CATEGORY = np.repeat([0, 1], 20)


def posterior(precision: float, truth: np.ndarray, steps: int = 40):
    """Shrinks forty SKUs of two categories whose data say `truth` with this precision."""
    own = np.tile(np.eye(2) * precision, (40, 1, 1))
    evidence = np.einsum("sij,sj->si", own, truth)
    return shrink(evidence, own, CATEGORY, Prior.start(MEAN, VARIANCE, 2), steps)


@pytest.fixture
def truth() -> np.ndarray:
    rng = np.random.default_rng(4)
    means = np.array([[-1.0, 0.1], [-3.0, 0.4]])[CATEGORY]
    return means + rng.normal(0, [0.3, 0.1], (40, 2))


def test_much_data_speaks_for_itself(truth: np.ndarray) -> None:
    assert np.abs(posterior(1e6, truth).mean - truth).max() < 1e-3


def test_no_data_gives_the_prior(truth: np.ndarray) -> None:
    found = posterior(0.0, truth)
    assert np.allclose(found.mean, MEAN, atol=1e-6)
    unknown = found.prior.variance[0] + found.prior.mean_variance[0]
    assert np.allclose(np.einsum("sii->si", found.covariance), unknown)
    assert np.allclose(found.prior.variance[:, 0], 0.25, atol=0.1)


def test_categories_are_told_apart_and_errors_shrink(truth: np.ndarray) -> None:
    rng = np.random.default_rng(5)
    noisy = truth + rng.normal(0, 0.5, truth.shape)
    found = posterior(1 / 0.5**2, noisy)
    raw, shrunken = (np.sqrt(np.mean((x[:, 0] - truth[:, 0]) ** 2)) for x in (noisy, found.mean))
    assert shrunken < 0.75 * raw
    assert abs(found.prior.mean[0, 0] + 1.0) < 0.35
    assert abs(found.prior.mean[1, 0] + 3.0) < 0.35


def test_a_sku_without_information_gets_its_category(truth: np.ndarray) -> None:
    own = np.tile(np.eye(2) * 100.0, (40, 1, 1))
    own[7] = 0.0
    evidence = np.einsum("sij,sj->si", own, truth)
    found = shrink(evidence, own, CATEGORY, Prior.start(MEAN, VARIANCE, 2), 30)
    assert np.allclose(found.mean[7], found.prior.mean[0])
    assert found.covariance[7, 0, 0] == pytest.approx(found.prior.variance[0, 0] + found.prior.mean_variance[0, 0])


def test_centres_of_categories_that_say_little_are_found_all_the_same(truth: np.ndarray) -> None:
    rng = np.random.default_rng(6)
    found = posterior(1.0, truth + rng.normal(0, 1.0, truth.shape), steps=20)
    assert abs(found.prior.mean[0, 0] + 1.0) < 0.6
    assert abs(found.prior.mean[1, 0] + 3.0) < 0.6


def test_intervals_cover_what_was_drawn_even_where_categories_are_small() -> None:
    rng = np.random.default_rng(8)
    inside = []
    for _ in range(60):
        category = np.repeat(np.arange(8), 6)
        means = np.column_stack([rng.normal(-2, 0.4, 8), rng.normal(0.3, 0.1, 8)])[category]
        planted = means + rng.normal(0, [0.3, 0.1], means.shape)
        error = rng.uniform(0.15, 0.8, (48, 1)) * np.ones(2)
        own = np.einsum("si,ij->sij", 1 / error**2, np.eye(2))
        said = planted + rng.normal(0, error)
        found = shrink(np.einsum("sij,sj->si", own, said), own, category, Prior.start(MEAN, VARIANCE, 8), 60)
        inside.append(np.abs(found.mean - planted)[:, 0] < 1.96 * np.sqrt(found.covariance[:, 0, 0]))
    assert 0.93 < np.mean(inside) < 0.97


@given(
    own=st.lists(st.floats(-6, 0), min_size=2, max_size=20),
    precision=st.lists(st.floats(0, 400), min_size=20, max_size=20),
    groups=st.integers(1, 3),
)
def test_an_estimate_lies_between_its_own_and_its_categorys(own: list[float], precision: list[float], groups: int):
    said, known = np.array(own)[:, None], np.array(precision[: len(own)])[:, None, None]
    category = np.arange(len(own)) % groups
    prior = Prior.start(MEAN[:1], VARIANCE[:1], groups)
    found = shrink(known[:, 0] * said, known, category, prior, 15)
    centre = found.prior.mean[category]
    assert (found.mean >= np.minimum(said, centre) - 1e-9).all()
    assert (found.mean <= np.maximum(said, centre) + 1e-9).all()
    assert (found.covariance > 0).all()


def test_what_cannot_be_told_apart_is_shared_by_the_prior() -> None:
    both = np.tile(np.ones((2, 2)) * 100.0, (40, 1, 1))  # only the sum of the two coefficients is seen
    evidence = np.full((40, 2), 100.0 * -1.0)
    found = shrink(evidence, both, CATEGORY, Prior.start(MEAN, VARIANCE, 2), 0)
    assert np.allclose(found.mean.sum(axis=1), -1.0, atol=0.05)
    assert np.isfinite(found.covariance).all()


@pytest.mark.parametrize(("mean", "deviation"), [(-2.0, 0.3), (-0.2, 0.5), (0.5, 0.4), (-0.1, 2.0)])
def test_truncation_agrees_with_scipy(mean: float, deviation: float) -> None:
    expected = truncnorm(-np.inf, (-0.1 - mean) / deviation, loc=mean, scale=deviation)
    centre, spread, low, high = (x[0] for x in truncate(np.array([mean]), np.array([deviation]), -0.1))
    assert centre == pytest.approx(expected.mean(), rel=1e-6)
    assert spread == pytest.approx(expected.std(), rel=1e-5)
    assert (low, high) == pytest.approx(tuple(expected.ppf([0.025, 0.975])), rel=1e-6)


def test_truncation_holds_far_out() -> None:
    centre, spread, low, high = truncate(np.array([9.0, -40.0]), np.array([0.1, 0.0]), -0.1)
    assert (centre <= -0.1).all()
    assert (low <= centre).all()
    assert (high <= -0.1).all()
    assert np.isfinite(spread).all()
