"""Files that go, change or become something else while they are read, and folders beside them."""

import os
from pathlib import Path

import pytest

from retail_assets.sources.config import load_contracts
from retail_assets.sources.discover import _is_closed, listing
from retail_assets.sources.load import load_source
from retail_assets.sources.report import SourceReport
from retail_assets.sources.sensors import listing_hash
from retail_assets.sources.state import State
from tests.sources.landing import Retailer, us_line


def load_while(retailer: Retailer, step: str, happens: list[object]) -> SourceReport:
    """A load of sales in which the callables of `happens` are called, one each time `step` is reached."""

    def at(reached: str) -> None:
        if reached == step and happens:
            happens.pop(0)()  # type: ignore[operator]

    return load_source(retailer.lake, retailer.home.landing, load_contracts()["pos_lines"], fault_point=at)


def name(path: Path, retailer: Retailer) -> str:
    return path.relative_to(retailer.home.landing).as_posix()


def test_a_file_that_goes_before_it_is_read_is_told_and_the_others_load(retailer: Retailer) -> None:
    retailer.put_pos([us_line()])
    other = retailer.put_pos([us_line(receipt=2)], day="20251005")
    report = load_while(retailer, "batch_started", [other.unlink])
    assert (report.files, report.rows_bronze) == (1, 1)
    assert report.not_read == {name(other, retailer): "no such file or directory"}
    assert retailer.load_pos().not_read == {}


def test_a_file_that_changes_is_not_loaded_under_the_hash_of_what_it_held(retailer: Retailer) -> None:
    path = retailer.put_pos([us_line(), us_line(receipt=2)])
    content, status = path.read_bytes(), path.stat()
    report = load_while(retailer, "batch_started", [lambda: path.write_bytes(b"")])
    assert (report.files, report.rows_read, report.quarantined_by_reason) == (0, 0, {})
    assert report.not_read == {name(path, retailer): "it changed while it was read"}
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as `rsync -t` does
    assert retailer.load_pos().rows_bronze == 2


def test_content_of_the_same_size_and_time_is_seen_to_be_another(retailer: Retailer) -> None:
    path = retailer.put_pos([us_line(price="2.50")])
    status = path.stat()

    def exchange() -> None:
        path.write_bytes(path.read_bytes().replace(b"2.50", b"9.50"))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert list(load_while(retailer, "batch_started", [exchange]).not_read) == [name(path, retailer)]
    assert [str(row["unit_price"]) for row in (retailer.load_pos(), retailer.bronze())[1]] == ["9.5000"]


def test_what_a_batch_wrote_before_a_file_changed_is_taken_back(
    retailer: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retail_assets.sources.batches.PART_ROWS", 1)
    good = retailer.put_pos([us_line(), us_line(receipt=2, quantity="x")])
    # Of another layout, so that it comes in a slice of its own.
    other = retailer.put_pos(
        [us_line(receipt=3) + ",1"], day="20251005", header="x" + good.read_text().split("\n")[0][1:] + ",n"
    )
    report = load_while(retailer, "bronze_written", [lambda: other.write_bytes(b"")])
    assert list(report.not_read) == [name(other, retailer)]
    assert (report.files, report.rows_bronze, report.rows_duplicate) == (1, 1, 0)
    assert report.quarantined_by_reason == {"not_a_decimal": 1}
    assert (len(retailer.bronze()), len(retailer.quarantine())) == (1, 1)


def test_a_file_that_gives_an_error_is_tried_again(retailer: Retailer) -> None:
    contract = load_contracts()["pos_lines"]
    memory = contract.feeds[0].model_copy(
        update={"files": "mem"}
    )  # a regular file that gives an I/O error, even to root
    for _ in range(2):
        report = load_source(retailer.lake, Path("/proc/self"), contract.model_copy(update={"feeds": (memory,)}))
        assert (report.files, report.not_read) == (0, {"mem": "input/output error"})


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../../../../etc/passwd", "/proc/self/mem", "/dev/zero"])
def test_a_link_out_of_landing_is_not_followed(retailer: Retailer, target: str) -> None:
    path = retailer.put_pos([us_line()])
    path.unlink()
    path.symlink_to(target)
    report = retailer.load_pos()
    assert (report.files, retailer.quarantine()) == (0, [])
    assert report.no_files[name(path, retailer)].startswith("a link that leads out of the folder, to /")
    path.unlink()
    assert retailer.put_pos([us_line()]) == path
    assert retailer.load_pos().rows_bronze == 1


def test_a_folder_that_is_a_link_out_of_landing_is_not_followed(retailer: Retailer, tmp_path: Path) -> None:
    there = tmp_path / "elsewhere"
    there.mkdir()
    (there / "secret.csv").write_text("name,word\na,b\n")
    (retailer.home.landing / "pos").mkdir()
    (retailer.home.landing / "pos" / "US-009").symlink_to(there)
    report = retailer.load_pos()
    assert (report.files, list(report.no_files)) == (0, ["pos/US-009/secret.csv"])


def test_a_link_within_landing_is_a_file_as_before(retailer: Retailer) -> None:
    path = retailer.put_pos([us_line()])
    kept = path.rename(retailer.home.landing / "kept.csv")
    path.symlink_to(kept)
    assert retailer.load_pos().rows_bronze == 1


def test_a_link_that_leads_nowhere_does_not_stop_the_sensor(retailer: Retailer) -> None:
    before = listing_hash(retailer.home.landing)
    (retailer.home.landing / "pos").mkdir()
    (retailer.home.landing / "pos" / "gone.csv").symlink_to("nowhere")
    assert listing_hash(retailer.home.landing) not in (None, before)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_may_not_be_listed_is_told(retailer: Retailer) -> None:
    path = retailer.put_pos([us_line()])
    path.parent.chmod(0)
    try:
        found = listing(retailer.home.landing, "pos_lines", load_contracts()["pos_lines"].feeds, State())
        assert (found.unknown, found.not_read) == ([], {"pos/US-001": "permission denied"})
        assert _is_closed(path.parent)
    finally:
        path.parent.chmod(0o755)
