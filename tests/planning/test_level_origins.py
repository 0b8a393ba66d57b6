"""Intervals of levels come from several earlier origins, of days that the model asked had not seen."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.frames import Gold, sampled
from retail_assets.forecasting.model import DemandForecaster
from retail_assets.planning import assets, levels
from retail_assets.planning.level_origins import MOST_ORIGINS, SCHEMA, earlier_origins, rolling_sums
from retail_assets.planning.levels import LEVELS, LOWEST, LevelIntervals
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from tests.forecasting.small_gold import NEWEST, SKUS, STORES, Features, demand, features, write_gold

SHARES = (0.05, 0.5, 0.95)


@given(age=st.integers(0, 200), horizon=st.integers(1, 28))
def test_origins_are_after_the_training_and_their_days_have_all_come(age: int, horizon: int) -> None:
    newest = date(2026, 6, 1)
    found = earlier_origins(newest - timedelta(days=age), newest, horizon)
    assert all(newest - timedelta(days=age) <= day <= newest - timedelta(days=horizon) for day in found)
    assert bool(found) == (age >= horizon) and len(found) <= MOST_ORIGINS
    assert {(b - a).days for a, b in zip(found, found[1:], strict=False)} <= {7}


def test_each_origin_is_summed_to_every_level_above_the_store_sku(tmp_path: Path) -> None:
    sales = demand()
    source, past = Features(features(sales)), NEWEST - timedelta(days=42)
    lake, config = write_gold(Lake.at(tmp_path / "lake"), sales, source.frame), ForecastingConfig.load()
    rows = source.training_set("demand_forecast", past - timedelta(days=60), past)
    examples = Gold(lake, past).examples(sampled(rows, 28, past, 5000, 1))
    few = config.model_copy(update={"lightgbm": config.lightgbm.model_copy(update={"num_iterations": 5})})
    model = DemandForecaster.fit(examples, source.features("demand_forecast"), few)
    origins = earlier_origins(past, NEWEST, config.horizon)
    made = rolling_sums(lake, source, model, origins, NEWEST)
    assert list(made.columns) == SCHEMA.names and made["origin_date"].unique().tolist() == origins
    assert set(made["level"]) == set(LEVELS) - {LOWEST}
    total = made[made["level"] == "total"]
    assert len(total) == 28 * len(origins) and (total["target_date"] > total["origin_date"]).all()
    day = NEWEST - timedelta(days=3)
    known = sales[(sales["day"] == pd.Timestamp(day)) & ~sales["is_stocked_out"]]
    assert total.loc[total["target_date"] == day, "units"].tolist() == [known["gross_units"].sum()]
    stores = made[(made["level"] == "store") & (made["target_date"] == day)]
    assert stores["mean"].sum() == pytest.approx(total.loc[total["target_date"] == day, "mean"].item())
    assert len(STORES) == len(stores) and len(SKUS) == (made["level"] == "sku").sum() / (28 * len(origins))


def test_without_a_model_that_answers_there_is_nothing_to_ask(own_plan: Lake, tmp_path: Path) -> None:
    source = Features(features(demand()))
    own_plan.overwrite("gold", "feat_store_product_daily", source.training_set("", NEWEST, NEWEST), ["business_date"])
    made = assets.level_backtest(
        lake=own_plan, feature_store=source, model_store=ModelStore.at(tmp_path / "models")
    )  # fmt: skip
    assert (made.metadata or {})["status"] == "no forecasts yet"


def _weeks(count: int, groups: int, seed: int, bias: float = 0.0) -> pd.DataFrame:
    """Sums of `groups` whose error is shared by the days of each of `count` weeks, and biased in all of them."""
    chance = np.random.default_rng(seed)
    days = pd.date_range("2026-01-05", periods=7 * count)
    shared = np.repeat(chance.normal(bias, 0.06, (count, groups)), 7, axis=0)
    mean = chance.uniform(500.0, 2000.0, (len(days), groups))
    units = mean * (1.0 + shared + chance.normal(0.0, 0.03, mean.shape))
    return pd.DataFrame(
        {"level": "total", "target_date": days.repeat(groups), "horizon": 1, "units": units.ravel(),
         "mean": mean.ravel()}
    )  # fmt: skip


def _covered(groups: int, bias: float, later: float) -> float:
    """Share of the next eight weeks, with the bias `later`, inside intervals learnt from eight with `bias`."""
    shares = []
    for seed in range(30):
        seen, held = _weeks(8, groups, seed, bias), _weeks(8, groups, seed + 500, later)
        made = LevelIntervals.fit(seen, SHARES).quantiles("total", held["mean"].to_numpy())
        shares.append(held["units"].between(made[:, 0], made[:, -1]).mean())
    return float(np.mean(shares))


def test_a_few_biased_weeks_are_not_taken_for_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    covered = _covered(1, 0.08, -0.04)
    monkeypatch.setattr(levels, "PRIOR_ERRORS", 0.0)
    assert covered > 0.78 and covered > _covered(1, 0.08, -0.04) + 0.2


@pytest.mark.parametrize("groups", [1, 50])
def test_weeks_that_share_their_error_are_covered_as_often_as_said(groups: int) -> None:
    assert 0.86 <= _covered(groups, 0.0, 0.0) <= 0.94
