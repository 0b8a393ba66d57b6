"""Each check fails on what it guards against."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from retail_assets.features import assets, checks, online
from retail_assets.features.config import FeaturesConfig
from retail_assets.features.errors import FeatureError
from retail_assets.features.policy import Belief
from retail_assets.features.store import FeatureStore
from tests.feature_gold import DAY, row, write_all, write_view


@pytest.fixture
def served(features: FeatureStore) -> FeatureStore:
    write_all(
        features.lake,
        store_product_demand=[
            row({"store_id": "S1", "sku": f"P{n}"}, DAY + timedelta(days=d), units_lag_1=float(n * d))
            for n in range(5)
            for d in range(10)
        ],
        store_activity=[row({"store_id": "S1"}, DAY + timedelta(days=d)) for d in range(10)],
        customer_activity=[row({"customer_id": "C1"}, DAY + timedelta(days=4), customer_orders_7=2)],
    )
    return features


def materialised(features: FeatureStore) -> FeatureStore:
    features.apply()
    features.materialise()
    return features


def test_the_assets_report_what_they_did_and_then_nothing(served: FeatureStore) -> None:
    first = [assets.registry(served), assets.online_features(served)]
    second = [assets.registry(served), assets.online_features(served)]
    assert [result.metadata["status"] for result in first] == ["applied", "materialised"]
    assert [result.metadata["status"] for result in second] == ["unchanged", "unchanged"]
    assert first[1].metadata["dagster/row_count"] == 7
    assert first[1].metadata["delta_version_feat_store"] == 0


def test_all_checks_pass_on_an_honest_store(served: FeatureStore) -> None:
    results = [check(materialised(served)) for check in checks.CHECKS]
    assert [result.passed for result in results] == [True, True, True]
    assert results[0].metadata["keys_compared"].value["store_product_demand"] == 5


@pytest.mark.parametrize("hours", [0, 1])
def test_an_online_value_or_time_that_is_not_golds_is_found(served: FeatureStore, hours: int) -> None:
    materialised(served)
    wrong = row({"store_id": "S1", "sku": "P3"}, DAY + timedelta(days=9), units_lag_1=27.0 if hours else 26.999)
    wrong["event_timestamp"] += timedelta(hours=hours)
    columns = served.open().get_feature_view("store_product_demand").features
    frame = pd.DataFrame([{feature.name: None for feature in columns} | wrong])
    served.open().write_to_online_store("store_product_demand", frame)
    result = checks.offline_equals_online(served)
    assert not result.passed
    assert result.metadata["different"].value == 1
    assert result.metadata["examples"].value[0]["keys"] == "{'store_id': 'S1', 'sku': 'P3'}"


def test_gold_that_moved_on_is_found(served: FeatureStore) -> None:
    materialised(served)
    write_view(served.lake, "customer_activity", [row({"customer_id": "C1"}, DAY + timedelta(days=4))])
    assert not checks.offline_equals_online(served).passed


def test_a_reading_side_that_does_not_look_at_ages_is_found(
    served: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    materialised(served)
    monkeypatch.setattr(online, "believe", lambda age, ttl: Belief(True, "", age, ttl))
    result = checks.no_stale_feature_is_served(served)
    assert not result.passed
    assert result.metadata["served_too_old"].value >= 5


def test_training_rows_that_were_unknown_are_found(served: FeatureStore) -> None:
    rows = [row({"store_id": "S1", "sku": "P1"}, DAY, 24.0 * d, units_lag_1=1.0) for d in range(20, 21)]
    write_view(served.lake, "store_product_demand", rows)
    served.apply()
    result = checks.training_rows_complete(served)
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.WARN
    assert result.metadata["known_share"].value == 0.0


def test_training_rows_that_were_lost_are_found(served: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    served.apply()
    honest = FeatureStore.training_set
    monkeypatch.setattr(FeatureStore, "training_set", lambda *a, **k: honest(*a, **k).slice(1))
    assert not checks.training_rows_complete(served).passed


def test_checks_pass_while_gold_is_empty(features: FeatureStore) -> None:
    write_all(features.lake)
    materialised(features)
    assert [check(features).passed for check in checks.CHECKS] == [True, True, True]


def test_every_check_targets_an_asset_of_the_domain() -> None:
    keys = {key for asset in assets.ASSETS for key in asset.keys}
    assert {spec.asset_key for check in checks.CHECKS for spec in check.check_specs} <= keys
    for asset in assets.ASSETS:
        assert set(asset.group_names_by_key.values()) == {"features"}


def test_the_configuration_is_read_and_strict(tmp_path: Path) -> None:
    assert FeaturesConfig.load().parity.keys == 1000
    file = tmp_path / "features.yaml"
    for text in ("parity: {keys: 0, seed: 1}\ntraining: {days: 1, min_known_share: 1}", "unknown: 1", "a: ["):
        file.write_text(text)
        with pytest.raises(FeatureError, match="where: .*features.yaml"):
            FeaturesConfig.load(file)
