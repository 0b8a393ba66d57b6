"""Questions to a stored forecaster before it may answer: is it sound, and how long does a typical answer take?"""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from retail_assets.forecasting.context import ForecastContext, Product, Store
from retail_assets.forecasting.encoding import WEEKDAY_MEANS, Floats, ForecasterSpec, ForecastModelError
from retail_assets.forecasting.evaluation import PROOF_PREFIX
from retail_assets.forecasting.explain.contributions import contributions
from retail_assets.forecasting.forecast_tasks import model_of
from retail_assets.forecasting.model import DemandForecaster, _lightgbm, request_frame
from retail_assets.forecasting.soundness import refuse_answers

SERIES = ("probe", "probe")
ORIGIN = date(2026, 1, 5)
ASKED_SERIES, ASKED_DAYS = 24, 28
VALUES = (np.nan, 0.0, 1.0, 0.02, 0.5, 3.0, 12.0, 140.0, 5_000.0, -2.0)


def warm() -> None:
    """Imports what a forecaster needs, before limits are taken for what belongs to a version."""
    _lightgbm()


def question(folder: Path) -> Callable[[], object]:
    """Loads the forecaster in `folder` and returns a call that forecasts a series without history over its horizon.

    Raises ForecastModelError when it cannot be loaded or forecasts no number.
    """
    model, (store_id, sku) = DemandForecaster.load(folder), SERIES
    context = ForecastContext({}, {}, {store_id: Store(None, "UTC")}, {sku: Product(None, None)})
    features = dict.fromkeys([*model.spec.features, *WEEKDAY_MEANS])

    def ask() -> Floats:
        frame = request_frame(store_id, sku, features, context, ORIGIN, model.spec.horizon)
        return model.predict(frame, threads=1).to_numpy(float)

    if not np.isfinite(ask()).all():
        raise ForecastModelError("the model forecasts no number for a series without history", where=str(folder))
    return ask


def examine(folder: Path) -> None:
    """Raises ForecastModelError unless everything in `folder` loads and answers very different series soundly.

    The model that proved the version is looked at as well: a refresh starts from it.
    """
    model = DemandForecaster.load(folder)
    frame = _questions(model.spec)
    answers = model.predict(frame, threads=1).to_numpy(float)
    refuse_answers(answers[:, 0], answers[:, 1:])
    reasons = contributions(model, frame.head(ASKED_DAYS)).to_numpy(float)
    if not np.isfinite(reasons).all():
        raise ForecastModelError("the forecaster is not sound: the reasons for a forecast are no numbers")
    proof = {file.name.removeprefix(PROOF_PREFIX): file.read_bytes() for file in folder.glob(f"{PROOF_PREFIX}*")}
    if proof:
        mean = model_of(proof).mean(frame)
        refuse_answers(mean, mean[:, None])


def _questions(spec: ForecasterSpec) -> pd.DataFrame:
    """Series of known and unknown stores and categories with features in all combinations, the same every time."""
    chance = np.random.default_rng(17)
    frames = []
    for _ in range(ASKED_SERIES):
        names = {name: [*values, "probe"] for name, values in spec.categories.items()}
        store, category, department = (
            str(chance.choice(names.get(name, ["probe"]))) for name in ("store_id", "category", "department")
        )
        context = ForecastContext({}, {}, {store: Store(None, "UTC")}, {"probe": Product(category, department)})
        values = chance.choice(VALUES, len(spec.features) + len(WEEKDAY_MEANS)).tolist()
        features = dict(zip([*spec.features, *WEEKDAY_MEANS], values, strict=True))
        days = min(spec.horizon, ASKED_DAYS)
        frame = request_frame(store, "probe", features, context, ORIGIN, days)
        frames.append(frame.assign(planned_discount=chance.choice([0.0, 0.3], days)))
    return pd.concat(frames, ignore_index=True)
