"""Training sets: nothing that came later, no row lost, the gold version of one's choice."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from retail_assets.features import offline_store, training
from retail_assets.features.errors import FeatureError
from retail_assets.features.store import FeatureStore
from tests.feature_gold import DAY, row, write_all, write_view

KEY = {"store_id": "S1", "sku": "P1"}
OTHER = {"store_id": "S2", "sku": "P1"}


def days(count: int, **late: float) -> list[dict]:
    """Rows of both keys on `count` days from DAY; `d3=100` delivers the third day of S1 100 hours after it ended."""
    rows = []
    for number in range(1, count + 1):
        day = DAY + timedelta(days=number - 1)
        rows.append(row(KEY, day, late.get(f"d{number}", 6), units_lag_1=float(number), days_since_sale=number))
        rows.append(row(OTHER, day, 6, units_lag_1=100.0 + number))
    return rows


@pytest.fixture
def filled(features: FeatureStore) -> FeatureStore:
    write_all(
        features.lake,
        store_product_demand=days(6),
        store_activity=[row({"store_id": "S1"}, DAY, store_units_mean_7=7.0)],
        product_demand=[row({"sku": "P1"}, DAY, product_stores_28=2)],
    )
    features.apply()
    return features


def lags(features: FeatureStore, start: date = DAY, end: date = DAY + timedelta(days=9), **options: object) -> dict:
    """units_lag_1 by store and day of the month."""
    table = features.training_set("demand_forecast", start, end, **options)  # type: ignore[arg-type]
    return {(r["store_id"], r["business_date"].day): r["units_lag_1"] for r in table.to_pylist()}


def test_every_key_and_day_has_the_row_of_its_day(filled: FeatureStore) -> None:
    table = filled.training_set("demand_forecast", DAY, DAY + timedelta(days=9))
    assert table.column_names[:4] == ["store_id", "sku", "business_date", "event_timestamp"]
    assert table.column_names[4:] == filled.features("demand_forecast")
    assert lags(filled) == {("S1", d): float(d) for d in range(1, 7)} | {("S2", d): 100.0 + d for d in range(1, 7)}
    first = table.sort_by([("store_id", "ascending"), ("business_date", "ascending")]).to_pylist()[0]
    assert first["event_timestamp"] == datetime(2026, 3, 2, 12, tzinfo=UTC), "noon after the day has ended"
    assert (first["store_units_mean_7"], first["product_stores_28"], first["days_since_sale"]) == (7.0, 2, 1)


def test_days_are_inclusive_on_both_sides(filled: FeatureStore) -> None:
    assert set(lags(filled, DAY + timedelta(days=1), DAY + timedelta(days=2))) == {
        ("S1", 2), ("S1", 3), ("S2", 2), ("S2", 3),
    }  # fmt: skip


def test_single_days_and_single_features_are_the_same_as_among_all(filled: FeatureStore) -> None:
    span, chosen = (DAY, DAY + timedelta(days=9)), [DAY + timedelta(days=1), DAY + timedelta(days=4)]
    whole = filled.training_set("demand_forecast", *span).to_pylist()
    names = ["product_stores_28", "units_lag_1"]
    some = filled.training_set("demand_forecast", *span, days=chosen, names=names)
    assert some.column_names == [
        "store_id",
        "sku",
        "business_date",
        "event_timestamp",
        "units_lag_1",
        "product_stores_28",
    ]
    expected = [{n: r[n] for n in some.column_names} for r in whole if r["business_date"] in chosen]
    order = ("store_id", "business_date")
    assert sorted(some.to_pylist(), key=lambda r: [r[n] for n in order]) == sorted(
        expected, key=lambda r: [r[n] for n in order]
    )
    assert filled.training_set("demand_forecast", *span, days=[]).num_rows == 0


def test_a_late_correction_does_not_leak_into_the_rows_before_it(filled: FeatureStore) -> None:
    write_view(filled.lake, "store_product_demand", days(6, d3=60))
    found = lags(filled)
    assert found[("S1", 3)] == 2.0, "on the day itself only the day before was known"
    assert found[("S1", 4)] == 4.0
    assert found[("S2", 3)] == 103.0, "another store's file was in time"


def test_what_is_too_old_is_null_and_the_row_stays(filled: FeatureStore) -> None:
    late = {f"d{number}": 24.0 * 30 for number in range(2, 10)}
    write_view(filled.lake, "store_product_demand", days(9, **late))
    found = lags(filled)
    assert len(found) == 18
    assert found[("S1", 7)] == 1.0, "6 days and 12 hours old, one time to live is 7 days"
    assert found[("S1", 8)] is None


def test_an_old_version_of_gold_gives_the_old_rows(filled: FeatureStore) -> None:
    old = filled.lake.version("gold", "feat_store_product_daily")
    before = lags(filled)
    write_view(filled.lake, "store_product_demand", [row(KEY, units_lag_1=-1.0)])
    assert lags(filled) == {("S1", 1): -1.0}
    assert lags(filled, version=old) == before
    assert lags(filled, version={"feat_store_product_daily": old}) == before


def test_the_versions_that_were_read_are_named(filled: FeatureStore) -> None:
    write_view(filled.lake, "store_activity", [])
    table = filled.training_set("demand_forecast", DAY, DAY)
    newest = filled.gold_versions("demand_forecast")
    assert json.loads(table.schema.metadata[b"gold_versions"]) == newest
    assert newest == {"feat_product": 0, "feat_store": 1, "feat_store_product_daily": 0}


def test_a_range_without_rows_is_empty_and_keeps_its_columns(filled: FeatureStore) -> None:
    table = filled.training_set("price_response", date(2020, 1, 1), date(2020, 2, 1))
    assert table.num_rows == 0
    assert "list_price" in table.column_names


def test_a_join_that_loses_rows_is_refused(filled: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    join = offline_store.point_in_time_join
    monkeypatch.setattr(
        offline_store, "point_in_time_join", lambda *given: f"select * from ({join(*given)}) where store_id <> 'S2'"
    )
    with pytest.raises(FeatureError, match="6 rows for 12 keys"):
        filled.training_set("demand_forecast", DAY, DAY + timedelta(days=9))


def test_a_join_that_doubles_rows_is_refused(filled: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    join = offline_store.point_in_time_join
    monkeypatch.setattr(
        offline_store, "point_in_time_join", lambda *given: f"select t.* from ({join(*given)}) t, range(2)"
    )
    with pytest.raises(FeatureError, match="24 rows for 12 keys"):
        filled.training_set("demand_forecast", DAY, DAY + timedelta(days=9))


def test_a_broken_grain_is_refused(filled: FeatureStore) -> None:
    write_view(filled.lake, "store_product_demand", [row(KEY), row(KEY)])
    with pytest.raises(FeatureError, match="1 rows with a key and day of another row"):
        filled.training_set("demand_forecast", DAY, DAY)


def test_require_rows_is_exact() -> None:
    training.require_rows(5, 5, "any")
    for got in (4, 6):
        with pytest.raises(FeatureError):
            training.require_rows(got, 5, "any")


def test_mistakes_are_named(filled: FeatureStore) -> None:
    with pytest.raises(FeatureError, match="'demand' is not a feature service"):
        filled.training_set("demand", DAY, DAY)
    with pytest.raises(FeatureError, match="does not read feat_payment_token_daily"):
        filled.training_set("demand_forecast", DAY, DAY, version={"feat_payment_token_daily": 0})


def test_a_missing_gold_table_is_named(features: FeatureStore) -> None:
    with pytest.raises(FeatureError, match="gold has no feat_store_product_daily, feat_store, feat_product"):
        features.training_set("demand_forecast", DAY, DAY)
