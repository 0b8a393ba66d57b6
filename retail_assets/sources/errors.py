"""Errors of sources."""

from retail_assets.core.settings import SettingsError


class SourceConfigError(SettingsError):
    """A source or mapping file that says something the contract does not allow."""
