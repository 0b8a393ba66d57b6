"""The decision log loses nothing it answered for and writes nothing twice, whatever kills it."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.decisions import log as decision_log
from retail_assets.decisions import spool as decision_spool
from retail_assets.decisions.log import DecisionLog
from retail_assets.decisions.rows import DECISION_SCHEMA, DecisionLogError, decode, encode, new_decision_id
from retail_assets.decisions.spool import SegmentRefused, WentBackwards, append_once, read_segment, recover
from retail_assets.resources.lake import Lake


def decision(**changes: Any) -> dict[str, Any]:
    """A complete decision row."""
    row = {
        "decision_id": new_decision_id(),
        "at": datetime(2026, 11, 8, 9, 30, 0, 123456, tzinfo=UTC),
        "product": "pricing",
        "store_id": "UK-001",
        "sku": "SKU-00001",
        "inputs": '{"list_price": "4.99"}',
        "model_version": "0123456789ab",
        "policy_hash": "abc",
        "guardrails": "[]",
        "output": '{"price": "4.79"}',
        "price": Decimal("4.79"),
        "currency": "GBP",
        "previous_price": Decimal("4.99"),
        "mode": "service",
        "dagster_run_id": None,
        "git_commit": None,
        "business_date": date(2026, 11, 8),
        "effective_from": date(2026, 11, 9),
        "gold_versions": '{"fct_sales_daily":3}',
        "bronze_versions": '{"pos_lines":7}',
        "warehouse_code": "a9d0bd9d2aac",
        "corrects": None,
        "arm": "canary",
        "latency_ms": 1.25,
    }
    return row | changes


def logged(lake: Lake, product: str = "pricing") -> list[str]:
    """Decision ids in the lake, in the order of their making."""
    if not lake.exists("decisions", product):
        return []
    return sorted(lake.query(f"SELECT decision_id FROM {lake.scan('decisions', product)}")["decision_id"].to_pylist())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(tmp_path / "lake")


@pytest.fixture
def open_log(lake: Lake, tmp_path: Path) -> Callable[[], DecisionLog]:
    return lambda: DecisionLog(lake, "pricing", tmp_path / "spool")


def test_a_row_comes_back_from_the_lake_as_it_was_logged(lake: Lake, open_log: Callable[[], DecisionLog]) -> None:
    row = decision()
    log = open_log()
    log.record([row])
    log.close()
    assert lake.open("decisions", "pricing").to_pyarrow_table().to_pylist() == [row]


@given(
    text=st.text(max_size=40),
    price=st.none() | st.decimals(min_value=0, max_value=10**9, places=2),
    at=st.integers(0, 4 * 10**15).map(lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)),
)
def test_any_text_price_and_instant_survives_the_text_form(text: str, price: Decimal | None, at: datetime) -> None:
    row = decision(inputs=text, price=price, at=at)
    assert decode(encode(row) * 2).to_pylist() == [row, row]


def test_a_column_the_log_does_not_have_is_refused(open_log: Callable[[], DecisionLog]) -> None:
    log = open_log()
    with pytest.raises(DecisionLogError, match="no column customer_name"):
        log.record([decision(customer_name="Ada")])
    log.close()


def test_the_schema_has_no_column_for_personal_data() -> None:
    assert not {"customer_id", "name", "email", "card_token"} & set(DECISION_SCHEMA.names)


def test_decision_ids_sort_by_time_of_making() -> None:
    instants = [datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in range(5)]
    ids = [new_decision_id(at) for at in instants]
    assert ids == sorted(ids)
    assert {uid[14] for uid in ids} == {"7"}
    assert len({new_decision_id(instants[0]) for _ in range(1000)}) == 1000


def test_a_segment_is_appended_once(lake: Lake) -> None:
    rows = decode(encode(decision()))
    assert append_once(lake, "pricing", rows, "writer-a", 1)
    assert not append_once(lake, "pricing", rows, "writer-a", 1)
    assert not append_once(lake, "pricing", rows, "writer-b", 1), "by whatever stream a decision comes, it is itself"
    assert append_once(lake, "pricing", decode(encode(decision())), "writer-b", 2)
    assert append_once(lake, "pricing", decode(encode(decision())), "writer-a", 2)
    assert len(logged(lake)) == 3


def test_a_number_that_stood_for_other_decisions_is_refused(lake: Lake) -> None:
    first, second = (decode(encode(decision())) for _ in range(2))
    assert append_once(lake, "pricing", first, "writer-a", 4)
    with pytest.raises(WentBackwards, match="segments up to 4, and now has other rows as 2"):
        append_once(lake, "pricing", second, "writer-a", 2)
    with pytest.raises(WentBackwards):
        append_once(lake, "pricing", pa.concat_tables([first, second]), "writer-a", 4)
    assert append_once(lake, "pricing", pa.concat_tables([first, second]), "writer-new", 4)
    assert len(logged(lake)) == 2
    column = first.column_names.index("sku")
    other = first.set_column(column, "sku", pa.array(["something else"]))
    with pytest.raises(SegmentRefused, match="1 decisions have ids that the log has for other decisions"):
        append_once(lake, "pricing", other, "writer-third", 1)


@pytest.mark.parametrize("file", ["writer.json", "shipped"])
@pytest.mark.parametrize("content", [b"", b"\0" * 64, b"{", b'{"app_id": 3}', b"\xff\xfe"])
def test_a_writer_whose_disk_was_damaged_begins_a_new_stream(
    lake: Lake, tmp_path: Path, file: str, content: bytes
) -> None:
    spool = tmp_path / "spool"
    before = DecisionLog(lake, "pricing", spool)
    for _ in range(3):
        before.record([decision()])
        before.ship()
    before.close()
    (spool / "pricing" / "writer-000" / file).write_bytes(content)
    after = DecisionLog(lake, "pricing", spool)
    after.record([decision()])
    after.close()
    assert after.backlog.rows == after.backlog.failures == 0
    assert len(logged(lake)) == 4


def test_a_spool_that_was_restored_from_a_backup_loses_and_doubles_nothing(lake: Lake, tmp_path: Path) -> None:
    spool, backup, taken = tmp_path / "spool", tmp_path / "backup", list[dict[str, Any]]()

    def work(folder: Path, count: int) -> None:
        log = DecisionLog(lake, "pricing", folder, send=partial(append_once, lake))
        for _ in range(count):
            taken.append(decision())
            log.record(taken[-1:])
            log.ship()
        log.close()
        assert log.backlog.rows == 0

    work(spool, 2)
    shutil.copytree(spool, backup)
    work(spool, 3)
    work(backup, 4)
    assert logged(lake) == sorted(row["decision_id"] for row in taken)


def test_a_segment_that_is_refused_for_good_holds_up_no_other(lake: Lake, tmp_path: Path) -> None:
    refused: list[int] = []

    def send(product: str, rows: pa.Table, writer: str, number: int) -> bool:
        if not refused:
            refused.append(number)
            raise SegmentRefused("never")
        return append_once(lake, product, rows, writer, number)

    log = DecisionLog(lake, "pricing", tmp_path / "spool", send=send)
    for _ in range(2):
        log.record([decision()])
        log.ship()
    log.close()
    assert (log.backlog.refused_segments, log.backlog.rows, len(logged(lake))) == (1, 0, 1)
    kept = tmp_path / "spool" / "pricing" / "writer-000" / "refused"
    assert sorted(path.suffix for path in kept.iterdir()) == [".jsonl", ".txt"]
    file = kept / f"{refused[0]:012d}.jsonl"
    assert file.with_suffix(".txt").read_text() == "never"
    file.rename(kept.parent / file.name)  # once the reason is gone
    again = DecisionLog(lake, "pricing", tmp_path / "spool", send=send)
    again.start()
    again.close()
    assert (again.backlog.refused_segments, again.backlog.rows, len(logged(lake))) == (0, 0, 2)


def test_a_table_of_before_a_column_was_added_takes_rows_that_have_it(lake: Lake) -> None:
    added = ("effective_from", "gold_versions", "bronze_versions", "warehouse_code", "corrects")
    old = decode(encode(decision())).drop_columns(list(added))
    lake.append("decisions", "pricing", old, partition_by=["business_date"])
    assert append_once(lake, "pricing", decode(encode(decision())), "writer-a", 1)
    rows = lake.open("decisions", "pricing").to_pyarrow_table()
    assert sorted(rows["gold_versions"].to_pylist(), key=str) == [None, '{"fct_sales_daily":3}']
    assert set(rows.column_names) == set(DECISION_SCHEMA.names)


def test_rows_that_a_batch_run_appends_meanwhile_do_not_collide(
    lake: Lake, open_log: Callable[[], DecisionLog]
) -> None:
    log = open_log()
    for mode in ("batch", "service"):
        log.record([decision(mode="service")])
        lake.ensure("decisions", "pricing", DECISION_SCHEMA, partition_by=["business_date"])
        lake.append("decisions", "pricing", decode(encode(decision(mode=mode))))
        log.ship()
    log.close()
    assert len(logged(lake)) == 4


def test_a_lake_that_refuses_keeps_the_decisions_on_disk(
    lake: Lake, open_log: Callable[[], DecisionLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> bool:
        raise OSError(5, "the lake is away")

    log = open_log()
    with monkeypatch.context() as away:
        away.setattr(decision_log, "append_once", refuse)
        for _ in range(3):
            log.record([decision()])
            with pytest.raises(OSError, match="away"):
                log.ship()
        assert (log.backlog.rows, log.backlog.segments) == (3, 1)
    log.ship()
    assert (log.backlog.rows, log.backlog.segments, log.backlog.shipped_rows) == (0, 0, 3)
    log.close()
    assert len(logged(lake)) == 3


def test_a_full_disk_refuses_the_answer_and_leaves_no_torn_line(
    lake: Lake, open_log: Callable[[], DecisionLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = os.write, iter([40])

    def half(file: int, data: bytes) -> int:
        size = next(calls, 0)
        if not size:
            raise OSError(28, "No space left on device")
        return write(file, data[:size])

    log = open_log()
    log.record([decision()])
    with monkeypatch.context() as full:
        full.setattr(decision_log.os, "write", half)
        with pytest.raises(DecisionLogError, match="No space left"):
            log.record([decision()])
    log.record([decision()])
    log.close()
    assert len(logged(lake)) == 2


@pytest.mark.parametrize("tail", [b'{"decision_id": "half', b"\x00" * 64, encode(decision())[:-1]])
def test_a_torn_last_line_is_left_out(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "000000000001.jsonl"
    path.write_bytes(encode(decision()) + tail)
    rows, torn = read_segment(path)
    assert (rows.num_rows, torn) == (1, 1)


def test_a_page_of_zeros_amid_a_segment_is_kept_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "000000000001.jsonl"
    path.write_bytes(encode(decision()) + b"\x00" * 64 + b"\n" + encode(decision()))
    rows, torn = read_segment(path)
    assert (rows.num_rows, torn) == (2, 1)
    assert path.with_suffix(".torn").read_bytes() == b"\x00" * 64 + b"\n"


def test_two_living_logs_of_one_product_hold_different_spools(
    lake: Lake, open_log: Callable[[], DecisionLog], tmp_path: Path
) -> None:
    first, second = open_log(), open_log()
    first.record([decision()])
    second.record([decision()])
    assert recover(partial(append_once, lake), "pricing", tmp_path / "spool" / "pricing") == 0
    first.close()
    second.close()
    assert len(logged(lake)) == 2


CHILD = textwrap.dedent(
    """
    import os, sys
    from pathlib import Path
    from retail_assets.resources.lake import Lake
    from retail_assets.decisions import log as decision_log
    from retail_assets.decisions import spool as decision_spool
    from retail_assets.decisions.log import DecisionLog
    from tests.decisions.test_decision_log import decision

    root, die_at = Path(sys.argv[1]), sys.argv[2]
    wait = __import__("threading").Event().wait
    log = DecisionLog(Lake.at(root / "lake"), "pricing", root / "spool", sync_every_s=0.01, ship_every_s=0.05)

    def hang(*_):
        os.write(1, b"hung\\n")
        wait()

    if die_at == "before_commit":
        decision_log.append_once = hang
    if die_at == "after_commit":
        commit = decision_spool.append_once
        decision_log.append_once = lambda *args: (commit(*args), hang())
    log.start()
    while True:
        row = decision()
        log.record([row])
        os.write(1, row["decision_id"].encode() + b"\\n")
        wait(0.001)
    """
)


def killed_after(tmp_path: Path, die_at: str, answers: int) -> list[str]:
    """Runs a process that decides and answers, kills it with SIGKILL and returns the decisions it answered."""
    root = Path(__file__).resolve().parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path), die_at],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert child.stdout is not None
    answered: list[str] = []
    hung = die_at == "anywhere"
    while len(answered) < answers or not hung:
        line = child.stdout.readline().strip()
        assert line, "the process died by itself"
        hung = hung or line == "hung"
        if line != "hung":
            answered.append(line)
    child.send_signal(signal.SIGKILL)
    rest = child.communicate()[0].splitlines()
    return answered + [line for line in rest if len(line) == 36]


@pytest.mark.parametrize("die_at", ["anywhere", "before_commit", "after_commit"])
def test_kill_9_loses_and_doubles_nothing(tmp_path: Path, lake: Lake, die_at: str) -> None:
    answered = killed_after(tmp_path, die_at, answers=100)
    log = DecisionLog(lake, "pricing", tmp_path / "spool")
    log.start()
    log.close()
    in_lake = logged(lake)
    assert len(in_lake) == len(set(in_lake))
    assert set(answered) <= set(in_lake)
    assert len(in_lake) - len(answered) <= 1, "at most the decision that was written and not yet answered"
    assert not list((tmp_path / "spool").rglob("*.jsonl"))


def test_killed_again_and_again_at_random_points_keeps_every_answer_once(tmp_path: Path, lake: Lake) -> None:
    answered = [uid for answers in (3, 70, 29, 150) for uid in killed_after(tmp_path, "anywhere", answers)]
    recover(partial(append_once, lake), "pricing", tmp_path / "spool" / "pricing")
    in_lake = logged(lake)
    assert len(in_lake) == len(set(in_lake))
    assert set(answered) <= set(in_lake)


def test_a_number_is_not_used_again_when_the_spool_was_emptied(lake: Lake, open_log: Callable[[], DecisionLog]) -> None:
    for _ in range(3):
        log = open_log()
        log.record([decision()])
        log.close()
    assert len(logged(lake)) == 3
    assert decision_spool.append_once is append_once
