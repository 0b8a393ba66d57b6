"""Names are the caller's: keys, times and known columns may be called anything, also what our own columns are."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.core.column_patterns import fields, filled
from retail_assets.core.own_columns import own_columns, told
from retail_assets.forecasting.panel.backtest import Files, ForecastBacktest, backtest
from retail_assets.forecasting.panel.levels import levels_of
from retail_assets.forecasting.panel.panel import Columns, Rules
from retail_assets.forecasting.panel.tables import MADE
from retail_assets.pricing.backtest import backtest_tables
from retail_assets.pricing.backtest.backtest import Backtest
from retail_assets.pricing.backtest.backtest import backtest as price_backtest
from retail_assets.pricing.backtest.backtest_commands import names_of
from retail_assets.pricing.backtest.history import Columns as PriceColumns
from tests.conftest import run_retail
from tests.forecasting.panel.simulated import FAST

QUICK = replace(FAST, rounds=3)
STRANGE = [
    *("Item", "ITEM", "a b", "a'b", 'a"b', "a,b", "a[1]", "#", "1st", "0", "select", "order", "at", "{x}", "{", "[/b]"),
    *(
        "_raw",
        "place",
        "row",
        "index",
        "level_0",
        "y",
        "ds",
        "unique_id",
        "period",
        "self",
        "total",
        "a.b",
        "100%",
        "~x",
    ),
]


def in_turn(*keys: str) -> list[tuple[str, str]]:
    """The keys, in a CSV file and a Parquet file by turns."""
    return list(zip(keys, itertools.cycle((".csv", ".parquet"))))  # noqa: B905


def sales(key: str = "store", time: str = "date", units: str = "units", price: str = "price") -> pd.DataFrame:
    """Four series of sixty days."""
    rng = np.random.default_rng(2)
    days = pd.date_range("2023-01-01", periods=60).astype(str)
    rows = [
        (i, s, day, int(rng.integers(3, 20)), rng.uniform(5, 6)) for i in "ab" for s in ("s1", "s2") for day in days
    ]
    return pd.DataFrame(rows, columns=["item", key, time, units, price])


def save(table: pd.DataFrame, path: Path) -> Path:
    table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path, index=False)
    return path


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


def forecast(folder: Path, suffix: str, columns: Columns, **named: str) -> ForecastBacktest:
    files = Files(save(sales(**named), folder / f"sales{suffix}"), folder / f"out{suffix}")
    return backtest(files, columns, Rules(), "2023-02-20", 4, QUICK, lambda step: None)


def elasticities(folder: Path, suffix: str, columns: PriceColumns, **named: str) -> Backtest:
    path = save(sales(**named), folder / f"sales{suffix}")
    return price_backtest(path, columns, folder / f"out{suffix}", "2023-02-20", -0.1, lambda step: None)


@pytest.mark.parametrize(("key", "suffix"), in_turn(*MADE, *STRANGE, "retail_mean", "Mean", "ahead", "strength"))
def test_a_key_may_have_any_name_and_changes_no_forecast(key: str, suffix: str, tmp_path: Path) -> None:
    forecast(tmp_path, suffix, Columns(("item", "store"), "date", "units"))
    plain, plain_levels = read(tmp_path / f"out{suffix}"), read(tmp_path / f"out_levels{suffix}")
    found = forecast(tmp_path, suffix, Columns(("item", key), "date", "units"), key=key)
    names = own_columns(MADE, ["item", key, "date"])
    assert found.notices == told(names)
    made, levels = read(tmp_path / f"out{suffix}"), read(tmp_path / f"out_levels{suffix}")
    assert len({name.casefold() for name in made}) == len(made.columns) - (key in ("Item", "ITEM"))
    assert made.equals(plain.rename(columns=names | {"store": key}))
    plain_levels["level"] = plain_levels["level"].replace("store", '"total"' if key == "total" else key)
    assert levels.equals(plain_levels.rename(columns=names | {"store": key}))


@pytest.mark.parametrize(("key", "suffix"), in_turn(*backtest_tables.FIGURES, *STRANGE, "retail_lo", "Lo", "of"))
def test_a_key_may_have_any_name_and_changes_no_elasticity(key: str, suffix: str, tmp_path: Path) -> None:
    kinds = ("", "_items", "_forecasts", "_covariates")
    other = "qty" if key in ("units", "price") else "units"
    columns = PriceColumns(("item", "store"), "date", other, "paid", ("extra",))
    named = {"units": other, "price": "paid"}

    def run(which: PriceColumns, **names: str) -> tuple[Backtest, dict[str, pd.DataFrame]]:
        path = tmp_path / f"sales{suffix}"
        table = sales(**(named | names))
        save(table.assign(extra=np.arange(len(table)) % 3), path)
        found = price_backtest(path, which, tmp_path / f"out{suffix}", "2023-02-20", -0.1, lambda step: None)
        return found, {kind: read(tmp_path / f"out{kind}{suffix}") for kind in kinds}

    plain, tables = run(columns)
    found, made = run(replace(columns, series=("item", key)), key=key)
    called = own_columns(backtest_tables.FIGURES, ["item", key, "date"])
    assert found.notices == told(called)
    for kind in kinds:
        assert made[kind].equals(tables[kind].rename(columns=called | {"store": key})), kind
    assert found.own == plain.own and found.items == plain.items


@pytest.mark.parametrize("time", ["mean", "level", "self", "lo", "forecast", "a,b", "Item"])
def test_the_time_may_have_any_name(time: str, tmp_path: Path) -> None:
    forecast(tmp_path, ".csv", Columns(("item", "store"), time, "units"), time=time)
    made = read(tmp_path / "out.csv")
    assert made[time].nunique() == 4 and made.columns.is_unique
    elasticities(tmp_path, ".csv", PriceColumns(("item", "store"), time, "units", "price"), time=time)
    assert read(tmp_path / "out_forecasts.csv")[time].min() == "2023-02-21"


@pytest.mark.parametrize("name", ["level", "ahead", "similar", "price{brand}", "{", "[/b]", "key:item"])
def test_a_known_column_may_have_any_name_and_changes_no_forecast(name: str, tmp_path: Path) -> None:
    columns = Columns(("item", "store"), "date", "units", ("price",))
    forecast(tmp_path, ".csv", columns)
    plain = read(tmp_path / "out.csv")
    forecast(tmp_path, ".csv", replace(columns, known=(name,)), price=name)
    assert read(tmp_path / "out.csv").equals(plain)
    found = elasticities(tmp_path, ".csv", PriceColumns(("item", "store"), "date", "units", name), price=name)
    assert found.series == 4


def test_a_calendar_column_may_have_the_name_of_a_feature(tmp_path: Path) -> None:
    days = pd.date_range("2023-01-01", periods=60).astype(str)
    for name in ("promo", "level", "weekday", "ahead"):
        calendar = pd.DataFrame({"date": days, name: np.arange(60) % 5 == 0}).astype({name: int})
        path = save(sales(), tmp_path / "sales.csv")
        files = Files(path, tmp_path / f"{name}.csv", calendar=save(calendar, tmp_path / "calendar.csv"))
        backtest(files, Columns(("item", "store"), "date", "units"), Rules(), "2023-02-20", 4, QUICK, lambda step: None)
        assert (tmp_path / f"{name}.csv").read_bytes() == (tmp_path / "promo.csv").read_bytes(), name


FILES = [
    "--x",
    "a b",
    "a'b",
    'a"b',
    "sales[1]",
    "a*",
    "a?b",
    "100%",
    "~x",
    "~root",
    "s3:x",
    "http:x",
    "x=1",
    "a{b}",
    "#x",
]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_may_have_any_name(name: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for decoy in ("sales1", "ab", "axb"):
        Path(f"{decoy}{suffix}").write_text("another file\n")
    path, out = Path(f"{name}{suffix}"), Path(f"{name}_out{suffix}")
    table = sales()
    path.write_bytes(table.to_csv(index=False).encode() if suffix == ".csv" else table.to_parquet(index=False))
    columns = Columns(("item", "store"), "date", "units")
    backtest(Files(path, out), columns, Rules(), None, 4, QUICK, lambda step: None)
    assert out.is_file()
    out.unlink()
    price_backtest(path, PriceColumns(("item", "store"), "date", "units", "price"), out, None, -0.1, lambda step: None)
    assert out.is_file()


def test_a_folder_of_any_name_adds_no_column(tmp_path: Path) -> None:
    (tmp_path / "region=north").mkdir()
    for suffix in (".csv", ".parquet"):
        found = forecast(tmp_path / "region=north", suffix, Columns(("item", "store"), "date", "units"))
        assert found.series == 4


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("item,store", ("item", "store")),
        (" item , store ", ("item", "store")),
        ('item,"a,b"', ("item", "a,b")),
        ('" x ",item', (" x ", "item")),
        ('"say ""hi""",item', ('say "hi"', "item")),
        ('a"b,item', ('a"b', "item")),
        ('item,""', ("item", "")),
        ("item,,store,", ("item", "store")),
        ("", ()),
    ],
)
def test_names_with_commas_are_quoted(text: str, names: tuple[str, ...]) -> None:
    assert names_of(text) == names


@given(st.lists(st.text(max_size=6)), st.lists(st.sampled_from(["mean", "Mean", "retail_mean", "RETAIL_retail_mean"])))
def test_our_columns_never_meet_the_callers(others: list[str], theirs: list[str]) -> None:
    found = own_columns(MADE, [*others, *theirs])
    taken = {name.casefold() for name in (*others, *theirs)}
    assert list(found) == list(MADE)
    assert not taken & {name.casefold() for name in found.values()}
    assert len(set(found.values())) == len(MADE)
    assert len(told(found)) == sum(name.casefold() in taken for name in MADE)


@pytest.mark.parametrize(
    "keys", [("a", "total"), ("a", "b", "a x b"), ('"total"', "total"), ("a", "b", '"a x b"', "a x b")]
)
def test_no_two_levels_have_one_name(keys: tuple[str, ...]) -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({key: rng.integers(0, 3, 40).astype(str) for key in keys}).drop_duplicates(ignore_index=True)
    names = [level.name for level in levels_of(frame, pd.DataFrame(index=frame.index))]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("key", ["0", "a[1]", "a.b", "brand"])
def test_a_pattern_takes_keys_of_any_name(key: str) -> None:
    pattern = f"price{{{key}}}x"
    assert fields(pattern) == [key]
    assert filled(pattern, {key: 7}) == "price7x"


def test_the_command_keeps_the_callers_column_and_tells_what_ours_is_called(tmp_path: Path) -> None:
    path = save(sales(key="a,mean", time="mean"), tmp_path / "s.csv")
    asked = ["backtest", "forecasting", str(path), "--series", 'item,"a,mean"', "--time", "mean", "--units", "units"]
    told_to = run_retail(tmp_path, *asked, "--horizon", "4", "--out", str(tmp_path / "o.csv"))
    assert "notice: mean is a column of yours: ours is written as retail_mean" in told_to.stderr
    assert list(read(tmp_path / "o.csv"))[:4] == ["item", "a,mean", "mean", "retail_mean"]
