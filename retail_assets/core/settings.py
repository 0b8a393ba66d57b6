"""Settings: YAML files into frozen Pydantic models; every mistake is reported with its file, line, key and value."""

import difflib
import os
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from retail_assets.core.errors import RetailError

# The C parser is ten times as fast; where PyYAML was built without it, the Python one reads the same.
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Location = tuple[str | int, ...]
ALIKE = 0.5  # of 1, as difflib measures; `qty` and `quantity` are 0.55
SHOWN, LONGEST = 5, 60  # mistakes of a file; characters of a value
Model = TypeVar("Model", bound=BaseModel)


class SettingsError(RetailError):
    """A settings file that is no YAML, or says something that its model does not allow."""


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


def read_yaml(file: Path, error: type[RetailError] = SettingsError) -> tuple[Any, Lines]:
    """The content of `file` and its line numbers; raises `error` for bad YAML and for repeated keys."""
    lines = Lines(file)
    try:
        loader = LOADER(file.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        return (None if node is None else _construct(loader, node, (), lines, error)), lines
    except FileNotFoundError as missing:
        raise error("the file does not exist", where=str(file)) from missing
    except yaml.MarkedYAMLError as broken:
        line = broken.problem_mark.line + 1 if broken.problem_mark else 1
        raise error(f"not valid YAML: {broken.problem}", where=f"{file}:{line}") from broken


def _construct(loader: yaml.SafeLoader, node: yaml.Node, path: Location, lines: Lines, error: type[RetailError]) -> Any:
    if path not in lines._by_path or path == ():
        lines.mark(path, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_construct(loader, child, (*path, i), lines, error) for i, child in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)
    content: dict[Hashable, Any] = {}
    for key_node, child in node.value:
        key = loader.construct_object(key_node)
        line = key_node.start_mark.line + 1
        if key in content:
            raise error(f"the key {key!r} is given twice", where=f"{lines.file}:{line}")
        lines.mark((*path, key), line)
        content[key] = _construct(loader, child, (*path, key), lines, error)
    return content


def read_model(
    file: Path, model: type[Model], error: type[RetailError] = SettingsError, todo: str = "correct the line"
) -> tuple[Model, Lines]:
    """`file` as a `model`; raises `error` naming file, line, key and value of the first mistakes."""
    content, lines = read_yaml(file, error)
    try:
        return model.model_validate(content), lines
    except ValidationError as wrong:
        # A misspelt key is both unknown and missing; the line to correct is the one that has it.
        mistakes = sorted(wrong.errors(), key=lambda mistake: mistake["type"] == "missing")
        keys = known_keys(model)
        found = [f"{lines.at(m['loc'])}: {_dotted(m['loc'])}: {said(m, keys)}" for m in mistakes[:SHOWN]]
        raise error(
            f"{file.name} is not valid: " + "; ".join(found), where=lines.at(mistakes[0]["loc"]), todo=todo
        ) from wrong


def known_keys(model: type[BaseModel]) -> set[str]:
    """Every key that a model or one below it may have, under the name it has in a file."""
    schema = model.model_json_schema(by_alias=True)
    parts = [schema, *schema.get("$defs", {}).values()]
    return {key for part in parts for key in part.get("properties", {})}


def said(mistake: Mapping[str, Any], keys: Iterable[str] = ()) -> str:
    """One mistake that pydantic found, in plain words: what is wrong with which value."""
    kind, text = mistake["type"], str(mistake["msg"])
    if kind == "extra_forbidden":
        return f"there is no such key{did_you_mean(str(mistake['loc'][-1]), keys)}"
    if kind == "missing":
        return "this key is missing"
    if kind in ("value_error", "assertion_error"):
        return text.partition(", ")[2]
    if kind.endswith("_parsing"):
        text = text.partition(",")[0]
    value = str(mistake["input"])
    value = value if len(value) <= LONGEST else f"{value[:LONGEST]}..."
    return f"{text.replace('Input should', 'must', 1)}, not {value!r}"


def _dotted(location: Iterable[str | int]) -> str:
    return ".".join(str(part) for part in location) or "the file"
