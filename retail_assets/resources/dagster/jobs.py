"""The jobs a person, a sensor or a schedule can start."""

import dagster as dg

REFRESH_JOB_NAME = "refresh"

refresh = dg.define_asset_job(
    REFRESH_JOB_NAME,
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets(["serving", "bentos"]),  # code, not data
    description="Everything, from landing files to prices: each stage does only what its inputs changed.",
    tags={"retail/writes": "lake"},
    executor_def=dg.in_process_executor,
)
