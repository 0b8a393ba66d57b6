"""What the forecaster learns as demand, held against what shoppers truly wanted in the sample.

An empty shelf would teach that nobody wanted what nobody could buy, a return that a shopper wanted less than he did.
"""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from retail_assets.forecasting.frames import Gold, crossed
from retail_assets.forecasting.training import feature_span
from retail_assets.resources.lake import Lake

DAYS = 56


@pytest.fixture(scope="module")
def learnt(tiny_home: Path) -> pd.DataFrame:
    """Each listed store-SKU and day: `units` as they are learnt, and the truth (demand, sold, mean_demand, on_hand)."""
    lake = Lake.at(tiny_home / "lake")
    span = feature_span(lake)
    assert span is not None
    origin = span[1] - timedelta(days=DAYS)
    truth = pd.read_parquet(tiny_home / "truth" / "demand.parquet")
    truth = truth.assign(target_date=pd.to_datetime(truth["business_date"])).drop(
        columns=["business_date", "on_promotion"]
    )
    truth = truth[truth["open"]].astype({"store_id": str, "sku": str})
    series = truth[["store_id", "sku"]].drop_duplicates().assign(business_date=origin)
    gold = Gold(lake, span[1])
    try:
        rows = gold.examples(crossed(pa.Table.from_pandas(series, preserve_index=False), DAYS, origin))
    finally:
        gold.close()
    return rows.merge(truth, on=["store_id", "sku", "target_date"], validate="one_to_one")


def test_a_day_on_which_the_shelf_hid_demand_is_never_learnt_as_demand(learnt: pd.DataFrame) -> None:
    hidden = learnt[learnt["demand"] > learnt["sold"]]
    assert len(hidden) > 20, "the sample has stock-outs"
    assert hidden["units"].notna().mean() < 0.005, "also where returns came back to the empty shelf"


def test_what_is_learnt_is_what_shoppers_wanted(learnt: pd.DataFrame) -> None:
    known = learnt[learnt["units"].notna()]
    assert len(known) > 0.8 * len(learnt)
    assert (known["units"] == known["demand"]).mean() > 0.97, "apart from planted faults of files"
    assert abs(known["units"].sum() / known["demand"].sum() - 1) < 0.02


def test_sales_of_all_days_would_have_taught_too_little(learnt: pd.DataFrame) -> None:
    """The days that are left out had more demand than usual: as zeros or as sales they would lower the level."""
    left_out = learnt[learnt["units"].isna() & (learnt["on_hand"] == 0)]
    assert left_out["sold"].sum() < left_out["demand"].sum()
    assert left_out["sold"].sum() < 0.95 * left_out["mean_demand"].sum() or len(left_out) < 50


def test_a_return_does_not_lower_the_demand_of_its_day(tiny_home: Path, learnt: pd.DataFrame) -> None:
    lake = Lake.at(tiny_home / "lake")
    sales = lake.query(
        f"""select store_id, sku, business_date::timestamp as target_date, returned_units, net_units
            from {lake.scan("gold", "fct_sales_daily")} where returned_units > 0"""
    ).to_pandas()
    sales["target_date"] = sales["target_date"].astype(learnt["target_date"].dtype)
    returned = learnt.merge(sales, on=["store_id", "sku", "target_date"])
    returned = returned[returned["units"].notna()]
    assert len(returned) > 5, "the sample has returns"
    assert (returned["net_units"] < returned["units"]).all()
    assert np.isclose(returned["units"], returned["demand"]).mean() > 0.95
