"""Settings: YAML files into frozen Pydantic models; every mistake is reported with its file, line, key and value.

YAML is read by the rules of its version 1.2, as people write it today: `NO`, `on` and `1_000` are text, a date is text
until a model asks for a date. A number with a leading zero (`0123`) is text too, and every number knows how it was
written, so that a code that looks like a number stays that code.
"""

import re
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from retail_assets.core.errors import RetailError
from retail_assets.core.mistakes import Location, mistakes_of, mistyped
from retail_assets.core.spelling import WrittenFloat, WrittenInt, as_written, did_you_mean, nearest

__all__ = [
    "Lines",
    "Location",
    "SettingsError",
    "as_written",
    "did_you_mean",
    "known_keys",
    "nearest",
    "parse_yaml",
    "read_model",
    "read_yaml",
]

SHOWN = 5  # mistakes of a file
MOST_LEVELS = 50
MOST_BYTES = 8 << 20
MOST_DIGITS = 1_000  # of a number; reading one takes the square of them
MOST_VALUES = 100_000  # of a file: aliases of aliases can stand for billions
Model = TypeVar("Model", bound=BaseModel)


TAGS = ("map", "seq", "str", "null", "bool", "int", "float")


class SettingsError(RetailError):
    """A settings file that is no YAML, or says something that its model does not allow."""


# The C parser is ten times as fast; where PyYAML was built without it, the Python one reads the same.
class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML 1.2's core rules of what a plain word is, but for leading zeros."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


def _number(kind: type[WrittenInt] | type[WrittenFloat]) -> Any:
    def construct(_loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
        text = str(node.value)
        if len(text) > MOST_DIGITS:
            what = f"a number of {len(text):,} digits (a code is written in quotes)"
            raise yaml.MarkedYAMLError(problem=what, problem_mark=node.start_mark)
        value = kind(int(text, 0) if kind is WrittenInt else text.replace(".inf", "inf").replace(".nan", "nan"))
        value.written = text
        return value

    return construct


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _number(WrittenInt))
_Loader.add_constructor("tag:yaml.org,2002:float", _number(WrittenFloat))


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
    if not file.exists():
        raise error("the file does not exist", where=str(file))
    if not file.is_file():  # a pipe would be waited for, a device has no end
        raise error("this is no file", where=str(file))
    if file.stat().st_size > MOST_BYTES:
        raise error(f"the file is larger than {MOST_BYTES >> 20} MB", where=str(file), todo="is it a settings file?")
    return parse_yaml(file.read_bytes(), file, error)


def parse_yaml(written: bytes, file: Path, error: type[RetailError] = SettingsError) -> tuple[Any, Lines]:
    """`read_yaml` of what was read from `file` already."""
    lines = Lines(file)
    try:
        text = written.decode("utf-8-sig")
        _refuse_depth(text, lines, error)
        loader = _Loader(text)
        node = loader.get_single_node()
        return (None if node is None else _Reading(loader, lines, error).read(node, ())), lines
    except UnicodeDecodeError as other:
        line, value = written.count(b"\n", 0, other.start) + 1, written[other.start : other.start + 1].hex()
        raise error(f"not UTF-8: byte {value}", where=f"{file}:{line}", todo="save the file as UTF-8") from other
    except yaml.MarkedYAMLError as broken:
        line = broken.problem_mark.line + 1 if broken.problem_mark else 1
        raise error(f"not valid YAML: {broken.problem}", where=f"{file}:{line}") from broken
    except yaml.reader.ReaderError as odd:
        line = written.decode("utf-8-sig")[: odd.position].count("\n") + 1
        shown = odd.character if isinstance(odd.character, str) else chr(odd.character)
        todo = "remove it, or write it in double quotes"
        raise error(f"not valid YAML: the character {shown!r}", where=f"{file}:{line}", todo=todo) from odd


def _refuse_depth(text: str, lines: Lines, error: type[RetailError]) -> None:
    """Looks at the events of the parser, which come one by one: the tree they make is built as a whole, by recursion in
    C. More nodes than are read with a key each are too many however they hang together.
    """
    depth = nodes = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        nodes += isinstance(event, yaml.NodeEvent)
        if depth > MOST_LEVELS or nodes > 2 * MOST_VALUES:
            line = event.start_mark.line + 1 if event.start_mark else 1
            many = f"{MOST_LEVELS} levels in each other" if depth > MOST_LEVELS else f"{MOST_VALUES:,} values"
            raise error(f"more than {many}", where=f"{lines.file}:{line}")


class _Reading:
    """One file on its way from nodes to values: no key twice, no anchor within itself, no more than can be meant."""

    def __init__(self, loader: Any, lines: Lines, error: type[RetailError]) -> None:
        self._loader, self._lines, self._error = loader, lines, error
        self._open: set[int] = set()
        self._values = 0

    def read(self, node: yaml.Node, path: Location) -> Any:
        line = node.start_mark.line + 1
        self._values += 1
        if self._values > MOST_VALUES:
            self._refuse(f"more than {MOST_VALUES:,} values, counting those that anchors repeat", line)
        if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.split(":")[-1] not in TAGS:
            self._refuse(f"not valid YAML here: the tag {node.tag.replace('tag:yaml.org,2002:', '!!')}", line)
        if id(node) in self._open:
            self._refuse("an anchor holds itself", line)
        if path not in self._lines._by_path or path == ():
            self._lines.mark(path, line)
        self._open.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            content: Any = [self.read(child, (*path, i)) for i, child in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            content = self._mapping(node, path)
        else:
            content = self._loader.construct_object(node)
        self._open.discard(id(node))
        return content

    def _mapping(self, node: yaml.MappingNode, path: Location) -> dict[Hashable, Any]:
        content: dict[Hashable, Any] = {}
        for key_node, child in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._refuse("a key is a word, not a list or a mapping", line)
            if key_node.value == "<<":
                self._refuse("YAML's merge key << is not read: write the keys out", line)
            key = str(key_node.value)
            if key in content:
                self._refuse(f"the key {key!r} is given twice", line)
            self._lines.mark((*path, key), line)
            content[key] = self.read(child, (*path, key))
        return content

    def _refuse(self, what: str, line: int) -> NoReturn:
        raise self._error(what, where=f"{self._lines.file}:{line}")


def read_model(
    file: Path, model: type[Model], error: type[RetailError] = SettingsError, todo: str = "correct the line"
) -> tuple[Model, Lines]:
    """`file` as a `model`; raises `error` naming file, line, key and value of the first mistakes."""
    content, lines = read_yaml(file, error)
    try:
        read = model.model_validate(content)
    except ValidationError as wrong:
        mistakes = mistakes_of(wrong, content, known_keys(model))
        raise _refused(file, lines, mistakes, error, todo) from wrong
    if mistakes := list(mistyped(content, read)):
        raise _refused(file, lines, mistakes, error, todo)
    return read, lines


def _refused(
    file: Path, lines: Lines, mistakes: Sequence[tuple[Location, str]], error: type[RetailError], todo: str
) -> RetailError:
    found = [f"{lines.at(place)}: {_dotted(place)}: {what}" for place, what in mistakes[:SHOWN]]
    return error(f"{file.name} is not valid: " + "; ".join(found), where=lines.at(mistakes[0][0]), todo=todo)


def known_keys(model: type[BaseModel]) -> set[str]:
    """Every key that a model or one below it may have, under the name it has in a file."""
    schema = model.model_json_schema(by_alias=True)
    parts = [schema, *schema.get("$defs", {}).values()]
    return {key for part in parts for key in part.get("properties", {})}


def _dotted(location: Iterable[str | int]) -> str:
    return ".".join(str(part) for part in location) or "the file"
