"""Targets: who follows whom, and what does not exist."""

from pathlib import Path

import pyarrow as pa
import pytest

from retail_assets.releases.ledger import LedgerError
from retail_assets.releases.targets import Targets
from retail_assets.resources.lake import Lake

TARGETS = Targets(regions={"238": "US", "7": "DE"}, segments={"pilot": ("238",), "late": ("238", "7")})


@pytest.mark.parametrize(
    ("target", "chain"),
    [
        ("cloud", ("cloud",)),
        ("region-US", ("region-US", "cloud")),
        ("segment-pilot", ("segment-pilot", "cloud")),
        ("store-238", ("store-238", "segment-pilot", "segment-late", "region-US", "cloud")),
        ("store-7", ("store-7", "segment-late", "region-DE", "cloud")),
    ],
)
def test_a_target_follows_wider_ones(target: str, chain: tuple[str, ...]) -> None:
    assert TARGETS.chain(target) == chain
    assert set(chain) <= set(TARGETS.all())


@pytest.mark.parametrize("target", ["", "store-", "store-9", "region-FR", "segment-x", "238", "CLOUD"])
def test_what_does_not_exist_is_named_with_what_does(target: str) -> None:
    with pytest.raises(LedgerError, match="is not a target(.|\n)*cloud, region-DE, region-US, segment-pilot"):
        TARGETS.chain(target)


def test_the_stores_are_those_of_gold(tmp_path: Path) -> None:
    lake = Lake.at(tmp_path)
    assert Targets.of(lake, {}).all() == ("cloud",)
    with pytest.raises(LedgerError, match="no store yet"):
        Targets.of(lake, {}).chain("store-238")
    lake.overwrite("gold", "dim_store", pa.table({"store_id": ["238"], "country": ["US"]}))
    assert Targets.of(lake, {"pilot": ["238"]}).chain("store-238")[1:] == ("segment-pilot", "region-US", "cloud")
