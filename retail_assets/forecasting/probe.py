"""One typical question to a stored forecaster, for the gates to see that it answers and how long it takes."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np

from retail_assets.forecasting.context import ForecastContext, Product, Store
from retail_assets.forecasting.encoding import WEEKDAY_MEANS, Floats, ForecastModelError
from retail_assets.forecasting.model import DemandForecaster, request_frame

SERIES = ("probe", "probe")
ORIGIN = date(2026, 1, 5)


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
