"""The same pricing contract as a BentoML tutorial and a FastAPI tutorial would serve it: the peers of service_speed.py.

Both load the live model, hold the same inputs in memory and call the same decision code for each request. Neither logs
its decisions, follows the ledger, nor remembers: what they leave out is to their advantage.
"""

from datetime import UTC, datetime
from typing import Any

import bentoml
from fastapi import FastAPI, HTTPException

from bento.pricing.schemas import PriceAnswer, PriceRequest
from retail_assets.pricing.config import load_config
from retail_assets.pricing.decide.decisions import Provenance, decide_one, decision_row
from retail_assets.pricing.decide.explain import reasons
from retail_assets.pricing.decide.price_inputs import InputBook
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.response.model import PriceModel
from retail_assets.releases.ledger import Ledger
from retail_assets.resources.environments import current
from retail_assets.resources.model_store import ModelStore
from retail_assets.resources.source_control import git_commit


class Shop:
    """Model, policy and inputs of one home."""

    def __init__(self) -> None:
        environment = current()
        release = Ledger(environment.lake).live("pricing")
        if release is None:
            raise RuntimeError("no pricing model is live")
        self.model = PriceModel.load(ModelStore.at(environment.home.models).path("pricing", release.version))
        self.rulebook = Rulebook.of(load_config().policy)
        self.book = InputBook.read(environment.lake)

    def price(self, asked: PriceRequest) -> PriceAnswer:
        """One decided price."""
        inputs = self.book.inputs_of(asked.store_id, asked.sku)
        if inputs is None:
            raise HTTPException(404, f"{asked.store_id} does not list {asked.sku}")
        decision = decide_one(self.model, self.rulebook, inputs)
        row = decision_row(decision, Provenance(datetime.now(UTC), "service", None, git_commit()))
        return PriceAnswer(
            decision_id=row["decision_id"],
            store_id=asked.store_id,
            sku=asked.sku,
            price=row["price"],
            currency=row["currency"],
            previous_price=row["previous_price"],
            outcome=decision.outcome,
            effective_from=decision.output["effective_from"],
            reasons=reasons(decision),
            model_version=decision.model_version,
            policy_hash=decision.policy_hash,
            decided_at=row["at"],
            business_date=row["business_date"],
            fallback=False,
            fallback_reason=None,
            cache_age_s=None,
        )


def fastapi_app() -> FastAPI:
    """`uvicorn --factory benchmarks.peers.pricing:fastapi_app`."""
    shop, app = Shop(), FastAPI()

    @app.post("/price")
    async def price(asked: PriceRequest) -> PriceAnswer:
        return shop.price(asked)

    return app


@bentoml.service(name="plain_pricing", workers=1, logging={"access": {"enabled": False}})
class PlainPricing:
    """`bentoml serve benchmarks.peers.pricing:PlainPricing`."""

    def __init__(self) -> None:
        self.shop = Shop()

    @bentoml.api(input_spec=PriceRequest, route="/price")
    async def price(self, **asked: Any) -> PriceAnswer:
        """One decided price."""
        return self.shop.price(PriceRequest(**asked))
