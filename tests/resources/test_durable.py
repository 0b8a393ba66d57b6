"""A file that is replaced is the old one or the new one, after a crash at any point, and leaves nothing beside it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from retail_assets.resources import durable


def test_content_is_on_disk_before_its_name_and_the_name_before_the_call_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_sync(opened: int) -> None:
        done.append("folder" if Path(f"/proc/self/fd/{opened}").is_dir() else "file")
        fsync(opened)

    def note_replace(self: Path, target: Path) -> Path:
        done.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_replace)
    durable.write(tmp_path / "new" / "a.json", "{}")
    assert done == ["file", "rename", "folder"]
    assert (tmp_path / "new" / "a.json").read_text() == "{}"


def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    durable.write(path, "old")

    def half(partial: Path) -> None:
        partial.write_text("ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        durable.fill(path, half)
    assert path.read_text() == "old" and [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_new_file_has_the_mode_that_is_asked_for(tmp_path: Path) -> None:
    durable.write(tmp_path / "keys.json", b"{}", mode=0o600)
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600


WRITER = """
import sys
from pathlib import Path
from retail_assets.resources import durable
number = 0
while True:
    number += 1
    durable.write(Path(sys.argv[1]), f"{number} " * 20_000)
    print(number, flush=True)
"""


def test_a_writer_that_is_killed_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for _ in range(3):
                writer.stdout.readline()
            writer.kill()
        assert len(set(path.read_text().split())) == 1 and len(path.read_text().split()) == 20_000
    left = [file.name for file in tmp_path.iterdir() if file.name != "a.txt"]
    assert all(name.startswith(".a.txt.") and name.endswith(durable.PARTIAL) for name in left)


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    (staged / "deep").mkdir(parents=True)
    (staged / "deep" / "a.txt").write_text("a")
    durable.move_in(staged, tmp_path / "target")
    assert (tmp_path / "target" / "deep" / "a.txt").read_text() == "a" and not staged.exists()
    (tmp_path / "other").mkdir()
    with pytest.raises(OSError, match="not empty"):
        durable.move_in(tmp_path / "other", tmp_path / "target")
