"""What an example may know: the past of its origin and the plans announced by then, and nothing else."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.forecasting.config import SeriesConfig
from retail_assets.forecasting.context import CALENDAR_COLUMNS, ForecastContext, ForecastContextError
from retail_assets.forecasting.frames import Gold, crossed, sampled
from retail_assets.forecasting.model import request_frame
from retail_assets.resources.lake import Lake
from tests.forecasting.small_gold import FIRST, NEWEST, SKUS, STORES, Features, write_gold

SERIES = SeriesConfig(max_series=100, min_active_days=1, origin_days=7)
ORIGIN = NEWEST - timedelta(days=28)


@pytest.fixture(scope="module")
def examples(gold_lake: Lake, feature_store: Features) -> pd.DataFrame:
    gold = Gold(gold_lake, NEWEST)
    return gold.examples(crossed(gold.at_origin(at(feature_store, ORIGIN), ORIGIN, SERIES), 28, ORIGIN))


def at(store: Features, origin: date) -> pa.Table:
    return store.training_set("demand_forecast", origin - timedelta(days=6), origin)


def test_units_are_gross_units_of_the_target_day_and_unknown_where_the_shelf_was_empty(
    examples: pd.DataFrame, sales: pd.DataFrame
) -> None:
    facts = sales[["store_id", "sku", "day", "gross_units", "is_stocked_out"]]
    keys = ["store_id", "sku", "day"]
    both = examples.rename(columns={"target_date": "day"}).merge(facts, on=keys, validate="one_to_one")
    assert both["is_stocked_out"].sum() >= 5
    assert both.loc[both["is_stocked_out"], "units"].isna().all()
    open_shelf = both[~both["is_stocked_out"]]
    assert (open_shelf["units"] == open_shelf["gross_units"]).all()


def test_every_series_has_every_day_ahead(examples: pd.DataFrame) -> None:
    assert len(examples) == len(STORES) * len(SKUS) * 28
    assert examples.groupby(["store_id", "sku"])["horizon"].nunique().eq(28).all()


def test_a_weekday_on_which_a_store_never_opens_has_no_demand(examples: pd.DataFrame) -> None:
    sundays = examples[(examples["store_id"] == "DE-001") & (examples["target_weekday"] == 7)]
    assert len(sundays) == 4 * len(SKUS) and (sundays["units"] == 0.0).all()


def test_a_day_without_any_file_of_a_store_is_unknown_not_zero(
    own_lake: Lake, sales: pd.DataFrame, feature_store: Features
) -> None:
    missing = pd.Timestamp(NEWEST - timedelta(days=10))
    lake = write_gold(own_lake, sales[(sales["store_id"] != "US-001") | (sales["day"] != missing)], feature_store.frame)
    gold = Gold(lake, NEWEST)
    frame = gold.examples(crossed(gold.at_origin(at(feature_store, ORIGIN), ORIGIN, SERIES), 28, ORIGIN))
    day = frame[(frame["store_id"] == "US-001") & (frame["target_date"] == missing)]
    assert len(day) == len(SKUS) and day["units"].isna().all()


def test_without_stock_records_a_day_without_a_row_is_zero_demand(
    own_lake: Lake, sales: pd.DataFrame, feature_store: Features
) -> None:
    lake = write_gold(own_lake, sales[sales["gross_units"] > 0], feature_store.frame)
    table = lake.open("gold", "fct_sales_daily").to_pyarrow_table().drop_columns("on_hand")
    lake.overwrite("gold", "fct_sales_daily", table.append_column("on_hand", pa.nulls(len(table), pa.int32())))
    gold = Gold(lake, NEWEST)
    frame = gold.examples(crossed(gold.at_origin(at(feature_store, ORIGIN), ORIGIN, SERIES), 28, ORIGIN))
    slow = frame[(frame["sku"] == SKUS[0]) & (frame["store_id"] == "US-001")]
    assert (slow["units"] == 0.0).sum() > 10


def test_seasonal_naive_is_the_newest_known_day_of_the_same_weekday(
    examples: pd.DataFrame, sales: pd.DataFrame
) -> None:
    back = (7 * np.ceil(examples["horizon"] / 7)).astype(int)
    source = examples["target_date"] - pd.to_timedelta(back, unit="D")
    assert (source <= pd.Timestamp(ORIGIN)).all() and (source > pd.Timestamp(ORIGIN - timedelta(days=7))).all()
    known = sales.set_index(["store_id", "sku", "day"])["gross_units"]
    keys = pd.MultiIndex.from_arrays([examples["store_id"], examples["sku"], source])
    assert np.array_equal(known.reindex(keys).fillna(0.0), examples["seasonal_naive"])


def test_a_promotion_counts_from_the_day_it_was_announced(gold_lake: Lake, feature_store: Features) -> None:
    gold = Gold(gold_lake, NEWEST)
    starts = date(2026, 6, 1)
    announced = starts - timedelta(days=30)
    planned = {}
    for origin in (announced - timedelta(days=1), announced):
        rows = gold.at_origin(at(feature_store, origin), origin, SERIES)
        frame = gold.examples(crossed(rows, 35, origin))
        on_day = frame[(frame["sku"] == SKUS[6]) & (frame["target_date"] == pd.Timestamp(starts))]
        planned[origin] = set(on_day["planned_discount"])
        assert set(frame.loc[frame["sku"] == SKUS[0], "planned_discount"]) == {0.0}
    assert planned == {announced - timedelta(days=1): {0.0}, announced: {0.25}}


def test_days_around_a_holiday_are_counted(examples: pd.DataFrame) -> None:
    germany = examples[(examples["store_id"] == "DE-001") & (examples["sku"] == SKUS[0])].set_index("target_date")
    whit_monday = pd.Timestamp(2026, 5, 25)
    assert germany.loc[whit_monday, "is_holiday"] == 1.0
    assert germany.loc[whit_monday - pd.Timedelta(days=2), "days_to_holiday"] == 2.0
    assert germany.loc[whit_monday + pd.Timedelta(days=3), "days_since_holiday"] == 3.0


def test_a_store_whose_files_are_late_is_forecast_from_its_newest_day(gold_lake: Lake, feature_store: Features) -> None:
    features = at(feature_store, NEWEST).to_pandas()
    late = features[(features["store_id"] != "UK-001") | (features["business_date"] <= NEWEST - timedelta(days=2))]
    gold = Gold(gold_lake, NEWEST)
    rows = crossed(gold.at_origin(pa.Table.from_pandas(late, preserve_index=False), NEWEST, SERIES), 28, NEWEST)
    frame = gold.examples(rows)
    britain = frame[frame["store_id"] == "UK-001"]
    assert len(britain) == len(SKUS) * 28
    assert britain["target_date"].min() == pd.Timestamp(NEWEST + timedelta(days=1)) and britain["horizon"].min() == 3


def test_discontinued_and_weak_series_are_not_forecast(own_lake: Lake, feature_store: Features) -> None:
    products = own_lake.open("gold", "dim_product").to_pyarrow_table().to_pylist()
    gone = [p | ({"discontinued_on": ORIGIN} if p["sku"] == SKUS[9] else {}) for p in products]
    own_lake.overwrite("gold", "dim_product", pa.Table.from_pylist(gone))
    gold = Gold(own_lake, NEWEST)
    found = gold.at_origin(at(feature_store, ORIGIN), ORIGIN, SERIES.model_copy(update={"max_series": 3}))
    assert found["sku"].to_pylist() == [SKUS[8]] * 3  # the strongest of those that are still sold


def test_the_frame_of_a_request_is_the_frame_of_the_batch(
    gold_lake: Lake, feature_store: Features, examples: pd.DataFrame
) -> None:
    context = ForecastContext.read(gold_lake)
    compared = ["target_date", "horizon", "target_weekday", "planned_discount", "category", "department",
                "units_mean_28", "units_sun_mean_8", *CALENDAR_COLUMNS]  # fmt: skip
    for store_id, sku in (("US-001", SKUS[0]), ("UK-001", SKUS[6]), ("DE-001", SKUS[9])):
        batch = examples[(examples["store_id"] == store_id) & (examples["sku"] == sku)].reset_index(drop=True)
        values = batch.loc[0, feature_store.features("demand_forecast")].to_dict()
        origin = batch.loc[0, "business_date"].date()
        made = request_frame(store_id, sku, values, context, origin, 28)
        made["target_date"] = pd.to_datetime(made["target_date"])
        pd.testing.assert_frame_equal(made[compared], batch[compared], check_dtype=False)


def test_a_request_for_what_gold_does_not_know_is_refused_by_name(gold_lake: Lake) -> None:
    context = ForecastContext.read(gold_lake)
    with pytest.raises(ForecastContextError, match="SKU-99999"):
        request_frame("US-001", "SKU-99999", {}, context, ORIGIN, 28)
    with pytest.raises(ForecastContextError, match="XX-001"):
        request_frame("XX-001", SKUS[0], {}, context, ORIGIN, 28)


def test_a_country_without_a_calendar_still_gets_a_frame(gold_lake: Lake) -> None:
    context = ForecastContext.read(gold_lake)
    assert np.isnan(context.calendar_rows("FR", ORIGIN, 3)).all()
    assert np.isnan(context.calendar_rows(None, ORIGIN, 3)).all()
    assert np.isnan(context.calendar_rows("US", date(2026, 12, 30), 5)[2:]).all()


def test_the_origin_of_features_is_the_local_day_that_ended(gold_lake: Lake) -> None:
    from datetime import UTC, datetime

    context = ForecastContext.read(gold_lake)
    assert context.origin_of("DE-001", datetime(2026, 6, 3, 22, tzinfo=UTC)) == date(2026, 6, 3)


@given(
    days=st.integers(1, 40),
    series=st.integers(1, 5),
    horizon=st.integers(1, 33),
    until=st.integers(0, 60),
    budget=st.integers(1, 3000),
)
def test_a_sample_fits_its_budget_repeats_nothing_and_never_looks_beyond_its_end(
    days: int, series: int, horizon: int, until: int, budget: int
) -> None:
    rows = [
        {"store_id": "S", "sku": f"K{n}", "business_date": FIRST + timedelta(days=day)}
        for n in range(series)
        for day in range(days)
    ]
    table, last = pa.Table.from_pylist(rows), FIRST + timedelta(days=until)
    found = sampled(table, horizon, last, budget, seed=1)
    frame = found.to_pandas()
    assert len(frame) <= budget and not frame.duplicated().any()
    assert found.equals(sampled(table, horizon, last, budget, seed=1))
    if len(frame):
        assert frame["horizon"].between(1, horizon).all()
        assert (frame["business_date"] + pd.to_timedelta(frame["horizon"], unit="D").dt.to_pytimedelta() <= last).all()
