"""The two usual ways to get an elasticity, to be beaten: log-log least squares pooled by category, and per SKU.

Both see the same rows as the model, without sold-out days and without zero units (a logarithm needs a sale), with fixed
effects of the store-SKU and of the season (within transformation, Frisch-Waugh-Lovell).
"""

import numpy as np
import numpy.typing as npt

from retail_assets.pricing.response.training_frames import FEATURES, ResponseFrame

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SWEEPS = 10
RIDGE = 1e-6


def pooled_ols(frame: ResponseFrame) -> Floats:
    """Coefficients of FEATURES per SKU, shape (skus, k), equal within a category."""
    outcome, features, rows = within(frame)
    category = frame.category_of_sku
    pooled = _solve(outcome, features, category[frame.sku_code[rows]], len(frame.categories))
    return pooled[category]


def sku_ols(frame: ResponseFrame) -> Floats:
    """Coefficients of FEATURES per SKU, shape (skus, k), each from its own rows alone.

    A SKU whose price never moved has no coefficient; it is given its category's, the best that such a user would do.
    """
    outcome, features, rows = within(frame)
    sku = frame.sku_code[rows]
    own = _solve(outcome, features, sku, len(frame.skus))
    moved = np.bincount(sku, features[:, 0] ** 2, len(frame.skus)) > 1e-6
    return np.where(moved[:, None], own, pooled_ols(frame))


def within(frame: ResponseFrame) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Log units and features less the effects of store-SKU and season, and the rows (mask) that a logarithm can use."""
    rows = (frame.units > 0) & ~frame.censored
    values = np.column_stack([np.log(frame.units[rows] / frame.exposure[rows]), frame.features[rows]])
    for _ in range(SWEEPS):
        for codes in (frame.season_code[rows], frame.series_code[rows]):
            values = values - _means(values, codes)
    return values[:, 0], values[:, 1:], rows


def _means(values: Floats, codes: Ints) -> Floats:
    count = np.maximum(np.bincount(codes), 1)
    columns = [(np.bincount(codes, values[:, i]) / count)[codes] for i in range(values.shape[1])]
    return np.column_stack(columns)


def _solve(outcome: Floats, features: Floats, group: Ints, groups: int) -> Floats:
    k = len(FEATURES)
    moments = np.zeros((groups, k, k))
    target = np.column_stack([np.bincount(group, features[:, i] * outcome, groups) for i in range(k)])
    for i in range(k):
        for j in range(k):
            moments[:, i, j] = np.bincount(group, features[:, i] * features[:, j], groups)
    solved = np.linalg.solve(moments + RIDGE * np.eye(k), target[:, :, None])[:, :, 0]
    return solved.astype(np.float64, copy=False)
