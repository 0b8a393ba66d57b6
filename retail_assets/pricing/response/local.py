"""How a store's shoppers answer differently: the elasticity of a store-SKU apart from its SKU's, shrunken to nothing.

    elasticity of store-SKU = elasticity of SKU + d,   d ~ N(mean of the cluster of stores in the category, spread)

A chain that prices nationally sees little of these differences; where they do not predict held-back weeks better, the
SKU's elasticity stands for every store (`evaluation`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retail_assets.pricing.response.response import Fit
from retail_assets.pricing.response.shrinkage import Prior, shrink
from retail_assets.pricing.response.training_frames import ResponseFrame

Floats = npt.NDArray[np.float64]

USUAL_DIFFERENCE = np.array([0.01])
EM_STEPS = 40


@dataclass(frozen=True)
class Differences:
    """Difference of each series' elasticity from its SKU's, with its variance, shapes (series,)."""

    mean: Floats
    variance: Floats


def differences(frame: ResponseFrame, fit: Fit) -> Differences:
    """Posterior differences of every store-SKU of the frame."""
    cluster = frame.cluster_of_store[frame.store_of_series]
    pairs = cluster * len(frame.categories) + frame.category_of_sku[frame.sku_of_series]
    groups, group = np.unique(pairs, return_inverse=True)
    prior = Prior.start(np.zeros(1), USUAL_DIFFERENCE, len(groups))
    found = shrink(fit.score[:, None], fit.information[:, None, None], group.astype(np.int64), prior, EM_STEPS)
    return Differences(found.mean[:, 0], found.covariance[:, 0, 0])


def by_series(frame: ResponseFrame, theta: Floats, difference: Floats | None = None) -> Floats:
    """Coefficients (series, k) from those of the SKUs (skus, k), elasticities moved by `difference` (series,)."""
    own = theta[frame.sku_of_series].copy()
    if difference is not None:
        own[:, 0] += difference
    return own
