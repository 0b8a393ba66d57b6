"""Every planted fault is really in its file, and truth/faults.parquet counts it right."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from retail_assets.resources.environments import Home
from retail_assets.sample.spoil import spoil_rows
from tests.sample.sample_files import pos_rows, truth

KINDS = {
    "duplicate_file", "duplicate_extra_rows", "late_file", "truncated_line", "wrong_type", "unknown_sku",
    "unknown_store", "renamed_column", "new_column", "currency_mixup", "clock_skew",
}  # fmt: skip


@pytest.fixture(scope="module")
def faults(tiny: Home) -> pd.DataFrame:
    return truth(tiny, "faults")


def of(faults: pd.DataFrame, kind: str, source: str | None = None) -> pd.DataFrame:
    chosen = faults[faults["kind"] == kind]
    chosen = chosen if source is None else chosen[chosen["source"] == source]
    assert len(chosen), (kind, source)
    return chosen


def line_of(home: Home, fault: pd.Series) -> str:
    return (home.landing / fault["file"]).read_text().splitlines()[int(fault["line"]) - 1]


def test_every_kind_is_planted_also_at_middle_scale(faults: pd.DataFrame, middle: Home) -> None:
    assert set(faults["kind"]) == KINDS
    assert set(truth(middle, "faults")["kind"]) == KINDS


def test_dirt_is_rare(tiny: Home, middle: Home) -> None:
    for home in (tiny, middle):
        assert truth(home, "faults")["rows_affected"].sum() < 0.01 * truth(home, "files")["rows"].sum()


def test_every_file_named_is_there(tiny: Home, faults: pd.DataFrame) -> None:
    assert all((tiny.landing / name).is_file() for name in faults["file"])


@pytest.mark.parametrize("source", ["pos_lines", "click_events", "payments"])
def test_duplicate_has_the_same_bytes_under_another_name(tiny: Home, faults: pd.DataFrame, source: str) -> None:
    for _, fault in of(faults, "duplicate_file", source).iterrows():
        first = fault["detail"].removeprefix("same bytes as ")
        assert first != fault["file"]
        assert (tiny.landing / first).read_bytes() == (tiny.landing / fault["file"]).read_bytes()


def test_second_delivery_repeats_rows_and_adds_some(tiny: Home, faults: pd.DataFrame) -> None:
    for _, fault in of(faults, "duplicate_extra_rows").iterrows():
        partial = re.search(r"rows of (\S+) and", fault["detail"])
        assert partial
        first, second = pos_rows(tiny.landing / partial[1]), pos_rows(tiny.landing / fault["file"])
        assert second[: len(first)] == first and len(second) > len(first)
        assert fault["rows_affected"] == len(first)


@pytest.mark.parametrize("source", ["pos_lines", "click_events", "payments", "stock_levels"])
def test_late_files_come_days_later(middle: Home, source: str) -> None:
    files = truth(middle, "files").set_index("file")
    for _, fault in of(truth(middle, "faults"), "late_file", source).iterrows():
        day = pd.Timestamp(re.search(r"_(\d{8})_d", fault["file"])[1], tz="UTC")  # type: ignore[index]
        delay = files.loc[fault["file"], "delivered_at"] - day
        assert timedelta(days=2) <= delay <= timedelta(days=7, hours=12)


def test_truncated_files_end_inside_their_last_line(tiny: Home, faults: pd.DataFrame) -> None:
    for _, fault in of(faults, "truncated_line").iterrows():
        payload = (tiny.landing / fault["file"]).read_bytes()
        assert not payload.endswith(b"\n") and payload.count(b"\n") == fault["line"] - 1
        if fault["source"] == "pos_lines":
            assert len(line_of(tiny, fault)) < 100
        else:
            with pytest.raises(json.JSONDecodeError):
                json.loads(line_of(tiny, fault))


def test_wrong_types_stand_in_their_lines(tiny: Home, faults: pd.DataFrame) -> None:
    bad = of(faults, "wrong_type")
    assert set(bad["source"]) == {"pos_lines", "click_events", "stock_levels", "competitor_prices"}
    for _, fault in bad.iterrows():
        value = re.search(r"'(.+)'", fault["detail"])
        assert value and value[1] in line_of(tiny, fault)
    tills = bad[bad["source"] == "pos_lines"]
    assert tills["detail"].str.contains("abc").any() and tills["detail"].str.contains("12,x").any()


def test_unknown_skus_and_stores_stand_in_their_lines(tiny: Home, faults: pd.DataFrame) -> None:
    for kind, text in (("unknown_sku", "SKU-99999"), ("unknown_store", "XX-999")):
        for _, fault in of(faults, kind).iterrows():
            assert text in line_of(tiny, fault)


def test_no_unknown_key_beyond_the_listed(tiny: Home, faults: pd.DataFrame) -> None:
    listed = int(of(faults, "unknown_sku")["rows_affected"].sum())
    found = sum(p.read_bytes().count(b"SKU-99999") for p in tiny.landing.rglob("*.*") if p.suffix != ".parquet")
    assert found == listed


def test_columns_change_from_one_day_on(tiny: Home, faults: pd.DataFrame) -> None:
    for kind, prefix, word in (("renamed_column", "UK", "list_price"), ("new_column", "US", "loyalty_points")):
        changes = {Path(f).parts[1]: f for f in of(faults, kind)["file"]}
        shops = {p.name for p in (tiny.landing / "pos").iterdir() if p.name.startswith(prefix)}
        assert set(changes) == shops
        for shop, first in changes.items():
            for path in (tiny.landing / "pos" / shop).iterdir():
                changed = word in path.read_text().splitlines()[0].split(",")
                assert changed == (path.name[:19] >= Path(first).name[:19]), path


def test_loyalty_points_go_to_known_customers_only(tiny: Home, faults: pd.DataFrame) -> None:
    path = tiny.landing / of(faults, "new_column")["file"].iloc[0]
    table = pd.read_csv(path)
    assert (table.loc[table["customer_id"].isna(), "loyalty_points"] == 0).all()
    assert table["loyalty_points"].max() > 0


def test_currency_mixup_is_one_store_and_day(tiny: Home, faults: pd.DataFrame) -> None:
    mixed = of(faults, "currency_mixup")
    assert len(mixed) == 1
    rows = pos_rows(tiny.landing / mixed["file"].iloc[0])
    assert {row[11] for row in rows} == {"USD"} and len(rows) == mixed["rows_affected"].iloc[0]
    others = [p for p in tiny.landing.glob("pos/UK-*/*.csv") if p.name != Path(mixed["file"].iloc[0]).name]
    assert not any(b",USD" in p.read_bytes() for p in others)


def test_skewed_clock_runs_three_hours_ahead_for_two_days(tiny: Home, faults: pd.DataFrame) -> None:
    skewed = of(faults, "clock_skew")
    assert len(skewed) == 2
    payments = pd.concat([pd.read_parquet(p) for p in tiny.landing.glob("payments/*.parquet")])
    paid = payments.drop_duplicates("payment_id").set_index("payment_id")["paid_at"].dt.tz_convert("Europe/Berlin")
    for name in skewed["file"]:
        rows = pd.DataFrame(pos_rows(tiny.landing / name))
        rows = rows[rows[10] != ""]
        ahead = pd.to_datetime(rows[3], format="%d.%m.%Y %H:%M:%S") - rows[10].map(paid).dt.tz_localize(None)
        assert (ahead == pd.Timedelta(hours=3)).all()


def test_spoiling_keeps_every_other_line() -> None:
    import numpy as np

    payload = b"a;b\n" + b"".join(b"S;R;1;t;SKU-00001;2;1,50;1,50;;;;EUR\n" for _ in range(20))
    spoiled, marks = spoil_rows(np.random.default_rng(0), "wrong_type", payload, "pos_lines")
    before, after = payload.splitlines(), spoiled.splitlines()
    assert len(before) == len(after) and len(marks) == 3
    assert [i + 1 for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b] == [m[0] for m in marks]
    assert all(len(line.split(b";")) == 12 for line in after[1:])


def test_spoiling_a_column_that_is_not_there_is_an_error() -> None:
    import numpy as np

    with pytest.raises(ValueError, match="competitor_prices has no column for unknown_store"):
        spoil_rows(np.random.default_rng(0), "unknown_store", b"h\na,b,c,d,e\n", "competitor_prices")
