"""The estimator must find what was planted, better than the baselines, where promotions fall on strong weeks."""

from collections.abc import Callable

import numpy as np
import pytest

from retail_assets.pricing.config import PricingConfig
from retail_assets.pricing.response.baselines import pooled_ols, sku_ols
from retail_assets.pricing.response.evaluation import elasticity_errors, held_out, metrics
from retail_assets.pricing.response.response import fit, uncensored
from retail_assets.pricing.response.training import Training, gold_versions, train
from retail_assets.pricing.response.training_frames import ResponseDataError, ResponseFrame, frame_of, read_panel


@pytest.fixture(scope="module")
def training(retailer, config: PricingConfig) -> Training:
    return train(retailer.lake, config, gold_versions(retailer.lake), retailer.last_day)


@pytest.fixture(scope="module")
def frame(retailer, config: PricingConfig) -> ResponseFrame:
    versions = gold_versions(retailer.lake)
    return frame_of(read_panel(retailer.lake, retailer.last_day, config.response, versions), config.response)


def errors(estimated: np.ndarray, retailer) -> float:
    return elasticity_errors(estimated, estimated, estimated, retailer.elasticity)["rmse"]


def test_planted_elasticities_are_found_better_than_by_both_baselines(training, frame, retailer) -> None:
    table = training.model.table[: len(retailer.skus)]
    found = elasticity_errors(table[:, 0], table[:, 2], table[:, 3], retailer.elasticity)
    assert found["rmse"] < errors(pooled_ols(frame)[:, 0], retailer)
    assert found["rmse"] < errors(sku_ols(frame)[:, 0], retailer)
    assert found["rmse"] < 0.45
    assert abs(found["bias"]) < 0.2
    assert found["coverage"] > 0.8


def test_every_elasticity_is_negative_and_inside_its_interval(training) -> None:
    elasticity, _, lo, hi, _, weight = training.model.table.T
    assert (elasticity < 0).all()
    assert (lo <= elasticity).all()
    assert (elasticity <= hi).all()
    assert (hi < 0).all()
    assert ((weight >= 0) & (weight <= 1)).all()


def test_held_back_weeks_are_predicted_better_than_without_a_response(training) -> None:
    deviance = training.holdout.deviance
    kept = deviance[training.holdout.kept]
    assert kept < deviance["no_response"]
    assert kept < deviance["sku_ols"]
    assert training.metrics["holdout_skill"] == pytest.approx(
        1 - kept / min(deviance["pooled_ols"], deviance["sku_ols"]), abs=1e-5
    )


def test_the_metrics_are_those_that_the_gates_ask_for(training) -> None:
    from retail_assets.core.gates import evaluate
    from retail_assets.releases.evidence import FACTS
    from retail_assets.releases.gates import ReleaseConfig

    gates = [gate for gate in ReleaseConfig.load().gates("pricing") if gate.metric not in FACTS]
    assert evaluate(gates, training.metrics).passed
    for worse in ({"negative_share": 0.99}, {"holdout_skill": -0.5}, {"interval_share": float("nan")}):
        assert not evaluate(gates, training.metrics | worse).passed
    assert not evaluate(gates, training.metrics | {"holdout_deviance": 99.0}).passed
    assert not evaluate(gates, training.metrics | {"deviance_ratio_error/all": float("nan")}).passed
    category = next(name for name in training.metrics if name.startswith("deviance_ratio/category="))
    assert not evaluate(gates, training.metrics | {category: 2.0}).passed, "one category lost, though the mean wins"


def test_days_that_sold_out_are_censored_and_empty_ones_left_out(planted: Callable, config: PricingConfig) -> None:
    retailer = planted()
    versions = gold_versions(retailer.lake)
    panel = read_panel(retailer.lake, retailer.last_day, config.response, versions).to_pandas()
    sales = retailer.lake.open("gold", "fct_sales_daily").to_pyarrow_table().to_pandas()
    empty = sales["is_stocked_out"] & (sales["gross_units"] == 0)
    assert panel["days"].sum() == (~empty).sum()
    assert panel["units"].sum() == sales["gross_units"].sum()
    hidden = panel[panel["sold_out_on"].notna()]
    assert hidden["days"].eq(1).all()
    assert len(hidden) == (sales["is_stocked_out"] & (sales["gross_units"] > 0)).sum()


def test_days_that_gold_leaves_out_count_as_zero(planted: Callable, config: PricingConfig) -> None:
    retailer = planted()
    before = read_panel(retailer.lake, retailer.last_day, config.response, gold_versions(retailer.lake))
    sales = retailer.lake.open("gold", "fct_sales_daily").to_pyarrow_table().to_pandas()
    sold = sales[(sales["gross_units"] > 0) | sales["is_stocked_out"]]
    retailer.lake.overwrite("gold", "fct_sales_daily", _table(sold), partition_by=["business_date"])
    after = read_panel(retailer.lake, retailer.last_day, config.response, gold_versions(retailer.lake))
    assert sum(after["units"].to_pylist()) == sum(before["units"].to_pylist())
    assert sum(after["days"].to_pylist()) > 0.97 * sum(before["days"].to_pylist())


def test_a_day_without_a_row_costs_what_it_cost_elsewhere_that_week(planted: Callable, config: PricingConfig) -> None:
    retailer = planted(stores=4)
    sales = retailer.lake.open("gold", "fct_sales_daily").to_pyarrow_table().to_pandas()
    unsold = (sales["store_id"] == "US-000") & (sales["gross_units"] == 0) & ~sales["is_stocked_out"]
    before = read_panel(retailer.lake, retailer.last_day, config.response, gold_versions(retailer.lake)).to_pandas()
    retailer.lake.overwrite("gold", "fct_sales_daily", _table(sales[~unsold]), partition_by=["business_date"])
    after = read_panel(retailer.lake, retailer.last_day, config.response, gold_versions(retailer.lake)).to_pandas()
    keys = ["store_id", "sku", "week"]
    prices = [panel.groupby(keys)["price"].agg(["min", "max"]) for panel in (before, after)]
    both = prices[0].join(prices[1], rsuffix="_after", how="inner")
    assert np.allclose(both["min"], both["min_after"], atol=0.0051)
    assert np.allclose(both["max"], both["max_after"], atol=0.0051)


def test_a_panel_is_the_same_every_time(planted: Callable, config: PricingConfig) -> None:
    retailer = planted()
    sales = retailer.lake.open("gold", "fct_sales_daily").to_pyarrow_table().to_pandas()
    by_weight = _table(sales.assign(gross_units=sales["gross_units"] * 0.137))
    retailer.lake.overwrite("gold", "fct_sales_daily", by_weight, partition_by=["business_date"])
    versions = gold_versions(retailer.lake)
    first, *others = (read_panel(retailer.lake, retailer.last_day, config.response, versions) for _ in range(4))
    assert all(panel.equals(first) for panel in others)


def test_hidden_demand_is_at_least_what_was_sold() -> None:
    sold, mean = np.array([1.0, 5.0, 5.0, 40.0, 0.5]), np.array([3.0, 0.01, 5.0, 2.0, 4.0])
    found = uncensored(sold, mean)
    exact = [_expected(int(max(s, 1)), m) for s, m in zip(sold[:4], mean[:4], strict=True)]
    assert np.allclose(found[:4], exact, rtol=1e-3)
    assert (found >= sold).all()
    assert (found <= sold + mean).all()


def _expected(sold: int, mean: float) -> float:
    from scipy.stats import poisson

    demand = np.arange(sold, sold + 400)
    weight = np.exp(poisson.logpmf(demand, mean) - poisson.logpmf(demand[0], mean))
    return float((demand * weight).sum() / weight.sum())


def test_too_little_history_is_a_named_error(planted: Callable, config: PricingConfig) -> None:
    retailer = planted(days=14)
    with pytest.raises(ResponseDataError, match="cannot be learnt: .* 0 of them on 15 days"):
        train(retailer.lake, config, gold_versions(retailer.lake), retailer.last_day)


def test_too_few_weeks_to_hold_back_is_a_named_error(planted: Callable, config: PricingConfig) -> None:
    retailer = planted(days=27)
    panel = read_panel(retailer.lake, retailer.last_day, config.response, gold_versions(retailer.lake))
    with pytest.raises(ResponseDataError, match="too few to hold back"):
        held_out(frame_of(panel, config.response), config.response)


def test_a_fit_does_not_depend_on_chance(frame: ResponseFrame, config: PricingConfig) -> None:
    first, second = fit(frame, config.response), fit(frame, config.response)
    assert np.array_equal(first.posterior.mean, second.posterior.mean)


def test_metrics_of_a_broken_model_fail_instead_of_flattering(training) -> None:
    from dataclasses import replace

    table = training.model.table.copy()
    table[0, 0] = np.nan
    found = metrics(replace(training.model, table=table), training.holdout)
    assert found["interval_share"] < 1
    assert found["negative_share"] < 1


def _table(frame):
    import pyarrow as pa

    return pa.Table.from_pandas(frame, preserve_index=False)
