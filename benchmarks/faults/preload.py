"""What the pieces of work import, read once: a child process of a campaign is a fork of one that did nothing else.

Importing starts no thread of these libraries, so that a fork of it is whole.
"""

import duckdb
import lightgbm
import pyarrow.compute
import pyarrow.dataset
import pyarrow.parquet
from deltalake import DeltaTable, write_deltalake

from retail_assets.decisions import log as decision_log
from retail_assets.pricing.publish import price_files, publication
from retail_assets.pricing.response import model
from retail_assets.releases import ledger
from retail_assets.sources import load, taken_out
from retail_assets.stores import centre as store_centre
from retail_assets.stores import copy as store_copy
from retail_assets.stores import landing as store_landing

__all__ = [
    "DeltaTable",
    "decision_log",
    "duckdb",
    "ledger",
    "lightgbm",
    "load",
    "model",
    "price_files",
    "publication",
    "pyarrow",
    "store_centre",
    "store_copy",
    "store_landing",
    "taken_out",
    "write_deltalake",
]
