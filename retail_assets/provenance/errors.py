"""The named failures of a trace."""

from retail_assets.core.errors import RetailError


class TraceError(RetailError):
    """A decision that cannot be traced: it is not there, or what it was made from is gone."""


class UnknownDecision(TraceError):
    """No decision has this id, or none was made for this store and SKU by then."""


class VersionGone(TraceError):
    """A Delta version that a decision names can no longer be opened."""
