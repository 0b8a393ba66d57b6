"""Orders cost money twice, as empty shelves and as full ones: what is needed is learnt, and the sums must be right."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.planning import order_assets, order_checks
from retail_assets.planning.config import PlanningConfigError
from retail_assets.planning.order_policy import needs_covered, proposed_for_all, sums_calibrated, whole_cases
from retail_assets.planning.ordering import CONFIG_FILE, CalibrationConfig, OrderingConfig
from retail_assets.planning.orders import expected_units
from retail_assets.planning.simulation import Start, replenish, service
from retail_assets.planning.sum_quantiles import complete_days, covered, learnt, needed, period_sums
from retail_assets.resources.lake import Lake
from tests.planning.small_plan import SKUS, STORES, write_plan

SERIES = ["store_id", "sku"]


@pytest.fixture(scope="module")
def config() -> OrderingConfig:
    return OrderingConfig.load()


def days(series: int = 200, length: int = 28, seed: int = 1) -> pd.DataFrame:
    """Days of Poisson demand with an error of each series' level, as `complete_days` gives them."""
    chance = np.random.default_rng(seed)
    mean = np.repeat(chance.uniform(0.3, 6.0, series), length)
    level = np.repeat(chance.gamma(25.0, 1 / 25.0, series), length)
    names = np.repeat([f"k{n:04d}" for n in range(series)], length)
    horizon = np.tile(np.arange(1, length + 1), series)
    units = chance.poisson(mean * level).astype(float)
    return pd.DataFrame({"store_id": "s", "sku": names, "horizon": horizon, "mean": mean, "units": units})


def test_later_sections_win_key_by_key(config: OrderingConfig) -> None:
    sections = {
        "departments": {"grocery": {"lead_days": 1, "case_pack": 6}},
        "categories": {"bread": {"case_pack": 8}},
        "stores": {"far": {"lead_days": 9}},
        "skus": {"K2": {"service_level": 0.99}},
    }
    changed = OrderingConfig.model_validate(config.model_dump() | sections)
    series = pd.DataFrame(
        [("near", "K1", "grocery", "bread"), ("far", "K2", "grocery", "cakes"), ("near", "K3", None, None)],
        columns=["store_id", "sku", "department", "category"],
    )
    terms = changed.terms(series)
    assert terms["lead_days"].tolist() == [1, 9, 3] and terms["case_pack"].tolist() == [8, 6, 1]
    assert terms["service_level"].tolist() == [0.95, 0.99, 0.95]
    assert terms["protection_days"].tolist() == [1 + 3 - 1, 9 + 3 - 1, 3 + 3 - 1]
    assert changed.service_levels() == [0.95, 0.99]


@pytest.mark.parametrize(
    ("line", "says"),
    [("  review_days: 3", "review_days: 0"), ("  service_level: 0.95", "service_level: 95"),
     ("  case_pack: 1", "case_pakc: 1")],
)  # fmt: skip
def test_an_impossible_or_unknown_term_is_named(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "ordering.yaml"
    file.write_text(CONFIG_FILE.read_text().replace(line, f"  {says}", 1))
    with pytest.raises(PlanningConfigError, match=says.split(":")[0]):
        OrderingConfig.load(file)


@given(st.integers(1, 28), st.integers(1, 4))
def test_periods_are_whole_and_lose_no_day_inside(length: int, series: int) -> None:
    rows = days(series)
    sums = period_sums(rows, [length])
    assert len(sums) == series * (28 // length)
    inside = rows[rows["horizon"] <= 28 // length * length]
    assert sums["units"].sum() == inside["units"].sum()


def test_what_is_needed_covers_as_often_as_asked_and_is_less_than_the_sum_of_daily_quantiles(
    config: OrderingConfig,
) -> None:
    levels, seen, held = [0.8, 0.95], days(seed=1), period_sums(days(seed=2), [7])
    table = learnt(period_sums(seen, [1, 7]), levels, config.calibration)
    for level in levels:
        units = needed(table, held["mean"].to_numpy(), held["length"].to_numpy(), np.full(len(held), level))
        share = (held["units"] <= units).mean()
        assert level - 0.03 <= share <= level + 0.06, "whole units may cover a little more"
    daily = needed(table, held["mean"].to_numpy() / 7, np.full(len(held), 1), np.full(len(held), 0.95))
    weekly = needed(table, held["mean"].to_numpy(), np.full(len(held), 7), np.full(len(held), 0.95))
    assert weekly.mean() < 0.8 * 7 * daily.mean()
    assert 0.92 <= covered(period_sums(seen, [4]), 0.95, config) <= 1.0


def test_a_day_that_sold_out_counts_as_at_least_what_it_sold() -> None:
    proof = days(2).assign(target_date=lambda rows: rows["horizon"])
    known = proof[~proof["horizon"].isin([3, 4, 5]) | (proof["sku"] == "k0001")]
    sold = pd.DataFrame({"store_id": "s", "sku": "k0000", "target_date": [3, 4], "gross_units": [40.0, 0.0]})
    filled = complete_days(known, sold).query("sku == 'k0000'").set_index("horizon")
    usual = known["mean"].iloc[0]
    assert len(filled) == 28 and filled["units"].notna().all()
    assert filled.loc[3, "units"] >= 40 and filled.loc[4, "units"] == filled.loc[5, "units"] == pytest.approx(usual)


def test_days_beyond_the_forecast_are_like_its_mean_day() -> None:
    forecasts = pd.DataFrame({"store_id": "s", "sku": "k", "horizon": [1, 2], "mean": [2.0, 4.0]})
    terms = pd.DataFrame({"store_id": ["s"], "sku": ["k"], "protection_days": [4]})
    assert expected_units(forecasts, terms)["expected_units"].tolist() == [12.0]
    assert expected_units(forecasts, terms.assign(protection_days=1))["expected_units"].tolist() == [2.0]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = write_plan(Lake.at(tmp_path_factory.mktemp("orders") / "lake"))
    statuses = [(order_assets.order_proposals(lake=lake).metadata or {})["status"] for _ in range(2)]
    assert statuses == ["proposed", "unchanged"] and lake.version("gold", "order_proposals") == 0
    return lake


def test_every_series_has_a_proposal_with_its_arithmetic_and_a_reason(made: Lake) -> None:
    rows = made.open("gold", "order_proposals").to_pyarrow_table().to_pandas()
    assert len(rows) == len(STORES) * len(SKUS)
    assert {r.check_name: r.passed for r in order_checks.order_checks(lake=made)} == {
        "every_forecast_series_has_a_proposal": True, "orders_are_whole_cases": True, "needs_are_covered": True,
        "sums_are_calibrated": True,
    }  # fmt: skip
    blind = rows[rows["on_hand"].isna()]
    assert blind[SERIES].to_numpy().tolist() == [["US-002", "SKU-00001"]]
    assert blind["proposed_units"].tolist() == [0] and "not counted" in blind["reason"].iloc[0]
    ordered = rows[rows["proposed_units"] > 0].iloc[0]
    assert f"95 % service needs {ordered['needed_units']:.0f}; " in ordered["reason"]
    cases = int(ordered["proposed_cases"])
    assert f"{cases} case{'s' * (cases != 1)} of {ordered['case_pack']}" in ordered["reason"]
    assert (rows["needed_units"] >= rows["expected_units"]).all()


def test_an_empty_lake_proposes_nothing(lake: Lake) -> None:
    assert (order_assets.order_proposals(lake=lake).metadata or {})["status"] == "no forecasts yet"
    assert all(result.passed for result in order_checks.order_checks(lake=lake))


@pytest.mark.parametrize(
    ("change", "judge", "says"),
    [
        ({"proposed_units": -6, "proposed_cases": -1}, whole_cases, "1 orders are negative"),
        ({"proposed_units": 7}, whole_cases, "no whole cases"),
        ({"on_hand": 0, "on_order": 0, "needed_units": 99.0}, needs_covered, "1 orders leave less"),
        ({"proposed_units": 600, "proposed_cases": 100}, needs_covered, "a case or more too much"),
        ({"on_hand": None, "proposed_units": 6}, needs_covered, "1 orders of what was not counted"),
    ],
)
def test_a_wrong_order_is_found(change: dict[str, object], judge: object, says: str) -> None:
    row = {"on_hand": 5, "on_order": 1, "needed_units": 11.0, "case_pack": 6, "proposed_cases": 1, "proposed_units": 6}
    assert judge(pd.DataFrame([row])).passed  # type: ignore[operator]
    assert says in str(judge(pd.DataFrame([row | change])).reasons)  # type: ignore[operator]


def test_a_missing_a_double_and_a_foreign_proposal_are_found() -> None:
    forecasts = pd.DataFrame({"store_id": ["s", "s"], "sku": ["a", "b"]})
    assert proposed_for_all(forecasts, forecasts).passed
    assert not proposed_for_all(forecasts.iloc[:1], forecasts).passed
    assert not proposed_for_all(forecasts, forecasts.iloc[:1]).passed
    assert not proposed_for_all(pd.concat([forecasts, forecasts]), forecasts).passed


@pytest.mark.parametrize(
    ("share", "periods", "passed"),
    [(0.95, 5000, True), (0.90, 5000, False), (0.99, 5000, False), (float("nan"), 5000, False), (0.5, 10, True)],
)
def test_sums_are_held_to_the_service_level(share: float, periods: int, passed: bool, config: OrderingConfig) -> None:
    assert sums_calibrated({0.95: share}, periods, config.calibration).passed is passed


def test_a_shelf_played_by_hand() -> None:
    """Lead 2, review 2, cases of 5, order up to 6: 5 on the shelf, none on the way, and 3 units wanted each day."""
    one = np.array([2])
    start = Start(np.array([5.0]), np.array([0.0]), np.array([1]))
    out = replenish(np.full((1, 6), 3.0), np.full((1, 7), 6.0), one, one, np.array([5]), start)
    assert out.closing.tolist() == [[2.0, 4.0, 1.0, 3.0, 0.0, 2.0]]  # 5 ordered on day 0 open on day 2, and so on
    assert out.sold.tolist() == [[3.0, 3.0, 3.0, 3.0, 3.0, 3.0]] and out.lost.sum() == 0
    assert service(out, one, one).cycle_service == 1.0


@given(st.integers(0, 10_000))
def test_no_unit_is_sold_twice_or_lost_from_the_books(seed: int) -> None:
    chance = np.random.default_rng(seed)
    lead, review, case = (chance.integers(1, 6, 5) for _ in range(3))
    start = Start(
        chance.integers(0, 9, 5).astype(float), chance.integers(0, 9, 5).astype(float), chance.integers(1, 5, 5)
    )
    demand = chance.poisson(2.0, (5, 20)).astype(float)
    out = replenish(demand, np.full((5, 21), 8.0), lead, review, case, start)
    assert (out.sold + out.lost == demand).all() and (out.closing >= 0).all()
    assert (out.lost[out.closing > 0] == 0).all()
    found = service(out, lead, review)
    assert 0 <= found.cycle_service <= 1 and 0 <= found.fill_rate <= 1


def test_the_calibration_section_is_part_of_the_file(config: OrderingConfig) -> None:
    assert isinstance(config.calibration, CalibrationConfig) and config.calibration.tolerance < 0.1
