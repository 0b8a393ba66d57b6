"""Forecasts of any panel of series: matrices in, mean and quantiles out; no Dagster and no store of ours needed."""
