"""The pricing model that answers in a store."""

from retail_assets.core.errors import RetailError
from retail_assets.environments import Environment
from retail_assets.pricing.model import PRODUCT, PriceModel
from retail_assets.resources.model_store import ModelStore
from retail_assets.serving.assignment import Assignment
from retail_assets.serving.refused import explained


def live_price_model(environment: Environment, store_id: str) -> PriceModel:
    """The released version of `store_id`, or the last good one; raises RetailError where none is released."""
    store = ModelStore.at(environment.home.models)
    version = Assignment.sound(environment.lake, PRODUCT, store).version_of(store_id)
    if version is None:
        none = RetailError(
            f"no pricing model is live in {store_id}: nobody knows its elasticities",
            todo="release one: `retail promote pricing newest`",
        )
        raise explained(environment.lake, PRODUCT, none)
    return PriceModel.load(store.path(PRODUCT, version))
