"""How good forecasts were at each level and on each segment of the series, beside simple baselines."""

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from retail_assets.core.accuracy import coverage, wape
from retail_assets.forecasting.panel import baseline, simple
from retail_assets.forecasting.panel.baseline import recent_mean, seasonal_naive
from retail_assets.forecasting.panel.engine import Forecast
from retail_assets.forecasting.panel.intervals import QUANTILES, central, wspl
from retail_assets.forecasting.panel.levels import Level, scaled_errors, weighted_mean
from retail_assets.forecasting.panel.panel import Panel

Floats = npt.NDArray[np.float64]
Masks = dict[str, npt.NDArray[np.bool_]]

SPARSE, INTERMITTENT = 0.8, 0.3
RECENT = 112


class LevelScore(BaseModel):
    """Accuracy at one level, beside that of baselines: weighted RMSSE of `mean` and of `q50`, weighted scaled pinball
    loss, absolute error of both per unit sold, and the share of actuals in the 90 % interval.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    level: str
    nodes: int
    rmsse: float
    rmsse_median: float
    seasonal_naive: float
    recent_mean: float
    pinball: float
    pinball_baseline: float
    absolute: float
    absolute_median: float
    absolute_seasonal_naive: float
    coverage: float


class SegmentScore(BaseModel):
    """Accuracy on the series of a segment: weighted RMSSE of it and of the baselines, absolute error per unit sold,
    and units forecast per unit sold (NaN where nothing was).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    segment: str
    series: int
    rmsse: float
    seasonal_naive: float
    recent_mean: float
    wape: float
    share_of_sold: float


def level_scores(panel: Panel, levels: list[Level], mean: Floats, made: Forecast) -> list[LevelScore]:
    """Scores of forecasts `mean` (S, H) of the periods after `panel.until`, with the intervals of `made`."""
    known = ~np.isnan(panel.actual)
    means = [np.where(known, each, 0.0) for each in (mean, seasonal_naive(panel), recent_mean(panel))]
    return [_level_score(panel, level, means, known, made) for level in levels]


def _level_score(
    panel: Panel, level: Level, means: list[Floats], known: npt.NDArray[np.bool_], made: Forecast
) -> LevelScore:
    past, truth = level.sums(panel.target[:, : panel.until]), level.sums(panel.actual)
    rows = level.sums(known.astype(float)) > 0
    centre, naive, recent = (level.sums(each) for each in means)
    quantiles, low, high = quantiles_of(panel, made, level, centre)
    median = np.where(rows, quantiles[:, :, QUANTILES.index(0.5)], 0.0)
    steps = baseline.quantiles(past, naive, simple.naive_cycle(panel.until, panel.frequency))
    return LevelScore(
        level=level.name,
        nodes=level.size,
        rmsse=_rmsse(past, truth - centre),
        rmsse_median=_rmsse(past, truth - median),
        seasonal_naive=_rmsse(past, truth - naive),
        recent_mean=_rmsse(past, truth - recent),
        pinball=wspl(past, truth, quantiles),
        pinball_baseline=wspl(past, truth, steps),
        absolute=wape(truth[rows], centre[rows]),
        absolute_median=wape(truth[rows], median[rows]),
        absolute_seasonal_naive=wape(truth[rows], naive[rows]),
        coverage=coverage(truth[rows], low[rows], high[rows]),
    )


def _rmsse(past: Floats, error: Floats) -> float:
    return weighted_mean(*scaled_errors(past, error))


def quantiles_of(panel: Panel, made: Forecast, level: Level, mean: Floats) -> tuple[Floats, Floats, Floats]:
    """Quantiles (nodes, H, quantiles) around the means of a level, and the ends of the 90 % interval; whole where sales
    are.
    """
    quantiles = made.intervals[level.name].quantiles(mean)
    low, high = central(quantiles, whole=panel.whole)
    return np.rint(quantiles) if panel.whole else quantiles, low, high


def segment_scores(panel: Panel, mean: Floats) -> list[SegmentScore]:
    """Scores of forecasts `mean` (S, H) on each segment that has sales."""
    past, actual = panel.target[:, : panel.until].astype(float), panel.actual.astype(float)
    known = ~np.isnan(actual)
    forecasts = [mean, seasonal_naive(panel), recent_mean(panel)]
    rated = [scaled_errors(np.nan_to_num(past), np.where(known, actual - f, 0.0)) for f in forecasts]
    weight = rated[0][1]
    found = []
    for name, rows in segments_of(panel).items():
        total = weight[rows].sum()
        if not total:
            continue
        ours, naive, recent = (float((each[rows] * weight[rows]).sum() / total) for each, _ in rated)
        part = known & rows[:, None]
        found.append(
            SegmentScore(
                segment=name,
                series=int(rows.sum()),
                rmsse=ours,
                seasonal_naive=naive,
                recent_mean=recent,
                wape=wape(actual[part], mean[part]),
                share_of_sold=float(mean[part].sum() / actual[part].sum()) if actual[part].sum() else float("nan"),
            )
        )
    return found


def segments_of(panel: Panel) -> Masks:
    """Series by volume (thirds of the units sold of late), by how often nothing is sold, and those that are new."""
    past = panel.target[:, : panel.until]
    recent = np.nan_to_num(past[:, -RECENT:])
    seen = (~np.isnan(past)).sum(axis=1)
    new = seen < panel.frequency.new
    volume = recent.sum(axis=1) / np.maximum((~np.isnan(past[:, -RECENT:])).sum(axis=1), 1)
    low, high = np.quantile(volume[~new], (1 / 3, 2 / 3)) if (~new).any() else (0.0, 0.0)
    sold = (recent > 0).sum(axis=1) / np.maximum((~np.isnan(past[:, -RECENT:])).sum(axis=1), 1)
    none = 1.0 - sold
    return {
        "volume: lowest third": ~new & (volume <= low),
        "volume: middle third": ~new & (volume > low) & (volume <= high),
        "volume: highest third": ~new & (volume > high),
        f"sells on {1 - INTERMITTENT:.0%} of periods or more": ~new & (none <= INTERMITTENT),
        f"sells on {1 - SPARSE:.0%} to {1 - INTERMITTENT:.0%}": ~new & (none > INTERMITTENT) & (none <= SPARSE),
        f"sells on less than {1 - SPARSE:.0%}": ~new & (none > SPARSE),
        f"new: under {panel.frequency.new} periods": new,
    }
