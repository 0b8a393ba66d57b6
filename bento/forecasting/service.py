"""The forecasting service: HTTP in front of retail_assets.serving.forecast_answers. `retail dev` starts it, or:

bentoml serve bento.forecasting.service:ForecastingService --port 3001
"""

import bentoml
from fastapi import FastAPI, Request, Response

from bento.forecasting.schemas import ForecastAnswer, ForecastRequest
from retail_assets.serving.forecast_answers import ForecastDesk
from retail_assets.serving.front import Front
from retail_assets.serving.places import needs
from retail_assets.serving.served import Served
from retail_assets.serving.service_app import ERRORS, answer, create_app, is_late, service_options

app: FastAPI = create_app(
    "forecasting", "Demand per store and SKU for up to 28 days, with quantiles, by the live model."
)


@app.post(
    "/forecast",
    response_model=ForecastAnswer,
    responses=ERRORS,
    summary="Forecast the demand of one SKU",
    openapi_extra=needs("forecast"),
)
async def forecast(asked: ForecastRequest, request: Request) -> Response:
    """Mean and quantiles of the units of each of the next days."""
    desk: ForecastDesk = request.app.state.desk
    return answer(desk.forecast(asked.store_id, asked.sku, asked.horizon, late=is_late(request)), request)


@bentoml.service(name="forecasting", **service_options("forecasting"))
@bentoml.asgi_app(app)
class ForecastingService(Served):
    """Forecasts."""

    application, open_desk = app, ForecastDesk


ForecastingService.add_asgi_middleware(Front, owner=app)
