"""The forecasting service: HTTP in front of retail_assets.serving.forecast_answers. `retail dev` starts it, or:

bentoml serve bento.forecasting.service:ForecastingService --port 3001
"""

import bentoml
from fastapi import FastAPI, Request, Response

from bento.forecasting.schemas import ForecastAnswer, ForecastRequest
from retail_assets.environments import current
from retail_assets.serving.forecast_answers import ForecastDesk
from retail_assets.serving.front import Front
from retail_assets.serving.places import needs
from retail_assets.serving.service_app import (
    ERRORS,
    answer,
    attach,
    create_app,
    detach,
    is_late,
    refuse_exposed,
    service_options,
)

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


@bentoml.service(name="forecasting", **service_options(port=3001))
@bentoml.asgi_app(app)
class ForecastingService:
    """Holds the desk of this process; BentoML brings /livez and /readyz."""

    @bentoml.on_deployment
    def check() -> None:  # type: ignore[misc]
        """Refuses to answer the network without keys."""
        refuse_exposed()

    def __init__(self) -> None:
        self.desk = ForecastDesk(current())
        attach(app, self.desk.runtime)
        app.state.desk = self.desk
        self.desk.runtime.start()

    def __is_ready__(self) -> bool:
        return self.desk.runtime.ready()

    @bentoml.on_shutdown
    def close(self) -> None:
        """Moves the last decisions to the lake."""
        detach(app)


ForecastingService.add_asgi_middleware(Front, owner=app)
