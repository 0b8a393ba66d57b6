"""A home belongs to one retailer: files of a second one are refused unless that is said to be wanted."""

import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sample.simulate import simulate
from retail_assets.sources.imports import LANDING, SAMPLE, SecondRetailer, refuse_second, retailers
from retail_assets.sources.load import import_retailer
from tests.sources.landing import Retailer
from tests.sources.test_replay_mappings import CORRECTED, mapping


def test_a_second_mapping_is_refused_unless_it_is_wanted(tmp_path: Path, home: Home, lake: Lake) -> None:
    import_retailer(lake, home, mapping(tmp_path), tmp_path)
    assert retailers(lake, home) == ["shop"]
    other = mapping(tmp_path, name="other", file="other")
    with pytest.raises(SecondRetailer, match="holds the files of mapping 'shop'; those of mapping 'other'") as raised:
        import_retailer(lake, home, other, tmp_path)
    assert (raised.value.where, "--into-same-home" in str(raised.value.todo)) == (str(home.root), True)
    assert import_retailer(lake, home, other, tmp_path, into_same_home=True).rows_read == 0
    assert retailers(lake, home) == ["shop", "other"]
    for again in (other, mapping(tmp_path, quantity=CORRECTED, file="corrected")):
        import_retailer(lake, home, again, tmp_path)


def test_a_home_of_an_older_version_is_known_by_its_loads(tmp_path: Path, home: Home, lake: Lake) -> None:
    import_retailer(lake, home, mapping(tmp_path), tmp_path)
    shutil.rmtree(home.lake / "ops" / "mappings")
    assert retailers(lake, home) == ["shop"]
    with pytest.raises(SecondRetailer):
        refuse_second(lake, home, SAMPLE, into_same_home=False)


def test_files_delivered_to_landing_are_a_retailer_too(retailer: Retailer) -> None:
    assert retailers(retailer.lake, retailer.home) == [LANDING]
    with pytest.raises(SecondRetailer, match="the retailer that delivers to landing/"):
        refuse_second(retailer.lake, retailer.home, "shop", into_same_home=False)
    refuse_second(retailer.lake, retailer.home, LANDING, into_same_home=False)


@pytest.mark.parametrize("command", ["sample", "demo"])
def test_the_sample_stays_out_of_an_imported_home(
    tmp_path: Path, home: Home, lake: Lake, retail: Callable[..., "CompletedProcess[str]"], command: str
) -> None:
    import_retailer(lake, home, mapping(tmp_path), tmp_path)
    done = retail(home.root, command, "--scale", "tiny", check=False)
    assert (done.returncode, "mapping 'shop'" in done.stderr, home.landing.exists()) == (1, True, False)


def test_an_import_stays_out_of_the_sample(
    tmp_path: Path, home: Home, lake: Lake, retail: Callable[..., "CompletedProcess[str]"]
) -> None:
    simulate(home.root, "tiny", days=1)
    refuse_second(lake, home, SAMPLE, into_same_home=False)
    done = retail(home.root, "import", str(mapping(tmp_path)), str(tmp_path), check=False)
    assert (done.returncode, "the sample retailer" in done.stderr, home.lake.exists()) == (1, True, False)
    import_retailer(lake, home, mapping(tmp_path), tmp_path, into_same_home=True)
    assert retailers(lake, home) == ["shop", SAMPLE]
