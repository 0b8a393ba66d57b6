"""What can go wrong with features."""

from retail_assets.core.errors import RetailError


class FeatureError(RetailError):
    """A feature definition, a training set or an online read that would not be what it says it is."""
