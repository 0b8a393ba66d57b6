"""The pricing model that answers in a store."""

from retail_assets.core.errors import RetailError
from retail_assets.pricing.response.model import PRODUCT, PriceModel
from retail_assets.releases.assignment import Assignment
from retail_assets.releases.refused import explained
from retail_assets.resources.environments import Environment
from retail_assets.resources.model_store import ModelStore


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
