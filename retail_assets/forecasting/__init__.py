"""Demand forecasts per store and SKU."""
