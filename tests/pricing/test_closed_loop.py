"""An engine that earns no more than doing nothing is not worth its risk: the loop closed on a small true market."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.closed_loop.loop import Earned, Start, run
from benchmarks.closed_loop.pricers import Bandit, Clairvoyant, Engine, Fixed
from retail_assets.pricing.config import PricingConfig
from retail_assets.sample.config import Scale

HISTORY, DAYS, SEED = 90, 21, 5
SMALL = Scale(
    name="small", stores={"US": 1, "UK": 1, "DE": 1}, skus=40, days=150, customers=100,
    store_lines=34, web_lines=18, web_sessions=30,
)  # fmt: skip


@pytest.fixture(scope="module")
def start() -> Start:
    return Start.after(SEED, SMALL, HISTORY)


@pytest.fixture(scope="module")
def fixed(start: Start) -> Earned:
    return run(start, lambda _: Fixed(), DAYS)


@pytest.fixture(scope="module")
def clairvoyant(start: Start, config: PricingConfig) -> Earned:
    return run(start, lambda market: Clairvoyant(config, market), DAYS)


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_the_engine_beats_fixed_prices_and_not_the_clairvoyant(
    start: Start, fixed: Earned, clairvoyant: Earned, config: PricingConfig, tmp_path: Path, share: float
) -> None:
    exploration = config.exploration.model_copy(update={"share": share})
    engine = Engine(config.model_copy(update={"exploration": exploration}), tmp_path)
    earned = run(start, lambda _: engine, DAYS)
    assert fixed.expected.sum() < earned.expected.sum() <= clairvoyant.expected.sum()
    assert (max(engine.tried) > 0) is (share > 0)
    assert max(engine.tried) <= share


def test_the_bandit_obeys_the_guardrails_and_learns_only_from_its_sales(
    start: Start, clairvoyant: Earned, config: PricingConfig
) -> None:
    earned = run(start, lambda market: Bandit(config, market, SEED), DAYS)
    assert earned.expected.sum() < clairvoyant.expected.sum()


def test_a_run_leaves_its_start_alone_and_gives_the_same_again(start: Start, fixed: Earned) -> None:
    assert start.records.last is not None
    assert start.records.last.number == HISTORY - 1
    again = run(start, lambda _: Fixed(), DAYS)
    assert np.array_equal(again.expected, fixed.expected)
    assert np.array_equal(again.till, fixed.till)


def test_no_pricer_moves_a_price_by_more_than_one_step(start: Start, config: PricingConfig) -> None:
    own = start.fork()
    prices = [own.records.last.listed] if own.records.last else []
    pricer = Clairvoyant(config, own.market)
    for day in range(HISTORY, HISTORY + 5):
        own.records.add(own.market.step(day, pricer.decide(own.records)))
        assert own.records.last is not None
        prices.append(own.records.last.listed)
    listed = start.market.ranged(HISTORY)
    steps = np.abs(np.diff(np.stack(prices), axis=0) / np.stack(prices)[:-1])[:, listed]
    assert steps.max() <= 0.15
    assert steps.max() > 0.05
