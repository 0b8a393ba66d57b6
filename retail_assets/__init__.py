"""A data and model platform for retailers: one Dagster asset graph from raw rows to a served, traceable decision."""

import os
import time

# Every process works in UTC, whatever the zone of its machine: libraries ask for the local time where nobody means it.
os.environ["TZ"] = "UTC"
time.tzset()
