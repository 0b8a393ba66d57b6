"""The pricing service: HTTP in front of retail_assets.serving.price_answers. `retail dev` starts it, or:

bentoml serve bento.pricing.service:PricingService --port 3002
"""

import bentoml
from fastapi import FastAPI, Request, Response

from bento.pricing.schemas import PriceAnswer, PriceRequest, PricesAnswer, PricesRequest
from retail_assets.environments import current
from retail_assets.serving.catalogue import UnknownKey
from retail_assets.serving.price_answers import PriceDesk
from retail_assets.serving.service_app import ERRORS, CountRequests, answer, attach, create_app

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
        self.desk = PriceDesk(current())
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
