"""Every folder beside this file is a case: an input, commands, and what is right (README.md)."""

import re
import runpy
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from retail_assets.cli import app
from retail_assets.commands import command_line
from retail_assets.core.settings import read_model
from retail_assets.resources.lake import Lake

HERE = Path(__file__).parent
CASES = sorted(file.parent.name for file in HERE.glob("*/case.yaml"))
TABLE = re.compile(r"\{(\w+)\.(\w+)\}")


class Case(BaseModel):
    """What case.yaml says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    says: str
    files: dict[str, str] = {}
    replace: dict[str, dict[str, str]] = {}
    commands: list[str]
    exit: int = 0
    shows: list[str] = []
    hides: list[str] = []
    tables: dict[str, list[list[Any]]] = {}
    home: str = "home"

    def lay_out(self, folder: Path, source: Path) -> None:
        """Writes the input of the case in `source` into `folder`."""
        shutil.copytree(HERE / "shop", folder)
        if (source / "in").is_dir():
            shutil.copytree(source / "in", folder, dirs_exist_ok=True)
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
        for name, changes in self.replace.items():
            text = (folder / name).read_text()
            for old, new in changes.items():
                assert old in text, f"{old!r} is not in {name}"
                text = text.replace(old, new)
            (folder / name).write_text(text)


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    case, _ = read_model(HERE / name / "case.yaml", Case)
    folder, home = tmp_path / "in", tmp_path / case.home
    case.lay_out(folder, HERE / name)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RETAIL_HOME", str(home))
    if (HERE / name / "make.py").exists():
        runpy.run_path(str(HERE / name / "make.py"))
    for command in case.commands:
        capsys.readouterr()
        program, *arguments = shlex.split(command)
        assert program == "retail"
        code = command_line.run(app, arguments)
    output = "\n".join(capsys.readouterr())
    told = " ".join(output.split())
    assert code == case.exit, output
    for text in case.shows:
        assert " ".join(text.split()) in told, f"{text!r} is not in:\n{output}"
    for text in ["Traceback", "should not:", *case.hides]:
        assert text not in told, f"{text!r} is in:\n{output}"
    lake = Lake.at(home / "lake")
    for sql, rows in case.tables.items():
        query = TABLE.sub(lambda found: lake.scan(found[1], found[2]), sql)
        with lake.connect() as connection:
            assert [list(row) for row in connection.execute(query).fetchall()] == rows, sql


def test_the_cases_are_found() -> None:
    assert len(CASES) > 10
