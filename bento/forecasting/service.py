"""The forecasting service: HTTP in front of retail_assets.forecasting.answers. `retail dev` starts it, or:

bentoml serve bento.forecasting.service:ForecastingService --port 3001
"""

from typing import Any

import bentoml
from fastapi import FastAPI

from bento.forecasting.schemas import ForecastAnswer, ForecastRequest
from retail_assets.forecasting.answers import ForecastDesk
from retail_assets.serving.gateway.gateway import Front
from retail_assets.serving.served import Served
from retail_assets.serving.service_app import create_app, decides, service_options

app: FastAPI = create_app(
    "forecasting", "Demand per store and SKU for up to 28 days, with quantiles, by the live model."
)


@decides(
    app,
    "/forecast",
    scope="forecast",
    summary="Forecast the demand of one SKU",
    asked=ForecastRequest,
    answered=ForecastAnswer,
)
def forecast(desk: ForecastDesk, asked: ForecastRequest, late: bool) -> dict[str, Any]:
    """Mean and quantiles of the units of each of the next days."""
    return desk.forecast(asked.store_id, asked.sku, asked.horizon, late)


@bentoml.service(name="forecasting", **service_options("forecasting"))
@bentoml.asgi_app(app)
class ForecastingService(Served):
    """Forecasts."""

    application, open_desk = app, ForecastDesk


ForecastingService.add_asgi_middleware(Front, owner=app)
