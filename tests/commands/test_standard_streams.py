"""A command does its work whatever its standard streams are, and never ends in a traceback over them."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.commands.command_line import DONE, FAILED, UNREAD, WRONG_ARGUMENTS
from retail_assets.commands.standard_streams import NobodyReads, NotWritten, Output

PROBE = (
    "from retail_assets.commands.standard_streams import make_usable; make_usable(); "
    "from retail_assets.core.terminal import console, errors, print_json, say; "
)


def shell(command: str, home: Path, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """`command` in bash, where `retail` and `python` are those of these tests."""
    named = f'retail() {{ "{sys.executable}" -m retail_assets.cli "$@"; }}; python() {{ "{sys.executable}" "$@"; }}; '
    known = os.environ | {"RETAIL_HOME": str(home), "RETAIL_ENV": "test"} | environment
    return subprocess.run(["bash", "-c", named + command], env=known, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("retail status > /dev/full", FAILED, "no space is left"),
        ("retail status --json > /dev/full", FAILED, "no space is left"),
        ("retail prices --json > /dev/full", FAILED, "no price is published"),
        ("retail --help > /dev/full", FAILED, "no space is left"),
        ("retail status >&-", DONE, ""),
        ("retail status --json >&-", DONE, ""),
        ("retail status 2>&-", DONE, ""),
        ("retail status <&- >&- 2>&-", DONE, ""),
        ("retail prices 2>&-", FAILED, ""),
        ("retail prices 2> /dev/full", FAILED, ""),
        ("retail stauts 2> /dev/full", WRONG_ARGUMENTS, ""),
        ("retail stauts --json > /dev/full", WRONG_ARGUMENTS, ""),
        ("retail status | :; exit ${PIPESTATUS[0]}", UNREAD, ""),
        ("retail status --json | :; exit ${PIPESTATUS[0]}", UNREAD, ""),
        ("retail --help | head -1 > /dev/null; exit ${PIPESTATUS[0]}", UNREAD, ""),
    ],
)
def test_a_stream_that_takes_nothing_is_one_sentence_or_silence(
    tmp_path: Path, command: str, code: int, says: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    ended = shell(command, home)
    said = ended.stderr.decode()
    assert (ended.returncode, says in said) == (code, True), said
    assert "Traceback" not in said and "Exception ignored" not in said
    assert said.count("error:") == (1 if says else 0), said
    assert list(home.iterdir()) == [], "no report of a fault"


def test_nothing_opened_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    code = PROBE + f"import os; f = open({str(tmp_path / 'data')!r}, 'w'); f.flush(); os.system('echo leaked')"
    ended = shell(f"python -c '{code.replace(chr(39), chr(34))}' <&- >&- 2>&-", tmp_path)
    assert (ended.returncode, (tmp_path / "data").read_text()) == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_signs_that_a_stream_does_not_have_are_written_in_another_way(tmp_path: Path, encoding: str) -> None:
    code = PROBE + 'console.print("\u2713 M\u00fcller \u2192 \u5c71"); say("\u2713"); errors.print("\u2713")'
    ended = shell(f"python -c '{code}'", tmp_path, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert ended.returncode == 0, ended.stderr
    ok = "\u2713" if encoding == "utf-8" else "ok"
    assert ended.stdout.decode(encoding).splitlines()[1] == ended.stderr.decode(encoding).strip() == ok
    assert ended.stdout.decode(encoding).startswith(
        {"ascii": "ok M\\xfcller -> \\u5c71", "utf-8": "\u2713 M\u00fcller \u2192 \u5c71"}.get(
            encoding, "ok M\u00fcller -> \\u5c71"
        )
    )


@pytest.mark.parametrize(
    "settings",
    [{"PYTHONIOENCODING": "ascii"}, {"PYTHONUTF8": "0", "LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}],
)
@pytest.mark.parametrize("command", ["scramble s.csv", "--help", "status", "prices", "scramble s.csv --json"])
def test_a_command_ends_the_same_on_a_stream_of_few_signs(
    tmp_path: Path, command: str, settings: dict[str, str]
) -> None:
    folder = tmp_path / "K\u00e4se"
    folder.mkdir()
    (folder / "s.csv").write_text("name\nJane\n")
    ended = shell(f"cd {folder} && retail {command}", tmp_path, **settings)
    assert ended.returncode == (FAILED if command == "prices" else DONE), ended.stderr
    assert ended.stdout.isascii() and ended.stderr.isascii()
    if "--json" in command:
        assert json.loads(ended.stdout)


@given(st.text(st.characters(codec=None)), st.sampled_from(["ascii", "latin-1", "cp1252", "koi8-r", "utf-8"]))
def test_whatever_is_written_is_taken(text: str, encoding: str) -> None:
    raw = io.BytesIO()
    out = Output(io.TextIOWrapper(raw, encoding), silent=False)
    out.write(text)
    out.flush()
    assert raw.getvalue().decode(encoding) is not None
    if text.isascii():
        assert raw.getvalue().decode() == text


@pytest.mark.parametrize(("error", "raised"), [(OSError(28, "full"), NotWritten), (BrokenPipeError(), NobodyReads)])
def test_a_stream_that_failed_is_told_of_once(error: OSError, raised: type[Exception], tmp_path: Path) -> None:
    class Full(io.FileIO):
        def write(self, data: object, /) -> int:
            raise error

    for silent in (False, True):
        stream = io.TextIOWrapper(io.BufferedWriter(Full(tmp_path / "x", "w")), "utf-8")
        out = Output(stream, silent)
        out.write("x")
        if silent:
            out.flush()
        else:
            with pytest.raises(raised):
                out.flush()
        assert out.write("more") == 4
        out.flush()
