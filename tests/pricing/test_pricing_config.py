"""A policy with a typing error must stop, not price: what the configuration accepts and what it refuses."""

from pathlib import Path

import pytest
import yaml

from retail_assets.pricing.config import CONFIG_FILE, PricingConfig, PricingConfigError, load_config
from retail_assets.pricing.decide.rulebook import Rulebook, ladder_of


def changed(tmp_path: Path, path: str, value: object) -> Path:
    """The shipped file with one value replaced: `changed(tmp_path, "defaults.max_change", 2)`."""
    document = yaml.safe_load(CONFIG_FILE.read_text(encoding="utf-8"))
    *parents, last = path.split(".")
    node = document
    for name in parents:
        node = node[name]
    node[last] = value
    file = tmp_path / "pricing.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("defaults.max_chnage", 0.1, "defaults.max_chnage"),
        ("defaults.max_change", 1.5, "defaults.max_change"),
        ("defaults.margin_floor", 1.0, "defaults.margin_floor"),
        ("defaults.objective", "greed", "defaults.objective"),
        ("defaults.price_range", [1.1, 1.3], "price_range"),
        ("departments.grocery", {"margin": 0.1}, "departments.grocery.margin"),
        ("markets", {}, "default"),
        ("markets.default.tax", "1.2", "markets.default.tax"),
        ("markets.default.endings", [], "endings"),
        ("markets.default.endings", [{"below": "2.00", "every": "0.10", "at": ["0.10"]}], "below 0.10"),
        ("caps", [{"max_price": "5", "from": "2026-02-01", "until": "2026-01-01", "reason": "x"}], "is before"),
        ("caps", [{"from": "2026-01-01", "until": "2026-02-01", "reason": "x"}], "max_price or max_increase"),
        ("response.elasticity_ceiling", 0.5, "response.elasticity_ceiling"),
    ],
)
def test_a_mistake_is_named_with_its_file(tmp_path: Path, path: str, value: object, named: str) -> None:
    file = changed(tmp_path, path, value)
    with pytest.raises(PricingConfigError, match=named) as error:
        load_config(file)
    assert str(file) in str(error.value)


def test_what_is_not_yaml_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pricing.yaml"
    file.write_text("defaults: [", encoding="utf-8")
    with pytest.raises(PricingConfigError, match="not valid YAML"):
        load_config(file)


def test_the_hash_names_the_policy_and_nothing_else(config: PricingConfig, tmp_path: Path) -> None:
    assert load_config().policy.policy_hash == config.policy.policy_hash
    other = load_config(changed(tmp_path, "defaults.max_change", 0.11))
    assert other.policy.policy_hash != config.policy.policy_hash
    trained = load_config(changed(tmp_path, "response.seed", 99))
    assert trained.policy.policy_hash == config.policy.policy_hash


def test_a_rulebook_of_the_whole_file_and_of_its_policy_are_one(config: PricingConfig) -> None:
    assert Rulebook.of(config).policy_hash == Rulebook.of(config.policy).policy_hash


@pytest.mark.parametrize("market", ["default", "UK", "DE"])
def test_every_rung_ends_as_its_band_says(config: PricingConfig, market: str) -> None:
    rungs = ladder_of(config.markets[market])
    assert (rungs[1:] > rungs[:-1]).all()
    start = 0
    for band in config.markets[market].endings:
        limit, every = int(band.below * 100), int(band.every * 100)
        inside = rungs[(rungs >= start) & (rungs < limit)]
        assert set((inside % every).tolist()) == {int(ending * 100) for ending in band.at}
        start = limit
    assert rungs[0] > 0
