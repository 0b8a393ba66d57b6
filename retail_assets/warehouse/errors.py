"""What can go wrong between bronze and gold."""

from retail_assets.core.errors import RetailError


class WarehouseError(RetailError):
    """A build that dbt refused, a manifest that is missing, a mart that cannot be published."""
