"""The pricing service: HTTP in front of retail_assets.serving.price_answers. `retail dev` starts it, or:

bentoml serve bento.pricing.service:PricingService --port 3002
"""

from typing import Annotated

import bentoml
from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.concurrency import run_in_threadpool

from bento.pricing.schemas import Id, PriceAnswer, PriceRequest, PricesAnswer, PricesRequest
from retail_assets.core.errors import RetailError
from retail_assets.environments import current
from retail_assets.lineage.errors import TraceError, UnknownDecision
from retail_assets.resources.model_store import ModelStoreError
from retail_assets.serving.catalogue import UnknownKey
from retail_assets.serving.price_answers import PriceDesk
from retail_assets.serving.service_app import ERRORS, CountRequests, answer, attach, create_app
from retail_assets.serving.trace_answers import BROWSER_SCHEME, PAGE_HEADERS, NotAuthorised, TraceDesk

app: FastAPI = create_app("pricing", "Prices with their reasons, decided by the live model inside the guardrails.")
app.add_middleware(CountRequests, owner=app, routes=frozenset({"/price", "/prices", "/version"}))


@app.post("/price", response_model=PriceAnswer, responses=ERRORS, summary="Decide one price")
async def price(asked: PriceRequest, request: Request) -> Response:
    """The price of one SKU in one store, with the reasons for it."""
    desk: PriceDesk = request.app.state.desk
    return answer(desk.price(asked.store_id, asked.sku))


@app.post("/prices", response_model=PricesAnswer, responses=ERRORS, summary="Decide up to 200 prices")
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


@app.get("/trace/{decision_id}", summary="Why a price was what it was, down to the raw rows")
async def trace(
    decision_id: Id,
    request: Request,
    replay: bool = False,
    authorization: Annotated[str | None, Header()] = None,
    accept: Annotated[str, Header()] = "",
) -> Response:
    """What `retail trace price --json` says, or to a browser the page of `--html`.

    Needs the token of this home as a bearer token; a browser asks for it as a password of any user.
    """
    desk: TraceDesk = request.app.state.trace_desk
    as_page = "text/html" in accept
    try:
        desk.require(authorization)
        if as_page:
            return HTMLResponse(await run_in_threadpool(desk.page, decision_id, replay), headers=PAGE_HEADERS)
        return answer(await run_in_threadpool(desk.trace, decision_id, replay))
    except NotAuthorised as error:
        scheme = BROWSER_SCHEME if as_page else "Bearer"
        headers = {"WWW-Authenticate": scheme} if error.status == 401 else None
        return _refused(error, error.status, headers)
    except UnknownDecision as error:
        return _refused(error, 404)
    except (TraceError, ModelStoreError) as error:
        return _refused(error, 410)


def _refused(error: RetailError, status: int, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": error.what, "todo": error.todo}, status_code=status, headers=headers)


@bentoml.service(
    name="pricing",
    workers=1,
    http={"host": "127.0.0.1", "port": 3002},
    logging={"access": {"enabled": False}},
    traffic={"timeout": 30.0},
)
@bentoml.asgi_app(app)
class PricingService:
    """Holds the desk of this process; BentoML brings /livez, /readyz and /metrics."""

    def __init__(self) -> None:
        environment = current()
        self.desk = PriceDesk(environment)
        app.state.trace_desk = TraceDesk(environment)
        attach(app, self.desk.runtime)
        app.state.desk = self.desk
        self.desk.runtime.start()

    def __is_ready__(self) -> bool:
        return self.desk.runtime.ready()

    def __metrics__(self, bentoml_text: str) -> str:
        return bentoml_text + self.desk.runtime.metrics.text()

    @bentoml.on_shutdown
    def close(self) -> None:
        """Moves the last decisions to the lake."""
        self.desk.runtime.close()
