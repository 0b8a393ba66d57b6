"""Decisions that stores send: refused at the door, set aside, or stored once, whatever became of the machine."""

import io
from datetime import date, timedelta
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retail_assets.decisions.rows import DECISION_SCHEMA, new_decision_id
from retail_assets.decisions.spool import WentBackwards
from retail_assets.resources.lake import Lake
from retail_assets.stores.centre import store_reports
from retail_assets.stores.landing import checked, set_aside
from tests.services.centre import environment_of
from tests.services.harness import eventually
from tests.services.store_place import Place, segment

WITHIN_S = 60.0
WRITER = "decision-log/0b1b2b3b-0000-4000-8000-00000000000{}"


def count(lake: Lake, ids: list[str]) -> list[str]:
    """Those of the decisions that the lake has, as often as it has them."""
    listed = ", ".join(f"'{one}'" for one in ids)
    sql = f"select decision_id from {lake.scan('decisions', 'pricing')} where decision_id in ({listed})"
    return sorted(lake.query(sql)["decision_id"].to_pylist())


def put(place: Place, number: str, content: bytes, writer: str = WRITER.format(1)) -> httpx.Response:
    """Sends a segment past our own client."""
    url = f"{place.url}/v1/stores/{place.target}/decisions/pricing/{writer.removeprefix('decision-log/')}/{number}"
    return httpx.put(url, content=content, headers={"Authorization": f"Bearer {place.token}"}, timeout=60)


def as_file(rows: pa.Table) -> bytes:
    """A table as a Parquet file."""
    file = io.BytesIO()
    pq.write_table(rows, file)
    return file.getvalue()


@pytest.mark.parametrize("number", ["0", "-1", "1e3", "1" + "0" * 30, "9" * 13, "²", "1.0", "nan", "%00", "+1"])
def test_numbers_that_are_none_are_refused_at_the_door(place: Place, number: str) -> None:
    response = put(place, number, as_file(segment(place.store_id, [new_decision_id()])))
    assert response.status_code == 422, response.text


def hostile_segments(store_id: str) -> dict[str, tuple[bytes, str]]:
    """Segments of a store that no store writes, and what is said of them."""
    good = segment(store_id, [new_decision_id() for _ in range(3)])

    def but(column: str, values: list[Any], kind: pa.DataType | None = None) -> bytes:
        field = DECISION_SCHEMA.field(column)
        array = pa.array(values, kind or field.type)
        return as_file(good.set_column(good.column_names.index(column), field.with_type(array.type), array))

    text = "x" * 1_000_000
    wide = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000, pa.int32()), pa.array([text]))
    many = segment(store_id, [new_decision_id()]).take(pa.array([0] * 1_000))
    bomb = many.set_column(many.column_names.index("inputs"), "inputs", wide.cast(pa.string()))
    days = [date(2020, 1, 1) + timedelta(days=day) for day in range(1_000)]
    scattered = many.set_column(many.column_names.index("business_date"), "business_date", pa.array(days))
    return {
        "an id that is none": (but("decision_id", ["x", "y", "z"]), "no UUID"),
        "no id": (but("decision_id", [None] * 3), "no UUID"),
        "an id of a way out": (but("decision_id", ["../../../../../../../../../../etc/passwd"] * 3), "no UUID"),
        "no day": (but("business_date", [None] * 3), "business date None"),
        "a day of old": (but("business_date", [date(1, 1, 1)] * 3), "business date 0001-01-01"),
        "a day to come": (but("business_date", [date(9999, 1, 1)] * 3), "business date 9999-01-01"),
        "a folder a row": (as_file(scattered), "1,000 business dates"),
        "another type": (but("price", [1.5, 2.5, 3.5], pa.float64()), "other columns"),
        "a column more": (as_file(good.append_column("more", pa.array([1, 2, 3]))), "other columns"),
        "a column less": (as_file(good.drop_columns(["sku"])), "other columns"),
        "a gigabyte in a kilobyte": (as_file(bomb), "bytes, at most"),
        "half a file": (as_file(good)[:-100], "not a Parquet file"),
        "zeros": (b"\0" * 4096, "not a Parquet file"),
        "nothing": (b"", "not a Parquet file"),
    }


@pytest.mark.parametrize("kind", hostile_segments("US-001"))
def test_what_no_store_writes_is_refused_at_the_door_and_hurts_nobody(place: Place, kind: str) -> None:
    content, why = hostile_segments(place.store_id)[kind]
    assert len(content) < 3_000_000
    response = put(place, "1", content)
    assert response.status_code == 422
    assert why in response.json()["detail"]


def test_a_segment_that_cannot_be_moved_is_set_aside_and_the_others_go_on(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    lake, ids = Lake.at(place.centre.lake), [new_decision_id() for _ in range(3)]
    folder = place.centre.root / "spool" / "stores" / "pricing" / "0b1b2b3b-0000-4000-8000-000000000002"
    folder.mkdir(parents=True, exist_ok=True)
    torn = folder / f"{7:012d}.parquet"
    torn.write_bytes(as_file(segment(place.store_id, ids[:1]))[:-9] + b"\0" * 9)
    place.link().send("pricing", segment(place.store_id, ids[1:]), WRITER.format(3), 1)
    assert eventually(lambda: count(lake, ids) == sorted(ids[1:]), within=WITHIN_S, every=0.5)
    assert eventually(lambda: not torn.exists(), within=WITHIN_S)
    aside = set_aside(environment_of(place.centre))
    assert [one.file.exists() for one in aside] == [True]
    assert "cannot be read any more" in aside[0].reason
    assert "is set aside in" in caplog.text
    for path in aside[0].file.parent.iterdir():
        path.unlink()


def test_a_store_that_went_backwards_begins_a_new_stream_and_loses_nothing(place: Place) -> None:
    lake, ids = Lake.at(place.centre.lake), [new_decision_id() for _ in range(6)]
    link, writer = place.link(), WRITER.format(4)
    for number in (1, 2):
        link.send("pricing", segment(place.store_id, ids[number - 1 : number]), writer, number)
    rows = segment(place.store_id, ids[2:3])
    for _ in range(2):  # as long as it waits here, and once it is in the lake
        with pytest.raises(WentBackwards, match="up to 2, and now sends other rows as 2"):
            link.send("pricing", rows, writer, 2)
        assert eventually(lambda: count(lake, ids[:2]) == sorted(ids[:2]), within=WITHIN_S, every=0.5)
    link.send("pricing", rows, WRITER.format(5), 2)
    assert eventually(lambda: count(lake, ids[:3]) == sorted(ids[:3]), within=WITHIN_S, every=0.5)


def test_a_copied_store_sends_a_decision_twice_and_it_is_there_once(place: Place) -> None:
    lake, rows = Lake.at(place.centre.lake), segment(place.store_id, [new_decision_id() for _ in range(4)])
    ids, link = rows["decision_id"].to_pylist(), place.link()
    link.send("pricing", rows, WRITER.format(6), 1)
    link.send("pricing", rows.slice(1), WRITER.format(7), 1)
    assert eventually(lambda: count(lake, ids) == sorted(ids), within=WITHIN_S, every=0.5)
    link.send("pricing", rows, WRITER.format(8), 9)
    more = segment(place.store_id, [new_decision_id()])
    link.send("pricing", more, WRITER.format(8), 10)
    assert eventually(lambda: len(count(lake, more["decision_id"].to_pylist())) == 1, within=WITHIN_S, every=0.5)
    assert count(lake, ids) == sorted(ids)


def test_an_id_that_stands_for_another_decision_is_kept_aside_and_named(place: Place) -> None:
    lake, rows = Lake.at(place.centre.lake), segment(place.store_id, [new_decision_id() for _ in range(2)])
    ids, link = rows["decision_id"].to_pylist(), place.link()
    link.send("pricing", rows.slice(0, 1), WRITER.format(9), 1)
    assert eventually(lambda: len(count(lake, ids)) == 1, within=WITHIN_S, every=0.5)
    other = rows.set_column(rows.column_names.index("sku"), "sku", pa.array(["OTHER", "S"]))
    link.send("pricing", other, WRITER.format(9), 2)
    assert eventually(lambda: count(lake, ids) == sorted(ids), within=WITHIN_S, every=0.5)
    aside = set_aside(environment_of(place.centre))
    assert [(one.target, "1 of its decisions" in one.reason) for one in aside] == [(place.target, True)]
    reports = {one.target: one for one in store_reports(environment_of(place.centre))}
    assert any("set aside at the centre" in reason for reason in reports[place.target].reasons) or (
        reports[place.target].health == "unknown"
    )
    for path in aside[0].file.parent.iterdir():
        path.unlink()


def test_a_good_segment_is_read_as_it_was_written(place: Place) -> None:
    rows = segment(place.store_id, [new_decision_id() for _ in range(5)])
    assert checked(as_file(rows), place.target, "pricing").equals(rows)
