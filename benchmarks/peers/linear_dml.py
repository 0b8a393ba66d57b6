"""EconML's LinearDML on rows that pricing_elasticities.py hands over: run with a Python that has econml, not with ours.

    python benchmarks/peers/linear_dml.py rows.npz found.npz

One LinearDML per category with an elasticity per SKU (X one-hot), in two ways that its users choose from:

- `fixed effects`: outcome, log price and controls with the effects of store-SKU and of category, country and week taken
  out beforehand, linear first stages;
- `boosted`: outcome and log price less their store-SKU mean; gradient boosting finds promotion, competitor, week of the
  year, trend and store.
"""

import sys
import warnings

import numpy as np
from econml.dml import LinearDML
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression

FOLDS, SEED = 3, 7


def main(source: str, target: str) -> None:
    """Writes elasticities (ways, SKUs) and their 95 % intervals; NaN where a category failed."""
    rows = np.load(source)
    warnings.filterwarnings("ignore")
    found = {"fixed effects": elasticities(rows, boosted=False), "boosted": elasticities(rows, boosted=True)}
    np.savez(target, ways=list(found), found=np.stack(list(found.values())))


def elasticities(rows: "np.lib.npyio.NpzFile", boosted: bool) -> np.ndarray:
    """Elasticity, lower and upper end per SKU, shape (skus, 3)."""
    sku, category = rows["sku"], rows["category_of_sku"][rows["sku"]]
    found = np.full((len(rows["category_of_sku"]), 3), np.nan)
    for group in np.unique(category):
        mine = category == group
        known = np.unique(sku[mine])
        one_hot = (sku[mine][:, None] == known[None, :]).astype(float)
        if boosted:
            columns = ("promotion", "competitor", "week_of_year", "week", "country", "store")
            outcome, price = rows["outcome"][mine], rows["log_price"][mine]
            model = HistGradientBoostingRegressor(random_state=SEED)
        else:
            columns = ("promotion_within", "years_within", "competitor_within")
            outcome, price = rows["outcome_within"][mine], rows["log_price_within"][mine]
            model = LinearRegression()
        controls = np.column_stack([rows[name][mine] for name in columns])
        dml = LinearDML(model_y=model, model_t=model, cv=FOLDS, random_state=SEED, fit_cate_intercept=False)
        dml.fit(outcome, price, X=one_hot, W=controls)
        lo, hi = dml.coef__interval(alpha=0.05)
        found[known] = np.column_stack([dml.coef_, lo, hi])
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
