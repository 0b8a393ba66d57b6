"""Pydantic takes `20240101` for seconds since 1970, `true` and `1e2` for whole numbers: no settings file means that."""

import ast
import importlib
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel, ConfigDict

from retail_assets.core.settings import Location, SettingsError, as_written, read_model, read_yaml
from retail_assets.core.spelling import WrittenFloat, WrittenInt
from retail_assets.resources.environments import PROJECT_ROOT

PACKAGE = PROJECT_ROOT / "retail_assets"
TEMPORAL = (date, datetime, time, timedelta)
NUMBERS = (20240101, 86400, 1.5, 0, "20240101", "86400", "1.5")
ENTRIES: dict[str | int, Any] = {
    "caps": [{"from": "0001-01-01", "until": "9999-12-31", "max_increase": "0.1", "reason": "emergency"}],
    "categories": {"jackets": {}},
}
"""What stands in lists and mappings that are empty in our files."""
HERE = "*"  # a key or an entry of any name


def settings_models() -> Iterator[type[BaseModel]]:
    """Every model that some module reads from a file by `read_model`."""
    for file in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(file.relative_to(PROJECT_ROOT).with_suffix("").parts)
        tree = ast.parse(file.read_text())
        for outer in [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]:
            for call in ast.walk(outer):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "read_model":
                    name = ast.unparse(call.args[1])
                    own = outer.name if isinstance(outer, ast.ClassDef) else None
                    if name == "cls" and own is None:
                        continue
                    yield getattr(importlib.import_module(module), str(own) if name == "cls" else name)


def temporal(annotation: Any, place: Location = ()) -> Iterator[Location]:
    """Where below `annotation` a day, an instant, a time or a length of time may stand."""
    if isinstance(annotation, type) and issubclass(annotation, TEMPORAL):
        yield place
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield from temporal(field.annotation, (*place, field.alias or name))
        extra = annotation.__annotations__.get("__pydantic_extra__")
        yield from temporal(extra, place) if extra else ()
    elif get_origin(annotation) is not Literal:
        inner = get_args(annotation)
        entries = get_origin(annotation) in (tuple, list, dict)
        for part in inner[1:] if get_origin(annotation) is dict else inner:
            yield from temporal(part, (*place, HERE) if entries else place)


@cache
def shipped(model: type[BaseModel]) -> Any:
    """The content of a settings file of ours that is such a model."""
    for file in sorted((PROJECT_ROOT / "configs").rglob("*.yaml")):
        try:
            read_model(file, model)
        except SettingsError:
            continue
        return read_yaml(file)[0]
    raise AssertionError(f"no file below configs/ is a {model.__name__}")


def with_value(content: Any, place: Location, value: object, of: str | int = "") -> Any:
    """`content` with `value` at `place`, in the first entry of every list and mapping on the way."""
    key, *rest = place
    content = content or ENTRIES.get(of, content)
    if key == HERE:
        key = 0 if isinstance(content, list) else next(iter(content))
    inner = content[key] if isinstance(content, list) else content.get(key, {})
    new = value if not rest else with_value(inner, tuple(rest), value, key)
    if isinstance(content, list):
        return [new, *content[1:]]
    return content | {key: new}


class _Dumper(yaml.SafeDumper):
    """Writes numbers as they were written."""


for kind, tag in ((WrittenInt, "int"), (WrittenFloat, "float")):
    _Dumper.add_representer(
        kind, lambda dumper, value, tag=tag: dumper.represent_scalar(f"tag:yaml.org,2002:{tag}", str(as_written(value)))
    )


FOUND = [(model, place) for model in dict.fromkeys(settings_models()) for place in dict.fromkeys(temporal(model))]


def test_the_scan_finds_models_and_their_days() -> None:
    models = {model.__name__ for model in settings_models()}
    assert {"Mapping", "Contract", "PricingConfig", "ReleaseConfig", "_File", "LineageConfig"} <= models
    days = {(model.__name__, ".".join(map(str, place))) for model, place in FOUND}
    assert days >= {
        ("Mapping", "feeds.*.delivered_at"),
        ("Mapping", "feeds.*.not_before"),
        ("Contract", "business_date.not_before"),
        ("_File", "first_day"),
    }


@pytest.mark.parametrize("number", NUMBERS, ids=repr)
@pytest.mark.parametrize(("model", "place"), FOUND, ids=lambda value: getattr(value, "__name__", str(value)))
def test_no_settings_file_has_a_number_for_a_day(
    model: type[BaseModel], place: Location, number: object, tmp_path: Path
) -> None:
    file = tmp_path / "settings.yaml"
    text = yaml.dump(with_value(shipped(model), place, number), Dumper=_Dumper, sort_keys=False)
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        read_model(file, model)
    assert "must be" in refused.value.what and f"not '{number}'" in refused.value.what
    line = text.splitlines()[int(str(refused.value.where).rpartition(":")[2]) - 1]
    assert line.endswith(f"{place[-1]}: {number!r}")


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    on: date | None = None
    at: Literal["noon"] | datetime = "noon"
    till: time = time(12)
    lasts: timedelta = timedelta(0)


class Whole(BaseModel):
    model_config = ConfigDict(extra="allow")

    __pydantic_extra__: dict[str, list[Part]]
    parts: dict[str, tuple[Part, ...]] = {}
    count: int = 0
    share: float = 0.0
    on: bool = False
    names: tuple[str, ...] | str = ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("parts: {a: [{}, {on: 20240101}]}", "parts.a.1.on: must be a day (2026-03-31), not '20240101'"),
        ("parts: {a: [{on: 2024-01-01T00:00:00}]}", "parts.a.0.on: must be a day"),
        ("parts: {a: [{at: 1704067200}]}", "parts.a.0.at: must be an instant (2026-03-31T12:00:00Z), not '1704067200'"),
        ("parts: {a: [{at: morning}]}", "parts.a.0.at: must be 'noon' or an instant (2026-03-31T12:00:00Z)"),
        ("parts: {a: [{till: 3600}]}", "parts.a.0.till: must be a time of day (12:30), not '3600'"),
        ("parts: {a: [{lasts: 86400}]}", "parts.a.0.lasts: must be a length of time (P1DT12H), not '86400'"),
        ("more: [{on: 0}]", "more.0.on: must be a day (2026-03-31), not '0'"),
        ("count: true", "count: must be a whole number, not 'true'"),
        ("count: 1e2", "count: must be a whole number, not '1e2'"),
        ("share: true", "share: must be a number, not 'true'"),
        ("on: 1", "on: must be true or false, not '1'"),
        ("names: {a: 1}", "names: must be a list (lines that begin with `- `) or text, not"),
        ("names: [[1]]", "names.0: must be text, not '[1]'"),
        ("parts:", "parts: must be keys with values (`key: value`), nothing stands there"),
        ("parts: {a: }", "parts.a: must be a list (lines that begin with `- `), nothing stands there"),
    ],
)
def test_what_is_written_is_what_is_meant(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        read_model(file, Whole)
    assert says in refused.value.what
    assert refused.value.where == f"{file}:1"


def test_what_people_write_is_read(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        "parts: {a: [{on: 2024-01-31, at: 2024-01-31, till: '12:30', lasts: P1D}, {at: 2024-01-31T10:00:00+02:00}]}\n"
        "count: 3\nshare: 1\non: true\nnames: [a]\nmore: [{at: noon}]\n"
    )
    read, _ = read_model(file, Whole)
    first = read.parts["a"][0]
    assert (first.on, first.till, first.lasts) == (date(2024, 1, 31), time(12, 30), timedelta(days=1))
    assert (read.count, read.share, read.on, read.names) == (3, 1.0, True, ("a",))
