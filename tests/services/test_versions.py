"""A service sees every commit to the tables it watches, also when a table is deleted and made again."""

import shutil
from pathlib import Path

import pyarrow as pa

from retail_assets.resources.lake import Lake
from retail_assets.resources.table_versions import OPEN_AGAIN_EVERY, Versions
from retail_assets.serving.catalogue import Catalogue, UnknownKey

ROWS = pa.table({"store_id": ["UK-001"]})


def test_versions_follow_commits(lake: Lake) -> None:
    versions = Versions(lake)
    seen = [versions.of("gold", "dim_store")["dim_store"]]
    for _ in range(3):
        lake.append("gold", "dim_store", ROWS)
        seen.append(versions.of("gold", "dim_store")["dim_store"])
    assert seen == [None, 0, 1, 2]


def test_a_table_that_was_made_again_is_noticed(lake: Lake) -> None:
    versions = Versions(lake)
    for _ in range(3):
        lake.append("gold", "dim_store", ROWS)
    assert versions.of("gold", "dim_store") == {"dim_store": 2}
    shutil.rmtree(Path(lake.table_uri("gold", "dim_store")))
    lake.append("gold", "dim_store", ROWS)
    assert 0 in {versions.of("gold", "dim_store")["dim_store"] for _ in range(OPEN_AGAIN_EVERY)}


def test_a_table_that_is_gone_has_no_version(lake: Lake) -> None:
    versions = Versions(lake)
    lake.append("gold", "dim_store", ROWS)
    versions.of("gold", "dim_store")
    shutil.rmtree(Path(lake.table_uri("gold", "dim_store")))
    assert versions.of("gold", "dim_store") == {"dim_store": None}


def test_the_catalogue_learns_new_stores_and_names_strangers(lake: Lake) -> None:
    catalogue = Catalogue(lake)
    lake.append("gold", "dim_product", pa.table({"sku": ["SKU-00001"]}))
    catalogue.poll()
    assert unknown(catalogue, "UK-001", "SKU-00001") == {"store_id": "UK-001"}
    lake.append("gold", "dim_store", ROWS)
    catalogue.poll()
    assert unknown(catalogue, "UK-001", "SKU-00001") == {}
    assert unknown(catalogue, "UK-002", "SKU-9") == {"store_id": "UK-002", "sku": "SKU-9"}


def unknown(catalogue: Catalogue, store_id: str, sku: str) -> dict[str, str]:
    """What the catalogue says is unknown."""
    try:
        catalogue.require(store_id, sku)
    except UnknownKey as error:
        return error.unknown
    return {}
