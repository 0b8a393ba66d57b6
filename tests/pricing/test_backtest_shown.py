"""What a pricing backtest shows and writes: what an estimate rests on, covariates, one story per item, dates."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retail_assets.pricing.backtest.backtest import backtest
from retail_assets.pricing.backtest.history import Columns, HistoryError
from tests.pricing.simulated_history import run, simulate


def still_prices(table: pd.DataFrame, items: range) -> pd.DataFrame:
    """The table with the prices of some items held."""
    return table.assign(price=np.where(table["brand"].isin(items), 2.99, table["price"]))


def test_a_history_without_a_price_change_has_no_elasticity(written: Callable) -> None:
    found = run(written(still_prices(simulate(), range(5))))
    assert found.notes == [
        "no price ever moved by more than 1 % with at least 3 periods at either price: nothing can be learnt of prices,"
        " every elasticity is left empty"
    ]
    for file in found.files[:2]:
        table = pd.read_parquet(file)
        assert table[["elasticity", "lo", "hi", "ols"]].isna().all(axis=None)
        assert set(table["source"]) == {"none"}
    assert {(row.elasticity, row.ols, row.others, row.source) for row in found.items} == {(None, None, None, "none")}
    assert all(covariate.effect is not None for covariate in found.covariates)
    assert "NaN" not in found.model_dump_json()


def test_an_elasticity_says_whose_prices_it_rests_on(written: Callable) -> None:
    table = still_prices(simulate(), range(2, 3))
    table["price"] = np.where((table["store"] == 1) & (table["brand"] == 0), 1.5, table["price"])
    found = run(written(table))
    series, items = (pd.read_parquet(file) for file in found.files[:2])
    source = series.set_index(["store", "brand"])["source"]
    assert set(source[source.index.get_level_values("brand") == 2]) == {"others"}
    assert source[(1, 0)] == "item"
    assert (source == "own").sum() == 40 - 8 - 1
    assert items["source"].tolist() == ["own", "own", "others", "own", "own"]
    assert items["ols"].isna().tolist() == [False, False, True, False, False]
    assert any(note.startswith("1 of 40 series never changed their price") for note in found.notes)
    assert any(note.startswith("8 of 40 series are of items whose price never changed") for note in found.notes)


def test_covariates_are_told_with_intervals_that_cover_what_was_planted(written: Callable) -> None:
    inside = []
    for seed in range(40, 46):
        path = written(simulate(seed=seed))
        found = run(path)
        table = pd.read_parquet(path.with_name("e_covariates.parquet"))
        assert [row.effect for row in found.covariates] == table["effect"].tolist()
        assert (table["lo"] < table["effect"]).all()
        inside += [row.lo < 0.4 < row.hi for row in found.covariates if row.lo is not None and row.hi is not None]
    assert len(inside) == 30
    assert np.mean(inside) > 0.85


def test_a_covariate_that_never_moves_has_no_effect(written: Callable) -> None:
    found = run(written(simulate().assign(deal=1)))
    assert {(row.covariate, row.effect, row.lo, row.hi) for row in found.covariates} == {("deal", None, None, None)}


def test_series_of_one_key_have_their_own_estimates_in_print_and_file(retail: Callable, tmp_path: Path) -> None:
    table = simulate(stores=1, weeks=100)
    table.to_csv(tmp_path / "sales.csv", index=False)
    asked = ["backtest", "pricing", str(tmp_path / "sales.csv"), "--series", "brand", "--time", "week"]
    asked += ["--units", "units", "--price", "price", "--covariates", "deal", "--out", str(tmp_path / "e.csv")]
    printed = retail(tmp_path, *asked).stdout
    made = pd.read_csv(tmp_path / "e.csv")
    assert made["elasticity"].round(2).nunique() == 5
    for row in made.itertuples(index=False):
        figures = f"{row.elasticity:.2f} {row.lo:.2f} to {row.hi:.2f} {row.ols:.2f} {row.weight:.2f}"
        assert f"{row.brand} {figures} {row.rows:,} own" in " ".join(printed.replace("│", " ").split())
    assert "average series" not in printed
    assert not (tmp_path / "e_items.csv").exists()
    effects = pd.read_csv(tmp_path / "e_covariates.csv")
    assert effects["brand"].tolist() == [0, 1, 2, 3, 4]
    found = json.loads(retail(tmp_path, *asked, "--json").stdout)
    assert [row["elasticity"] for row in found["own"]] == pytest.approx(made["elasticity"].tolist())
    assert [row["effect"] for row in found["covariates"]] == pytest.approx(effects["effect"].tolist())


def test_an_item_is_told_alike_in_print_and_file(retail: Callable, tmp_path: Path) -> None:
    simulate(stores=10).to_csv(tmp_path / "sales.csv", index=False)
    asked = ["backtest", "pricing", str(tmp_path / "sales.csv"), "--series", "store,brand", "--time", "week"]
    asked += ["--units", "units", "--price", "price", "--out", str(tmp_path / "e.csv")]
    printed = " ".join(retail(tmp_path, *asked).stdout.replace("│", " ").split())
    series, items = (pd.read_csv(tmp_path / f"e{name}.csv") for name in ("", "_items"))
    for row in items.itertuples(index=False):
        mine = series.loc[series["brand"] == row.brand, "elasticity"]
        assert (row.lowest, row.highest) == pytest.approx((mine.min(), mine.max()))
        figures = f"{row.elasticity:.2f} {row.lo:.2f} to {row.hi:.2f} {row.ols:.2f}"
        assert f"{row.brand} {figures} {row.series} {row.lowest:.2f} to {row.highest:.2f}" in printed


def test_the_series_of_an_item_that_is_alone_is_the_item(written: Callable) -> None:
    found = run(written(simulate(stores=1, weeks=80)), Columns(("store", "brand"), "week", "units", "price"))
    for item, series in zip(found.items, found.own, strict=True):
        assert (item.elasticity, item.lo, item.hi) == (series.elasticity, series.lo, series.hi)


@pytest.mark.parametrize(
    ("write", "until", "shown"),
    [
        (lambda day: day.strftime("%Y-%m-%d"), "2024-09-30", "2024-09-30"),
        (lambda day: day.strftime("%d.%m.%Y"), "30.09.2024", "30.09.2024"),
        (lambda day: day, "2024-09-30", "2024-09-30"),
        (lambda day: day + pd.Timedelta(hours=6), "2024-09-30 12:00", "2024-09-30 06:00:00"),
    ],
)
def test_dates_stay_dates_in_files_titles_and_messages(write: Callable, until: str, shown: str, tmp_path: Path) -> None:
    table = simulate(stores=2)
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(7 * (table["week"] - 100), unit="D")
    table = table.assign(week=day.map(write))
    text = isinstance(table["week"].iloc[0], str)
    path = tmp_path / ("sales.csv" if text else "sales.parquet")
    table.to_csv(path, index=False) if text else table.to_parquet(path, index=False)
    found = run(path, until=until)
    assert found.scored_after == shown
    forecasts = pd.read_parquet(found.files[2])
    assert set(forecasts["week"].astype(str)) <= set(
        table["week"].map(lambda value: str(value).removesuffix(" 00:00:00"))
    )
    with pytest.raises(HistoryError) as error:
        run(path, until="2031-01-01")
    assert "00:00:00" not in str(error.value)
    with pytest.raises(HistoryError, match="is not a time like"):
        run(path, until="soon")


def test_keys_of_a_csv_file_are_not_made_numbers(tmp_path: Path) -> None:
    table = simulate(stores=1)
    table.assign(brand="00" + table["brand"].astype(str)).to_csv(tmp_path / "sales.csv", index=False)
    found = run(tmp_path / "sales.csv", Columns(("brand",), "week", "units", "price"))
    assert [row.series for row in found.own] == [f"00{i}" for i in range(5)]


@pytest.mark.parametrize("zone", [None, "Asia/Tokyo"])
def test_stores_that_name_weeks_by_different_weekdays_are_refused_with_both(zone: str | None, tmp_path: Path) -> None:
    rng, path = np.random.default_rng(5), tmp_path / "s.parquet"
    days = pd.date_range("2022-01-03", periods=40, freq="W-MON", tz=zone)
    parts = [
        pd.DataFrame({"store": store, "item": "a", "week": days + pd.Timedelta(days=shift), "units": 5, "price": price})
        for store, shift in (("s1", 0), ("s2", 1))
        for price in [rng.uniform(1, 2, len(days))]
    ]
    columns = Columns(("store", "item"), "week", "units", "price")
    pd.concat(parts).to_parquet(path)
    with pytest.raises(HistoryError, match="store s1, item a by a Monday .*; store s2, item a by a Tuesday"):
        backtest(path, columns, tmp_path / "e.csv", None, -0.1, lambda step: None)
    pd.concat([parts[0], parts[1].assign(week=days)]).to_parquet(path)
    assert backtest(path, columns, tmp_path / "e.csv", None, -0.1, lambda step: None).periods == 40
