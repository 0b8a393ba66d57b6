"""The dbt models as assets, and the publishing of marts as gold Delta tables."""
