"""A data and model platform for retailers: one Dagster asset graph from raw rows to a served, traceable decision."""
