"""Commands in documents can be typed as they stand, and every command says what it takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from retail_assets.cli import app
from retail_assets.commands.command_line import RENAMED, by_new_names
from retail_assets.documents import command_reference
from retail_assets.resources.environments import PROJECT_ROOT

DOCUMENTS = [PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").glob("*.md"))]
SHOWN = re.compile(r"`retail ([^`\n]+(?:\n[^`\n]+)?)`|^(?: {4}|\$ )?(?:\w+=\S+ )*retail (.+)$", re.MULTILINE)


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


def shown(document: Path) -> list[list[str]]:
    """The words of each `retail` command of a document, without comments and pipes."""
    text = document.read_text().replace("\\\n", " ")
    found = [first or second for first, second in SHOWN.findall(text)]
    return [shlex.split(re.split(r"\s#|\s\||>", line)[0].replace("'", "")) for line in found]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_option_in_a_document_is_one_of_its_command(document: Path) -> None:
    wrong = []
    for words in shown(document):
        command, path = get_command(app), []
        taken = list(getattr(command, "params", []))
        for word in words:
            if word not in getattr(command, "commands", {}):
                break
            command, path = command.commands[word], [*path, word]  # type: ignore[attr-defined]
            taken += command.params
        known = {option for parameter in taken for option in (*parameter.opts, *parameter.secondary_opts)}
        given = {word.split("=")[0].rstrip(".,:)") for word in words if word.startswith("--")}
        wrong += [f"retail {' '.join(words)}: {option}" for option in given - known - {"--help"}]
        if document != command_reference.DOCUMENT and by_new_names(words) != words:
            wrong.append(f"retail {' '.join(words)}: an older name")
    assert wrong == []


def test_every_command_argument_and_option_says_what_it_is() -> None:
    silent = []
    for path, command in commands(get_command(app)):
        silent += [path] if not command.help else []
        silent += [(*path, parameter.name) for parameter in command.params if not parameter.help]
    assert silent == []


def test_older_names_are_of_commands_that_exist() -> None:
    assert set(RENAMED) <= {path for path, _ in commands(get_command(app))}
