"""The pricing service: HTTP in front of retail_assets.pricing.answers. `retail dev` starts it, or:

bentoml serve bento.pricing.service:PricingService --port 3002
"""

from typing import Annotated, Any

import bentoml
from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.concurrency import run_in_threadpool

from bento.pricing.schemas import Id, PriceAnswer, PriceRequest, PricesAnswer, PricesRequest
from retail_assets.core.errors import RetailError
from retail_assets.pricing.answers import PriceDesk
from retail_assets.pricing.trace.answers import PAGE_HEADERS, TooManyTraces, TraceDesk
from retail_assets.provenance.errors import TraceError, UnknownDecision
from retail_assets.resources.environments import current
from retail_assets.resources.model_store import ModelStoreError
from retail_assets.serving.catalogue import UnknownKey
from retail_assets.serving.config import ServingConfig
from retail_assets.serving.gateway.gateway import Front, caller_of
from retail_assets.serving.gateway.routes import needs, slow
from retail_assets.serving.served import Served
from retail_assets.serving.service_app import ERRORS, answer, create_app, decides, service_options

app: FastAPI = create_app("pricing", "Prices with their reasons, decided by the live model inside the guardrails.")
TRACES: dict[int | str, dict[str, str]] = {
    404: {"description": "No such decision"},
    410: {"description": "What the decision rests on is gone"},
    503: {"description": "Too many traces are waiting"},
}


@decides(app, "/price", scope="price", summary="Decide one price", asked=PriceRequest, answered=PriceAnswer)
def price(desk: PriceDesk, asked: PriceRequest, late: bool) -> dict[str, Any]:
    """The price of one SKU in one store, with the reasons for it."""
    return desk.price(asked.store_id, asked.sku, late)


@app.post(
    "/prices",
    response_model=PricesAnswer,
    responses=ERRORS,
    summary="Decide up to 200 prices",
    openapi_extra=needs("price"),
)
async def prices(asked: PricesRequest, request: Request) -> Response:
    """Prices in the order asked, and the items that have none with the reason."""
    desk: PriceDesk = request.app.state.desk
    made, errors = desk.prices([(item.store_id, item.sku) for item in asked.items])
    problems = [
        {
            "store_id": item.store_id,
            "sku": item.sku,
            "status": 404 if isinstance(error, UnknownKey) else 503,
            "detail": error.what,
        }
        for item, error in zip(asked.items, errors, strict=True)
        if error is not None
    ]
    return answer({"prices": made, "problems": problems})


@app.get(
    "/trace/{decision_id}",
    responses=TRACES,
    summary="Why a price was what it was, down to the raw rows",
    openapi_extra=slow("trace"),
)
async def trace(
    decision_id: Id, request: Request, replay: bool = False, accept: Annotated[str, Header()] = ""
) -> Response:
    """What `retail trace price --json` says, or to a browser the page of `--html`."""
    desk: TraceDesk = request.app.state.trace_desk
    caller = caller_of(request.scope)
    try:
        if "text/html" in accept:
            return HTMLResponse(await run_in_threadpool(desk.page, decision_id, replay, caller), headers=PAGE_HEADERS)
        return answer(await run_in_threadpool(desk.trace, decision_id, replay, caller))
    except TooManyTraces as error:
        return _refused(error, 503, {"Retry-After": "5"})
    except UnknownDecision as error:
        return _refused(error, 404)
    except (TraceError, ModelStoreError) as error:
        return _refused(error, 410)


def _refused(error: RetailError, status: int, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": error.what, "todo": error.todo}, status_code=status, headers=headers)


@bentoml.service(name="pricing", **service_options("pricing"))
@bentoml.asgi_app(app)
class PricingService(Served):
    """Prices and their traces."""

    application, open_desk = app, PriceDesk

    def __init__(self) -> None:
        app.state.trace_desk = TraceDesk(current(), ServingConfig.load_file().load.waiting_traces)
        super().__init__()


PricingService.add_asgi_middleware(Front, owner=app)
