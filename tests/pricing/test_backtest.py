"""A person's own history: what is wrong with it is named, what is right is found, on rows the model has not seen."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retail_assets.pricing.backtest.backtest import CONTENDERS, backtest
from retail_assets.pricing.backtest.history import Columns, HistoryError, read_history
from retail_assets.pricing.backtest.history_model import pooled_ols, series_ols, shrunken
from tests.pricing.simulated_history import COLUMNS, run, simulate

REFERENCE = [-2.48, -1.40, -2.78, -3.20, -2.35, -1.77, -2.27, -2.03, -3.28, -2.81, -1.12]


@pytest.mark.parametrize("family", ["log", "count"])
def test_planted_elasticities_are_found_better_than_by_least_squares(family: str, written: Callable) -> None:
    table = simulate()
    history = read_history(written(table), COLUMNS)
    truth = table.groupby(["store", "brand"])["truth"].first().to_numpy()
    found, *peers = (f(history).theta[:, 0] for f in (lambda h: shrunken(h, family), pooled_ols, series_ols))
    errors = [np.sqrt(np.mean((x - truth) ** 2)) for x in (found, *peers)]
    assert errors[0] < min(errors[1:])
    assert errors[0] < 0.25


@pytest.mark.parametrize("family", ["log", "count"])
def test_intervals_cover_what_was_planted(family: str, written: Callable) -> None:
    inside = []
    for seed in range(20, 30):
        table = simulate(seed=seed)
        truth = table.groupby(["store", "brand"])["truth"].first().to_numpy()
        found = shrunken(read_history(written(table), COLUMNS), family)
        inside.append(np.abs(found.theta[:, 0] - truth) < 1.96 * np.sqrt(found.variance[:, 0]))
    assert 0.92 < np.mean(inside) < 0.985


def test_an_elasticity_lies_between_its_own_and_its_items(written: Callable) -> None:
    history = read_history(written(simulate(weeks=25)), Columns(("store", "brand"), "week", "units", "price"))
    found, own = shrunken(history, "log"), series_ols(history).theta[:, 0]
    item = found.item_mean[history.item_of_series, 0]
    assert (found.theta[:, 0] >= np.minimum(own, item) - 1e-6).all()
    assert (found.theta[:, 0] <= np.maximum(own, item) + 1e-6).all()
    assert ((found.weight > 0) & (found.weight < 1)).all()


def test_slow_movers_with_weeks_of_nothing_are_counts(written: Callable) -> None:
    table = simulate(stores=12, base=0.0)
    assert (table["units"] == 0).mean() > 0.2
    found = run(written(table))
    assert found.kept == "shrunken_count"
    truth = table.groupby("brand")["truth"].mean().to_numpy()
    assert np.abs(np.array([item.elasticity for item in found.items]) - truth).max() < 0.5


def test_a_shock_that_hits_an_item_everywhere_widens_its_intervals(written: Callable) -> None:
    calm = simulate(seed=5)
    shock = np.random.default_rng(6).normal(0, 0.5, (5, 60))
    hit = calm.assign(units=np.round(calm["units"] * np.exp(shock[calm["brand"], calm["week"] - 100])))
    narrow, wide = (shrunken(read_history(written(t), COLUMNS), "log").item_variance for t in (calm, hit))
    assert (wide > 2 * narrow).all()


def test_forecasts_of_the_rows_held_back_and_elasticities_are_written(written: Callable) -> None:
    table = simulate()
    path = written(table)
    found = run(path, until="150")
    elasticities, items, forecasts, covariates = (pd.read_parquet(file) for file in found.files)
    assert list(elasticities)[:5] == ["store", "brand", "elasticity", "lo", "hi"]
    assert list(items)[:4] == ["brand", "elasticity", "lo", "hi"]
    assert list(covariates) == ["brand", "covariate", "effect", "lo", "hi"]
    assert len(covariates) == 5
    assert len(elasticities) == 40
    assert (elasticities["hi"] < 0).all()
    assert (elasticities["lo"] < elasticities["elasticity"]).all()
    late = table[table["week"] > 150]
    merged = forecasts.merge(late, on=["store", "brand", "week"], validate="one_to_one")
    assert len(merged) == len(late) == found.scored_rows
    assert np.abs(merged["forecast"] - merged["units_y"]).sum() / late["units"].sum() == pytest.approx(
        found.scores[found.forecast_by].wape
    )
    assert set(found.scores) == {*CONTENDERS, "with_others"}
    assert found.scores[found.kept].deviance < found.scores["no_response"].deviance


def test_nothing_after_the_split_is_learnt_from(written: Callable) -> None:
    table = simulate()
    first = run(written(table), until="150")
    kept = pd.read_parquet(first.files[0])
    later = table.assign(units=np.where(table["week"] > 150, table["units"] * 7 + 3, table["units"]))
    second = run(written(later), until="150")
    assert kept.equals(pd.read_parquet(second.files[0]))
    assert second.scores["pooled_ols"].wape > first.scores["pooled_ols"].wape


def test_a_price_that_never_moved_gives_the_items_elasticity_and_says_so(written: Callable) -> None:
    table = simulate()
    still = (table["store"] == 3) & (table["brand"] == 2)
    found = run(written(table.assign(price=np.where(still, 2.99, table["price"]))))
    row = pd.read_parquet(found.files[0]).query("store == 3 and brand == 2").iloc[0]
    item = pd.read_parquet(found.files[1]).query("brand == 2").iloc[0]
    assert row["elasticity"] == pytest.approx(item["elasticity"], abs=0.1)
    assert row["weight"] == 0
    assert row["hi"] - row["lo"] > item["hi"] - item["lo"]
    assert any(note.startswith("1 of 40 series never changed their price") for note in found.notes)


def test_a_series_that_appears_after_the_split_gets_its_items_elasticity_and_no_forecast(written: Callable) -> None:
    table = simulate()
    new = (table["store"] == 1) & (table["brand"] == 1) & (table["week"] <= 150)
    found = run(written(table[~new]), until="150")
    assert any("sold nothing in training" in note for note in found.notes)
    forecasts = pd.read_parquet(found.files[2])
    unknown = forecasts["forecast"].isna()
    assert set(zip(forecasts["store"][unknown], forecasts["brand"][unknown], strict=True)) == {(1, 1)}


def test_dates_strings_and_one_key_work(tmp_path: Path) -> None:
    table = simulate(stores=1)
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(7 * (table["week"] - 100), unit="D")
    file = tmp_path / "sales.csv"
    table.assign(week=day.dt.strftime("%Y-%m-%d"), brand="b " + table["brand"].astype(str)).to_csv(file, index=False)
    found = run(file, Columns(("brand",), "week", "units", "price"), until="2024-12-01")
    assert found.series == 5
    assert len(found.files) == 2
    assert pd.read_parquet(found.files[0])["brand"].tolist() == [f"b {i}" for i in range(5)]


def test_the_price_may_stand_in_a_column_per_item(written: Callable) -> None:
    table = simulate()
    wide = table.assign(**{f"price{b}": np.where(table["brand"] == b, table["price"], 99.0) for b in range(5)})
    one = read_history(written(table), COLUMNS).features
    many = read_history(
        written(wide.drop(columns="price")), Columns(("store", "brand"), "week", "units", "price{brand}", ("deal",))
    ).features
    assert np.array_equal(one, many)


def spoilt(column: str, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def spoil(table: pd.DataFrame) -> pd.DataFrame:
        changed = table.astype({column: object if isinstance(value, str) else float})
        changed.loc[7, column] = value
        return changed.astype({column: str}) if isinstance(value, str) else changed

    return spoil


@pytest.mark.parametrize(
    ("spoil", "columns", "says"),
    [
        (spoilt("price", 0.0), COLUMNS, ["price is not a price above zero: 0.0", "row 8"]),
        (spoilt("price", np.nan), COLUMNS, ["price is not a finite number", "row 8"]),
        (lambda t: t.assign(price=True), COLUMNS, ["price is no number: True", "row 1"]),
        (lambda t: t.assign(units=True), COLUMNS, ["units is no number: True", "row 1"]),
        (spoilt("units", "0x5"), COLUMNS, ["units is not a finite number: 0x5", "row 8"]),
        (spoilt("week", np.inf), COLUMNS, ["week is not a whole number: inf", "row 8"]),
        (spoilt("units", -3), COLUMNS, ["units is below zero", "-3", "row 8"]),
        (spoilt("deal", "yes"), COLUMNS, ["deal is not a finite number: yes", "row 8"]),
        (spoilt("week", 3.5), COLUMNS, ["week is not a whole number: 3.5"]),
        (spoilt("store", np.nan), COLUMNS, ["store is empty", "row 8"]),
        (lambda t: pd.concat([t, t[5:6]]), COLUMNS, ["is there twice", "store 0, brand 0, week 105"]),
        (lambda t: t[:0], COLUMNS, ["no rows"]),
        (lambda t: t[t["week"] < 104], COLUMNS, ["too few"]),
        (lambda t: t, Columns(("shop", "brand"), "week", "units", "price"), ["no column 'shop'", "use one of: store"]),
        (lambda t: t, Columns(("store", "brand"), "week", "units", "p{brand}"), ["no column 'p0'"]),
        (lambda t: t, Columns(("store", "brand"), "week", "units", "p{sku}"), ["'sku' is not a key"]),
        (lambda t: t, Columns(("store", "brand"), "week", "units", "price", item="sku"), ["'sku' is not a key"]),
        (lambda t: t, Columns(("store", "brand"), "week", "units", "price", ("week",)), ["named twice"]),
        (lambda t: t.assign(units=99), Columns(("store", "brand"), "week", "units", "price", (), True), ["logarithm"]),
    ],
)
def test_what_is_wrong_is_named_with_its_file_column_and_value(
    spoil: Callable, columns: Columns, says: list[str], written: Callable
) -> None:
    path = written(spoil(simulate()))
    with pytest.raises(HistoryError) as error:
        run(path, columns)
    for text in (*says, str(path)):
        assert text in str(error.value)


@pytest.mark.parametrize(("until", "says"), [("then", "is not a time like 100"), ("159", "leaves no rows")])
def test_a_split_that_is_none_is_refused(until: str, says: str, written: Callable) -> None:
    with pytest.raises(HistoryError, match=says):
        run(written(simulate()), until=until)


@pytest.mark.parametrize(("name", "says"), [("sales.xlsx", "neither of"), ("none.parquet", "does not exist")])
def test_a_file_that_cannot_be_read_is_named(name: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=says):
        read_history(tmp_path / name, COLUMNS)


def test_the_command_prints_who_won_and_speaks_json(retail: Callable, written: Callable, tmp_path: Path) -> None:
    path = written(simulate())
    asked = ["backtest", "pricing", str(path), "--series", "store,brand", "--time", "week", "--units", "units"]
    asked += ["--price", "price", "--covariates", "deal", "--out", str(tmp_path / "found" / "e.csv")]
    printed = retail(tmp_path, *asked).stdout
    assert "(kept)" in printed
    assert "log-log least squares per item" in printed
    found = json.loads(retail(tmp_path, *asked, "--train-until", "150", "--json").stdout)
    assert found["scored_after"] == "150"
    assert len(pd.read_csv(tmp_path / "found" / "e_forecasts.csv")) == found["scored_rows"]
    both = retail(tmp_path, *asked, "--log-units", "units", check=False)
    assert (both.returncode, "either --units or --log-units" in both.stderr) == (2, True)
    wrong = retail(tmp_path, *asked[:-1], str(tmp_path / "e.xlsx"), check=False)
    assert (wrong.returncode, "e.xlsx" in wrong.stderr) == (1, True)


@pytest.mark.real_data
@pytest.mark.skipif(not os.environ.get("RETAIL_REAL_DATA"), reason="RETAIL_REAL_DATA is not set: no orange juice")
@pytest.mark.parametrize("until", [None, "140"])
def test_orange_juice_gives_the_elasticities_known_of_it(until: str | None, tmp_path: Path) -> None:
    columns = Columns(("store", "brand"), "week", "logmove", "price{brand}", ("deal", "feat"), True)
    path = Path(os.environ["RETAIL_REAL_DATA"]) / "dominicks_oj" / "sales.parquet"
    found = backtest(path, columns, tmp_path / "e.parquet", until, -0.1, lambda step: None)
    assert (found.rows, found.series) == (106_139, 913)
    elasticity = np.array([item.elasticity for item in found.items])
    assert (elasticity < 0).all()
    scores = found.scores
    assert scores[found.kept].deviance < min(scores["pooled_ols"].deviance, scores["series_ols"].deviance)
    if until is None:
        assert np.allclose(elasticity, REFERENCE, rtol=0.25)
        assert np.allclose([item.ols for item in found.items], REFERENCE, atol=0.006)
        by_brand = pd.read_parquet(found.files[0]).groupby("brand")["elasticity"].mean()
        assert np.allclose(by_brand, REFERENCE, rtol=0.25)


def test_what_the_prices_of_others_do_is_told_and_used_where_it_forecasts_better(written: Callable) -> None:
    table = simulate(stores=6, weeks=80)
    log_price = np.log(table["price"] / (1 + table["brand"]))
    place = [table["store"], table["week"]]
    count = log_price.groupby(place).transform("size")
    others = (log_price.groupby(place).transform("sum") - log_price) / (count - 1).clip(lower=1)
    rng = np.random.default_rng(5)
    table["units"] = rng.poisson(table["units"] * np.exp(2.0 * others))
    path = written(table)
    found = run(path, until="160")
    assert found.forecast_by == "with_others"
    assert found.scores["with_others"].deviance < found.scores[found.kept].deviance
    for item in found.items:
        assert item.others is not None
        assert item.others_lo is not None
        assert item.others_hi is not None
        assert item.others_lo < item.others < item.others_hi
        assert abs(item.others - 2.0) < 1.0
    forecasts = pd.read_parquet(path.with_name("e_forecasts.parquet"))
    error = np.abs(forecasts["units"] - forecasts["forecast"]).sum() / forecasts["units"].sum()
    assert error == pytest.approx(found.scores["with_others"].wape)
    assert {"others", "others_lo", "others_hi"} <= set(pd.read_parquet(path.with_name("e_items.parquet")).columns)


def test_an_item_without_others_has_no_cross_elasticity(written: Callable) -> None:
    table = simulate(stores=4, brands=1)
    found = run(written(table), until="145")
    assert "with_others" not in found.scores
    assert found.forecast_by == found.kept
    assert found.items[0].others is None
