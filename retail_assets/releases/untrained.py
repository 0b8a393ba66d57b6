"""What an asset reports when its inputs do not suffice for a version."""

import dagster as dg

from retail_assets.core.errors import RetailError
from retail_assets.releases.refused import record_untrained
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore


def untrained(lake: Lake, models: ModelStore, product: str, error: RetailError) -> dg.MaterializeResult:
    """A result that says why no version of a product could be trained; noted, so that everybody can say it.

    Where there is a version already, `error` is raised: what could be learnt once and cannot any more is a fault.
    """
    if models.versions(product):
        raise error
    record_untrained(lake, product, error)
    return dg.MaterializeResult(metadata={"status": f"no version yet: {error.what}", "to do": error.todo or ""})
