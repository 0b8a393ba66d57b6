"""New files in landing start a refresh."""

import hashlib
import os
from pathlib import Path

import dagster as dg

from retail_assets.resources.dagster.jobs import REFRESH_JOB_NAME
from retail_assets.resources.environments import Home


def listing_hash(landing: Path) -> str | None:
    """16 hex digits of the names, sizes and times of change of all files below `landing`; None where there is none.

    Reads directories only, no file.
    """
    digest, found = hashlib.sha256(), False
    for folder, names, files in os.walk(landing):
        names.sort()
        for name in sorted(files):
            path = Path(folder, name)
            try:
                status = path.stat() if path.exists() else path.lstat()
            except OSError:
                continue  # it is gone since the folder was listed, or not for this user
            found = True
            digest.update(f"{path.relative_to(landing)}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16] if found else None


@dg.sensor(
    job_name=REFRESH_JOB_NAME,
    minimum_interval_seconds=30,
    description="Requests one refresh whenever the listing of landing differs from the last one that was seen.",
)
def new_landing_files_refresh(
    context: dg.SensorEvaluationContext, home: dg.ResourceParam[Home]
) -> dg.SensorResult | dg.SkipReason:
    """The cursor is the hash of the listing; the run key too, so that a listing starts one run only."""
    listing = listing_hash(home.landing)
    if listing is None:
        return dg.SkipReason(f"{home.landing} holds no files")
    if listing == context.cursor:
        return dg.SkipReason("no file came, changed or went")
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=f"landing-{listing}")], cursor=listing)


SENSORS = [new_landing_files_refresh]
