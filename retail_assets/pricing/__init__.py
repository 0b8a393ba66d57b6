"""Demand response, guarded prices and the decisions they leave behind."""
