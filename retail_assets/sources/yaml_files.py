"""YAML files into frozen Pydantic models; every mistake is reported with its file and line."""

import difflib
import os
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from retail_assets.core.errors import RetailError

# The C parser is ten times as fast; where PyYAML was built without it, the Python one reads the same.
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Location = tuple[str | int, ...]
ALIKE = 0.5  # of 1, as difflib measures; `qty` and `quantity` are 0.55
Model = TypeVar("Model", bound=BaseModel)


class SourceConfigError(RetailError):
    """A source or mapping file that says something the contract does not allow."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` names that `word` is most likely a misspelling of, whatever the case; None for none."""
    wanted = word.lower()
    matcher = difflib.SequenceMatcher(b=wanted)
    scored: list[tuple[float, int, str]] = []
    for name in dict.fromkeys(known):
        matcher.set_seq1(name.lower())
        # Of names equally alike the one that begins alike: `itme` is `item`, not `time`.
        scored.append((matcher.ratio(), len(os.path.commonprefix([wanted, name.lower()])), name))
    best = max(scored, key=lambda score: score[:2], default=(0.0, 0, ""))
    return best[2] if best[0] >= ALIKE else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; the nearest is 'x'`, to be put behind a message about `word`, or nothing."""
    name = nearest(word, known)
    return "" if name is None else f"; the nearest is {name!r}"


class Lines:
    """Line numbers (1-based) of everything in one YAML file, looked up by the path of keys that leads there."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._by_path: dict[Location, int] = {(): 1}

    def mark(self, path: Location, line: int) -> None:
        """Remembers that `path` starts on `line`."""
        self._by_path[path] = line

    def at(self, location: Iterable[str | int]) -> str:
        """`file:line` of the deepest known part of `location`; parts that only name a Pydantic union are skipped."""
        path: Location = ()
        for part in location:
            if (*path, part) in self._by_path:
                path = (*path, part)
        return f"{self.file}:{self._by_path[path]}"


def read_yaml(file: Path) -> tuple[Any, Lines]:
    """The content of `file` and its line numbers; raises SourceConfigError for bad YAML and for repeated keys."""
    lines = Lines(file)
    try:
        loader = LOADER(file.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        return (None if node is None else _construct(loader, node, (), lines)), lines
    except FileNotFoundError as error:
        raise SourceConfigError("the file does not exist", where=str(file)) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SourceConfigError(f"not valid YAML: {error.problem}", where=f"{file}:{line}") from error


def _construct(loader: yaml.SafeLoader, node: yaml.Node, path: Location, lines: Lines) -> Any:
    if path not in lines._by_path or path == ():
        lines.mark(path, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_construct(loader, child, (*path, i), lines) for i, child in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)
    content: dict[Hashable, Any] = {}
    for key_node, child in node.value:
        key = loader.construct_object(key_node)
        line = key_node.start_mark.line + 1
        if key in content:
            raise SourceConfigError(f"the key {key!r} is given twice", where=f"{lines.file}:{line}")
        lines.mark((*path, key), line)
        content[key] = _construct(loader, child, (*path, key), lines)
    return content


def read_model(file: Path, model: type[Model]) -> tuple[Model, Lines]:
    """`file` as a `model`; raises SourceConfigError naming file, line and key of the first mistakes."""
    content, lines = read_yaml(file)
    try:
        return model.model_validate(content), lines
    except ValidationError as error:
        # A misspelt key is both unknown and missing; the line to correct is the one that has it.
        mistakes = sorted(error.errors(), key=lambda mistake: mistake["type"] == "missing")
        found = [f"{lines.at(m['loc'])}: {_dotted(m['loc'])}: {m['msg']}" for m in mistakes[:5]]
        raise SourceConfigError(
            f"{file.name} is not a valid {model.__name__.lower()}: " + "; ".join(found),
            where=lines.at(mistakes[0]["loc"]),
            todo="correct the line; docs/add-a-source.md lists every key",
        ) from error


def _dotted(location: Iterable[str | int]) -> str:
    return ".".join(str(part) for part in location) or "the file"
