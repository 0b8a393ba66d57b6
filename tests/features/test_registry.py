"""The definitions: complete, honest about age, the same as gold's columns, and applied once."""

import subprocess
import sys
from datetime import timedelta

import pytest
import yaml

from retail_assets.features.assets import FEATURE_TABLES
from retail_assets.features.errors import FeatureError
from retail_assets.features.registry import gold_table, repository
from retail_assets.features.store import FeatureStore
from retail_assets.features.training import decided_after_hours
from retail_assets.resources.environments import PROJECT_ROOT
from tests.feature_gold import DAY, write_all

VIEWS = [view.name for view in repository().views]
KINDS = {"double": "Float64", "bigint": "Int64", "varchar": "String"}
NOT_FEATURES = {"business_date", "event_timestamp", "created_timestamp"}


def mart_columns(table: str) -> dict[str, str]:
    """Column to type as the dbt contract of a mart declares them."""
    file = PROJECT_ROOT / "dbt_project" / "models" / "marts" / f"{table}.yml"
    (model,) = yaml.safe_load(file.read_text())["models"]
    return {column["name"]: column["data_type"] for column in model["columns"]}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_has_the_columns_of_its_mart(name: str) -> None:
    view = repository().view(name)
    declared = mart_columns(gold_table(view))
    expected = {column: KINDS[kind] for column, kind in declared.items() if column not in NOT_FEATURES}
    found = {field.name: str(field.dtype) for field in [*view.entity_columns, *view.features]}
    assert found == expected
    assert set(declared) >= NOT_FEATURES


@pytest.mark.parametrize("name", VIEWS)
def test_a_time_to_live_outlasts_a_night_and_a_late_file_and_not_the_windows(name: str) -> None:
    ttl = repository().view(name).ttl
    assert ttl is not None
    assert timedelta(days=2) <= ttl <= timedelta(days=35)


def test_feature_names_are_unique_over_all_views() -> None:
    names = [feature.name for view in repository().views for feature in view.features]
    assert len(names) == len(set(names))


def test_a_service_names_its_base_view_and_when_it_decides() -> None:
    for service in repository().services:
        assert service.tags["base_view"] in [projection.name for projection in service.feature_view_projections]
        base = repository().view(service.tags["base_view"])
        assert base.ttl is not None
        assert timedelta(hours=decided_after_hours(service)) < base.ttl


def test_every_entity_and_product_has_what_the_graph_says() -> None:
    assert [e.name for e in repository().entities] == ["store", "product", "customer", "payment_token"]
    assert {s.name for s in repository().services} == {"demand_forecast", "price_response"}
    assert {gold_table(view) for view in repository().views} == set(FEATURE_TABLES)


def test_definitions_are_applied_once(features: FeatureStore) -> None:
    assert features.apply()
    assert not features.apply()
    other = FeatureStore(root=features.root, folder=features.folder, lake=features.lake)
    assert not other.apply()
    assert sorted(view.name for view in other.open().list_feature_views()) == sorted(VIEWS)


def test_a_registry_that_was_deleted_is_made_again(features: FeatureStore) -> None:
    features.apply()
    (features.folder / "registry.db").unlink()
    assert FeatureStore(root=features.root, folder=features.folder, lake=features.lake).apply()


def test_a_definition_that_is_gone_is_dropped(features: FeatureStore) -> None:
    from feast import FeatureService

    features.apply()
    features.open().apply([FeatureService(name="forgotten", features=[repository().view("store_activity")])])
    (features.folder / "definitions.sha256").write_text("older")
    features.apply()
    assert {service.name for service in features.open().list_feature_services()} == {
        "demand_forecast",
        "price_response",
    }


def test_the_digest_sees_a_changed_time_to_live(monkeypatch: pytest.MonkeyPatch) -> None:
    before = repository().digest()
    assert before == repository().digest()
    monkeypatch.setattr(repository().view("store_activity"), "ttl", timedelta(days=8))
    assert repository().digest() != before


def test_no_machine_s_folder_is_in_the_registry(features: FeatureStore) -> None:
    features.apply()
    assert str(features.root).encode() not in (features.folder / "registry.db").read_bytes()


def test_unknown_names_are_refused() -> None:
    with pytest.raises(FeatureError, match="use one of demand_forecast, price_response"):
        repository().service("forecast")
    with pytest.raises(FeatureError, match="is not a feature view"):
        repository().view("forecast")


def test_the_digest_is_the_same_in_every_process_and_after_every_use(features: FeatureStore) -> None:
    program = "from retail_assets.features.registry import repository; print(repository().digest())"
    fresh = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True)
    write_all(features.lake)
    features.apply()
    features.materialise()
    features.training_set("demand_forecast", DAY, DAY)
    features.online("demand_forecast", [{"store_id": "S", "sku": "P"}])
    assert repository().digest() == fresh.stdout.strip()
