"""A full disk and a read-only one say so, each in one sentence, whatever library stumbles over them."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.conftest import run_retail


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of sixteen megabytes with a home whose databases are written ahead, as Dagster's are."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() or not _mount("-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)):
        pytest.skip("only root may mount a small disk")
    try:
        run_retail(place / "home", "status", "--json")
        file = place / "home/dagster/schedules/schedules.db"
        file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("pragma journal_mode = wal")
            connection.execute("create table if not exists one (a)")
            connection.commit()
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def fill(place: Path) -> None:
    with suppress(OSError), (place / "fill").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_full_disk_is_named(disk: Path) -> None:
    fill(disk)
    failed = run_retail(disk / "home", "run", check=False)
    assert failed.returncode == 1 and "no space is left on the disk" in failed.stderr
    assert run_retail(disk / "home", "doctor").returncode == 0, "a database is not damaged because the disk is full"


def test_a_read_only_disk_is_named(disk: Path) -> None:
    assert _mount("-o", "remount,ro", str(disk))
    for command in (["run"], ["doctor", "--repair"]):
        failed = run_retail(disk / "home", *command, check=False)
        assert failed.returncode == 1 and "can only be read" in failed.stderr, command
    assert run_retail(disk / "home", "doctor").returncode == 0
