"""A warm start: a trained forecaster brought up to date with recent days, without growing its trees again."""

import numpy as np
import pandas as pd

from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.encoding import Encoder, ForecastModelError
from retail_assets.forecasting.model import DemandForecaster


def refreshed(
    model: DemandForecaster, recent: pd.DataFrame, config: ForecastingConfig, keep: float
) -> DemandForecaster:
    """`model` with leaf values of which `keep` (0 to 1) is old and the rest is learnt from `recent`.

    `recent` has the columns of frames.Gold.examples. Trees, splits, encoding and intervals stay. The same rows in the
    same order give the same bytes. Raises ForecastModelError when no row of `recent` has known demand.
    """
    target = "demand" if "demand" in recent else "units"
    known = recent[recent[target].notna()]
    if known.empty:
        raise ForecastModelError("there is no example with known demand to refresh from")
    matrix, expected = Encoder(model.spec).matrix(known)
    booster = model.booster.refit(
        matrix,
        known[target].to_numpy(float).clip(min=0.0),
        decay_rate=keep,
        init_score=np.log(expected),
        num_threads=config.threads,
        deterministic=True,
        force_row_wise=True,
        verbosity=-1,
    )
    return DemandForecaster(booster, model.spec)
