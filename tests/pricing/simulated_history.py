"""Sales histories with planted elasticities, and their backtest."""

from pathlib import Path

import numpy as np
import pandas as pd

from retail_assets.pricing.backtest.backtest import Backtest, backtest
from retail_assets.pricing.backtest.history import Columns

COLUMNS = Columns(("store", "brand"), "week", "units", "price", ("deal",))


def simulate(stores: int = 8, brands: int = 5, weeks: int = 60, seed: int = 1, base: float = 5.0) -> pd.DataFrame:
    """Weekly sales with an elasticity per store and brand (column `truth`), deals, and weeks missing at random."""
    rng = np.random.default_rng(seed)
    store, brand, week = (
        x.ravel() for x in np.meshgrid(range(stores), range(brands), range(100, 100 + weeks), indexing="ij")
    )
    own = rng.normal(-2.2, 0.5, brands)[None, :] + rng.normal(0, 0.3, (stores, brands))
    price = np.exp(rng.normal(0, 0.15, (brands, weeks)))[brand, week - 100] * (1 + brand)
    deal = (rng.random((brands, weeks)) < 0.3)[brand, week - 100].astype(int)
    level = base + rng.normal(0, 0.4, (stores, brands))[store, brand]
    mean = np.exp(level + own[store, brand] * np.log(price / (1 + brand)) + 0.4 * deal)
    units = rng.poisson(mean * rng.gamma(20, 1 / 20, len(mean)))
    table = pd.DataFrame({"store": store, "brand": brand, "week": week, "units": units, "price": price, "deal": deal})
    return table.assign(truth=own[store, brand])[rng.random(len(table)) < 0.95].reset_index(drop=True)


def run(path: Path, columns: Columns = COLUMNS, until: str | None = None) -> Backtest:
    """The backtest of a file, with its elasticities in e.parquet beside it."""
    return backtest(path, columns, path.with_name("e.parquet"), until, -0.1, lambda step: None)
