"""Is the demand response right? Held-back weeks against two baselines, and the sanity of what was learnt.

The weeks held back are the last ones. What a week sells in total in a category and country is taken as given, the same
for every contender, so that only the answer to prices and promotions is scored: a SKU that was cheaper than usual must
take the right share. No contender's trend is drawn out beyond the weeks it was learnt from.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retail_assets.core.accuracy import clusters, ratio_error, share_error
from retail_assets.pricing.config import ResponseConfig
from retail_assets.pricing.response.baselines import pooled_ols, sku_ols
from retail_assets.pricing.response.cross import Cross
from retail_assets.pricing.response.local import by_series, differences
from retail_assets.pricing.response.model import PriceModel
from retail_assets.pricing.response.response import effects, fit
from retail_assets.pricing.response.training_frames import FEATURES, ResponseDataError, ResponseFrame

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

VARIANTS = ("sku_level", "store_level")
RIVALS = ("pooled_ols", "sku_ols")
BASELINES = ("pooled_ols", "sku_ols", "no_response")
SANE_ELASTICITY = -15.0
GATED_ROWS = 200  # a category with fewer rows is not gated: its error is noise
TREND = FEATURES.index("years")


@dataclass(frozen=True)
class Holdout:
    """Errors on the weeks held back, per contender; `rows` and `units` of those weeks. `kept` is the better variant.

    `ratio` is its deviance as a share of that without any response to prices, with the standard error of this share
    (SKUs as clusters): for `all` and for every `category=...` of GATED_ROWS rows in which something was sold.
    `skill_error` is the standard error of its share of the better rival's deviance.
    """

    kept: str
    deviance: dict[str, float]
    wape: dict[str, float]
    rows: int
    units: float
    ratio: dict[str, tuple[float, float]]
    skill_error: float


def held_out(frame: ResponseFrame, config: ResponseConfig) -> Holdout:
    """Fits every contender without the last `holdout_days` and scores it on them.

    The model has two variants: an elasticity per SKU, and one per store-SKU; the one with less deviance is kept.

    Deviance is Poisson's, per unit sold, at least 0; WAPE is the absolute error per unit sold; lower is better in both.
    Raises ResponseDataError where there is no earlier or no later week.
    """
    cutoff = frame.week.max() - np.timedelta64(config.holdout_days - 7, "D")
    past, future = frame.where(frame.week < cutoff), (frame.week >= cutoff) & ~frame.censored
    known = np.bincount(past.series_code, past.units, len(frame.sku_of_series)) > 0
    test = frame.where(future & known[frame.series_code])
    if not len(past.units) or not test.units.sum():
        raise ResponseDataError(
            f"{len(np.unique(frame.week))} weeks are too few to hold back {config.holdout_days} days",
            todo="load more history, or lower response.holdout_days in configs/pricing.yaml",
        )
    learnt = fit(past, config)
    theta = learnt.posterior.mean
    coefficients = {
        "sku_level": by_series(past, theta),
        "store_level": by_series(past, theta, differences(past, learnt).mean),
        "pooled_ols": by_series(past, pooled_ols(past)),
        "sku_ols": by_series(past, sku_ols(past)),
        "no_response": np.zeros((len(frame.sku_of_series), len(FEATURES))),
    }
    predicted = {name: _predict(past, test, theta) for name, theta in coefficients.items()}
    units = float(test.units.sum())
    losses = {name: poisson_losses(test.units, mean) for name, mean in predicted.items()}
    deviance = {name: float(loss.sum()) / units for name, loss in losses.items()}
    kept = min(VARIANTS, key=deviance.__getitem__)
    return Holdout(
        kept=kept,
        deviance=deviance,
        wape={name: float(np.abs(test.units - mean).sum()) / units for name, mean in predicted.items()},
        rows=len(test.units),
        units=units,
        ratio=_ratios(test, losses[kept], losses["no_response"]),
        skill_error=ratio_error(losses[kept], losses[min(RIVALS, key=deviance.__getitem__)], _clusters(test)),
    )


def _ratios(test: ResponseFrame, loss: Floats, other: Floats) -> dict[str, tuple[float, float]]:
    everything = np.ones(len(loss), dtype=bool)
    category = test.category_of_sku[test.sku_code]
    unit = _clusters(test)
    groups = {"all": everything} | {f"category={name}": category == code for code, name in enumerate(test.categories)}
    return {
        name: (float(loss[rows].sum() / other[rows].sum()), ratio_error(loss[rows], other[rows], unit[rows]))
        for name, rows in groups.items()
        if name == "all" or (rows.sum() >= GATED_ROWS and test.units[rows].sum() > 0)
    }


def _clusters(test: ResponseFrame) -> Ints:
    """A code per row of what counts as one observation: its SKU, where there are few a week of its SKU."""
    return clusters(test.sku_code, (test.week - test.week.min()).astype("timedelta64[D]").astype(np.int64) // 7)


def metrics(model: PriceModel, holdout: Holdout, cross: Cross | None = None) -> dict[str, float]:
    """Everything the manifest of a pricing model records; the gates in configs/releases.yaml read these names.

    `holdout_skill` is the share of the better baseline's deviance that the model avoids; higher is better, at most 1.
    `deviance_ratio/...` is the variant's share of the deviance without any response, below 1 where prices matter, and
    `deviance_ratio_error/...` its standard error. `holdout_deviance` is of the variant kept; `store_level` is 1 where
    that tells stores apart. The cross-elasticity of a category never seen and its standard deviation are there where
    they could be learnt.
    """
    known = len(model.skus)
    elasticity, _, lo, hi, _, weight = (model.table[:known, i] for i in range(model.table.shape[1]))
    ordered = (lo <= elasticity) & (elasticity <= hi) & (hi < 0) & np.isfinite(model.table[:known]).all(axis=1)
    kept, sane = holdout.deviance[holdout.kept], float(np.mean(elasticity > SANE_ELASTICITY))
    found = {f"holdout_deviance_{name}": value for name, value in holdout.deviance.items()}
    found |= {f"holdout_wape_{name}": value for name, value in holdout.wape.items()}
    found |= {
        "holdout_deviance": kept,
        "holdout_wape": holdout.wape[holdout.kept],
        "holdout_skill": 1 - kept / min(holdout.deviance[name] for name in RIVALS),
        "holdout_skill_error": holdout.skill_error,
        "holdout_rows": float(holdout.rows),
        "store_level": float(holdout.kept == "store_level"),
        "skus": float(known),
        "negative_share": float(np.mean(elasticity < 0)),
        "interval_share": float(np.mean(ordered)),
        "sane_share": sane,
        "sane_share_error": share_error(sane, known),
        "elasticity_median": float(np.median(elasticity)),
        "interval_width_median": float(np.median(hi - lo)),
        "own_weight_median": float(np.median(weight)),
    }
    for name, (ratio, error) in holdout.ratio.items():
        found |= {f"deviance_ratio/{name}": ratio, f"deviance_ratio_error/{name}": error}
    if cross is not None:
        found |= {"cross_elasticity": cross.chain_mean, "cross_error": cross.chain_variance**0.5}
    return {name: round(value, 6) for name, value in sorted(found.items())}


def elasticity_errors(estimated: Floats, lo: Floats, hi: Floats, truth: Floats) -> dict[str, float]:
    """RMSE and bias of elasticities against a known truth, and the share of intervals that contain it."""
    return {
        "rmse": float(np.sqrt(np.mean((estimated - truth) ** 2))),
        "bias": float(np.mean(estimated - truth)),
        "coverage": float(np.mean((lo <= truth) & (truth <= hi))),
    }


def _predict(past: ResponseFrame, test: ResponseFrame, theta: Floats) -> Floats:
    level, _ = effects(past.where(~past.censored), theta)
    features = test.features.copy()
    features[:, TREND] = np.minimum(features[:, TREND], past.features[:, TREND].max())
    response = np.einsum("nk,nk->n", features, theta[test.series_code])
    mean = test.exposure * np.exp(level[test.series_code] + np.clip(response, -10, 10))
    sold, expected = (np.bincount(test.season_code, v) for v in (test.units, mean))
    scale: Floats = (sold / np.maximum(expected, 1e-9))[test.season_code]
    return mean * scale


def poisson_deviance(units: Floats, mean: Floats) -> float:
    """Twice the log likelihood that Poisson means lose against the units themselves; at least 0, lower is better."""
    return float(poisson_losses(units, mean).sum())


def poisson_losses(units: Floats, mean: Floats) -> Floats:
    """What each row adds to `poisson_deviance`."""
    mean = np.maximum(mean, 1e-6)
    logs = np.where(units > 0, units * np.log(np.maximum(units, 1e-9) / mean), 0.0)
    losses: Floats = 2 * (logs - (units - mean))
    return losses
