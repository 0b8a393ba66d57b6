"""What the pieces of work import, read once: a child process of a campaign is a fork of one that did nothing else.

Importing starts no thread of these libraries, so that a fork of it is whole.
"""

import duckdb
import lightgbm
import pyarrow.compute
import pyarrow.dataset
import pyarrow.parquet
from deltalake import DeltaTable, write_deltalake

from retail_assets.pricing import model, price_files, publication
from retail_assets.serving import decision_log, ledger, store_centre, store_copy, store_landing
from retail_assets.sources import load, taken_out

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
