"""Files of a panel: what is wrong is named with its row and value, what is right becomes a matrix."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retail_assets.forecasting.panel.panel import Columns, Panel, Rules, read_panel
from retail_assets.forecasting.panel.reading.table import PanelError
from tests.forecasting.panel.simulated import COLUMNS, DAYS, HORIZON, Chain

Change = Callable[[pd.DataFrame], pd.DataFrame]
WEEKLY = Columns(("item",), "week", "units", ("price{item}", "deal"))


def read(
    folder: Path, table: pd.DataFrame, columns: Columns = COLUMNS, rules: Rules | None = None, **other: Any
) -> Panel:
    path = folder / "sales.csv"
    table.to_csv(path, index=False)
    return read_panel(path, columns, rules or Rules(), other.pop("until", None), other.pop("horizon", 2), **other)


def rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "item": ["x", "x", "x", "y", "y"],
            "store": ["s"] * 5,
            "date": ["2024-01-01", "2024-01-02", "2024-01-04", "2024-01-03", "2024-01-04"],
            "units": [1, 2, 4, 3, 0],
        }
    )


def test_periods_before_a_first_sale_are_unknown_and_gaps_are_what_the_rules_say(tmp_path: Path) -> None:
    panel = read(tmp_path, rows())
    nan = np.nan
    assert np.array_equal(panel.target, [[1, 2, 0, 4, nan, nan], [nan, nan, 3, 0, nan, nan]], equal_nan=True)
    assert (panel.until, panel.horizon, str(panel.time[0]), str(panel.time[-1])) == (4, 2, "2024-01-01", "2024-01-06")
    assert panel.notes == ["1 periods are missing inside 1 series: read as nothing sold"]
    unknown = read(tmp_path, rows(), rules=Rules(gaps="unknown"))
    assert np.isnan(unknown.target[0, 2])
    assert unknown.notes == ["1 periods are missing inside 1 series: read as unknown"]


def test_what_comes_after_the_last_day_to_learn_from_is_kept_to_score_against(tmp_path: Path) -> None:
    panel = read(tmp_path, rows(), until="2024-01-02")
    assert panel.until == 2
    assert np.array_equal(panel.actual, [[0, 4], [3, 0]])
    assert np.isnan(panel.as_of(2).target[:, 2:]).all()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda t: t.assign(units=[1, -2, 4, 3, 0]),
            ["units is below zero", "-2", "row 2", "1 such rows", "--returns"],
        ),
        (lambda t: t.assign(units=["1", "2", "four", "3", "0"]), ["units is not a number", "four", "row 3"]),
        (lambda t: t.assign(units=[1, 2, np.inf, 3, 0]), ["units is not a finite number", "inf", "row 3"]),
        (lambda t: t.assign(units=[1, "0x5", 4, 3, 0]), ["units is not a number", "0x5", "row 2"]),
        (lambda t: t.assign(units=[True, False] * 2 + [True]), ["units holds true and false, no units"]),
        (lambda t: t.assign(date=["2024-01-01", "soon", "x", "y", "z"]), ["date is not a date", "soon", "row 2"]),
        (lambda t: t.assign(date=["2024-01-01", "2024-13-02", *t["date"][2:]]), ["not a date", "2024-13-02", "row 2"]),
        (lambda t: t.assign(date=["2024-01-01", "2024-02-30", *t["date"][2:]]), ["date", "2024-02-30", "column date"]),
        (lambda t: t.assign(item=["x", None, "x", "y", "y"]), ["item is empty", "row 2"]),
        (lambda t: t.assign(date="2024-01-01"), ["item x, store s", "there twice", "row 2", "3 such rows"]),
        (lambda t: t.drop(columns="store"), ["no column 'store'", "use: item, date, units"]),
        (lambda t: t[:0], ["no rows"]),
        (lambda t: t.assign(date=["1924-01-01", *t["date"][1:]]), ["1924-01-01 lies 36,526 periods from", "row 1"]),
        (lambda t: t.assign(date=[*t["date"][:4], "2042-01-04"]), ["2042-01-04 lies 6,575 periods from", "row 5"]),
    ],
)
def test_a_wrong_file_is_named_with_row_and_value(change: Change, told: list[str], tmp_path: Path) -> None:
    with pytest.raises(PanelError) as error:
        read(tmp_path, change(rows()))
    for part in ("sales.csv", *told):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("until", "told"), [("someday", "no time like"), ("2031-01-01", "outside"), ("2023-12-31", "outside")]
)
def test_a_wrong_end_of_learning_is_named(until: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(PanelError, match=told):
        read(tmp_path, rows(), until=until)


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(PanelError, match="does not exist"):
        read_panel(tmp_path / "none.parquet", COLUMNS, Rules(), None, 2)
    (tmp_path / "sales.xlsx").touch()
    with pytest.raises(PanelError, match="neither of"):
        read_panel(tmp_path / "sales.xlsx", COLUMNS, Rules(), None, 2)
    (tmp_path / "broken.parquet").write_text("no parquet")
    with pytest.raises(PanelError, match="cannot be read"):
        read_panel(tmp_path / "broken.parquet", COLUMNS, Rules(), None, 2)


def test_options_that_cannot_be_meant_are_named(tmp_path: Path) -> None:
    with pytest.raises(PanelError, match="--series names no column"):
        read(tmp_path, rows(), replace(COLUMNS, series=()))
    with pytest.raises(PanelError, match="--covariates price{: .*\n.*\n.*price{brand}"):
        read(tmp_path, rows(), replace(COLUMNS, known=("price{",)))
    with pytest.raises(PanelError, match="--future says nothing without --covariates"):
        read(tmp_path, rows(), future=tmp_path / "sales.csv")
    nested = rows().assign(item=[["x"]] * 5)
    nested.to_parquet(tmp_path / "nested.parquet")
    with pytest.raises(PanelError, match="item holds list"):
        read_panel(tmp_path / "nested.parquet", COLUMNS, Rules(), None, 2)


def test_returns_are_kept_where_asked(tmp_path: Path) -> None:
    panel = read(tmp_path, rows().assign(units=[1, -2, 4, 3, 0]), rules=Rules(returns="keep"))
    assert panel.target[0, 1] == -2


def weeks() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "item": ["a", "b"] * 3,
            "week": [40, 40, 41, 41, 42, 42],
            "units": [1.0] * 6,
            "pricea": [1.0, 1.0, 1.1, 1.1, 1.2, 1.2],
            "priceb": [2.0, 2.0, 2.1, 2.1, 2.2, 2.2],
            "deal": [0, 0, 0, 1, 1, 0],
        }
    )


def test_weeks_may_be_whole_numbers_and_known_columns_named_after_a_key(tmp_path: Path) -> None:
    panel = read(tmp_path, weeks(), WEEKLY, Rules("W"), until="41", horizon=1)
    assert panel.time == [40, 41, 42]
    assert np.allclose(panel.known["price{item}"], [[1.0, 1.1, 1.2], [2.0, 2.1, 2.2]])
    assert np.array_equal(panel.known["deal"], [[0, 0, 1], [0, 1, 0]])


def test_known_columns_of_the_horizon_come_from_a_file_or_are_missed(tmp_path: Path) -> None:
    later = pd.DataFrame(
        {"item": ["a", "b"], "week": [43, 43], "pricea": [1.3, 1.3], "priceb": [2.3, 2.3], "deal": [0, 1]}
    )
    later.to_csv(tmp_path / "later.csv", index=False)
    panel = read(tmp_path, weeks(), WEEKLY, Rules("W"), horizon=1, future=tmp_path / "later.csv")
    assert np.allclose(panel.known["price{item}"][:, -1], [1.3, 2.3])
    assert panel.notes == []
    without = read(tmp_path, weeks(), WEEKLY, Rules("W"), horizon=1)
    assert "deal is not known for 2 of 2 forecasts: give them by --future FILE" in without.notes
    pd.concat([later, later]).to_csv(tmp_path / "twice.csv", index=False)
    with pytest.raises(PanelError, match="item a, week 43 is there twice"):
        read(tmp_path, weeks(), WEEKLY, Rules("W"), horizon=1, future=tmp_path / "twice.csv")
    later.drop(columns="deal").to_csv(tmp_path / "without.csv", index=False)
    with pytest.raises(PanelError, match="no column 'deal'\n.*without.csv"):
        read(tmp_path, weeks(), WEEKLY, Rules("W"), horizon=1, future=tmp_path / "without.csv")
    with pytest.raises(PanelError, match="'shop' is not a key"):
        read(tmp_path, weeks(), replace(WEEKLY, known=("price{shop}",)), Rules("W"))


def test_dates_that_are_no_whole_weeks_apart_are_named(tmp_path: Path) -> None:
    with pytest.raises(PanelError, match="no whole number of weeks from 2024-01-01: 2024-01-02"):
        read(tmp_path, rows(), rules=Rules("W"))


def test_attributes_make_series_without_a_history_and_must_fit(chain: Chain, tmp_path: Path) -> None:
    panel = chain.panel()
    assert panel.target.shape == (48, DAYS + HORIZON)
    assert np.isnan(panel.target[panel.keys["item"] == "I04"]).all()
    assert list(panel.attributes) == ["department", "state"]
    known = panel.target[:, :DAYS][~np.isnan(panel.target[:, :DAYS])]
    sold = pd.read_parquet(chain.sales).set_index(["item", "store", "date"])["units"].sort_index()
    assert np.array_equal(known, sold[sold.index.get_level_values("date").astype(str) <= chain.until])
    twice = pd.read_parquet(chain.attributes)
    pd.concat([twice, twice[:1]]).to_parquet(tmp_path / "twice.parquet")
    with pytest.raises(PanelError, match="repeats a key"):
        chain.panel(attributes=tmp_path / "twice.parquet")
    twice.drop(columns=["item", "store"]).to_parquet(tmp_path / "keyless.parquet")
    with pytest.raises(PanelError, match="no key of item, store"):
        chain.panel(attributes=tmp_path / "keyless.parquet")
    twice.assign(item="Z" + twice["item"]).to_parquet(tmp_path / "others.parquet")
    with pytest.raises(PanelError, match="no series of the sales is in the file\n.*others.parquet.*\n.*ZI00"):
        chain.panel(attributes=tmp_path / "others.parquet")
    twice[twice["item"] != "I03"].to_parquet(tmp_path / "fewer.parquet")
    assert "4 of 48 series have no row" in chain.panel(attributes=tmp_path / "fewer.parquet").notes[0]


def test_a_calendar_gives_flags_events_and_flags_of_some_series(chain: Chain, tmp_path: Path) -> None:
    calendar = chain.panel().calendar
    assert set(calendar.own) == {"snap"}
    assert calendar.own["snap"].shape == (48, DAYS + HORIZON)
    assert set(calendar.events) == {"event"}
    assert calendar.flags == {}
    assert calendar.notes == ["calendar columns that are neither flags nor events: month (not used)"]
    pd.read_parquet(chain.calendar)[3:].to_parquet(tmp_path / "short.parquet")
    with pytest.raises(PanelError, match="3 of 164 periods are missing, the first is number 1"):
        chain.panel(calendar=tmp_path / "short.parquet")
    repeated = pd.read_parquet(chain.calendar)
    pd.concat([repeated, repeated[:1]]).to_parquet(tmp_path / "twice.parquet")
    with pytest.raises(PanelError, match="date is there twice: 2023-01-02"):
        chain.panel(calendar=tmp_path / "twice.parquet")
