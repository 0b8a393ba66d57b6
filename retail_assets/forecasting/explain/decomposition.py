"""Prophet on one series of demand: what of it is trend, weekday, time of year, holidays and promotions, in units a day.

Fit and predict on arrays; no Dagster, no lake. Prophet is imported on first use: it takes seconds.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from retail_assets.forecasting.explain.demand_panel import DemandSeries
from retail_assets.forecasting.views_config import DecompositionConfig

if TYPE_CHECKING:
    from prophet import Prophet

PARTS = ("trend", "weekly", "yearly", "holidays", "promotions")
PROMOTION = "planned_promotion"


@dataclass(frozen=True)
class FitTask:
    """A series to decompose; `held_back` is it as it was known some days before, None where no proof is asked for."""

    series: DemandSeries
    config: DecompositionConfig
    held_back: DemandSeries | None = None


@dataclass(frozen=True)
class Fitted:
    """`parts` has a row per day of the series and the columns PARTS, in units; their sum is what Prophet says.

    `proof` is what Prophet says of the days that were held back, made without them; None where none was asked for.
    """

    key: tuple[str, str, str]
    method: str
    parts: pd.DataFrame
    proof: np.ndarray | None
    seconds: float


def decompose(task: FitTask) -> Fitted:
    """Fits one series, and before it the series without its last days where a proof is asked for."""
    begun = perf_counter()
    proof = None
    if task.held_back is not None:
        _, parts = _fit(task.held_back, task.config)
        proof = parts.sum(axis=1).to_numpy()[len(task.held_back.units) :].clip(min=0.0)
    method, parts = _fit(task.series, task.config)
    return Fitted(task.series.key, method, parts, proof, perf_counter() - begun)


def _fit(series: DemandSeries, config: DecompositionConfig) -> tuple[str, pd.DataFrame]:
    known = np.isfinite(series.units)
    if known.sum() < config.shortest_history or not np.nansum(series.units) > 0:
        mean = float(np.nanmean(series.units)) if known.any() else 0.0
        flat = pd.DataFrame(0.0, index=range(len(series.days)), columns=list(PARTS)).assign(trend=mean)
        return "mean", flat
    model = _model(series, config)
    frame = _frame(series)
    try:
        said = model.fit(frame[: len(series.units)][known]).predict(frame)
    finally:
        _tidy()
    return "prophet", _in_units(said)


def _model(series: DemandSeries, config: DecompositionConfig) -> "Prophet":
    logging.getLogger("prophet.plot").setLevel(logging.CRITICAL)  # it asks for plotly, which draws nothing here
    stan = logging.getLogger("cmdstanpy")
    if not stan.handlers:  # without one, it makes its own on first use, which speaks of every fit
        stan.addHandler(logging.NullHandler())
        stan.setLevel(logging.ERROR)
    from prophet import Prophet

    logging.getLogger("prophet").setLevel(logging.ERROR)
    names = [name for name, _ in series.holidays]
    days = pd.to_datetime([day for _, day in series.holidays])
    model = Prophet(
        holidays=pd.DataFrame({"holiday": names, "ds": days}) if names else None,
        yearly_seasonality=len(series.units) >= config.yearly_from_days,
        weekly_seasonality=True,
        daily_seasonality=False,
        seasonality_mode=config.seasonality_mode,
        changepoint_range=config.changepoint_range,
        changepoint_prior_scale=config.changepoint_prior_scale,
        seasonality_prior_scale=config.seasonality_prior_scale,
        holidays_prior_scale=config.holidays_prior_scale,
        uncertainty_samples=0,
    )
    if np.ptp(series.promotion[: len(series.units)]) > 0:
        model.add_regressor(PROMOTION, prior_scale=config.promotion_prior_scale)
    return model


def _frame(series: DemandSeries) -> pd.DataFrame:
    units = np.full(len(series.days), np.nan)
    units[: len(series.units)] = series.units
    return pd.DataFrame({"ds": series.days.astype("datetime64[ns]"), "y": units, PROMOTION: series.promotion})


def _in_units(said: pd.DataFrame) -> pd.DataFrame:
    """Prophet states seasons as shares of the trend in multiplicative mode, and in units in additive mode."""
    trend = said["trend"].to_numpy(float)
    multiplied = np.abs(said["multiplicative_terms"].to_numpy(float)).sum() > 0
    unit = trend if multiplied else np.ones(len(said))
    columns = {"weekly": "weekly", "yearly": "yearly", "holidays": "holidays", "promotions": PROMOTION}
    parts = {name: unit * said[c].to_numpy(float) if c in said else np.zeros(len(said)) for name, c in columns.items()}
    return pd.DataFrame({"trend": trend, **parts})[list(PARTS)]


def _tidy() -> None:
    """Removes the files that this process's fits left: Stan's library would do so at exit, which workers skip."""
    import cmdstanpy

    folder = Path(cmdstanpy._TMPDIR)
    if folder.is_dir():
        import shutil

        for left in folder.iterdir():
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
