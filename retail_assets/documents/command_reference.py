"""docs/command-line.md, made from the commands themselves: arguments, options, exit codes, errors, older names."""

import re
from collections.abc import Iterator
from typing import Any

import typer
from typer.main import get_command

from retail_assets.cli import app
from retail_assets.commands.command_line import CODES, POSITIONAL, RENAMED
from retail_assets.documents.blocks import table
from retail_assets.documents.examples import printed
from retail_assets.resources.environments import PROJECT_ROOT

DOCUMENT = PROJECT_ROOT / "docs" / "command-line.md"
KINDS = {
    "str": "text",
    "int": "whole number",
    "int range": "whole number",
    "float": "number",
    "float range": "number",
    "path": "path",
    "list[str]": "text",
    "list[Path]": "path",
}
SHARED = ("--json", "--by", "--yes")
WRONG = ("models", "--at", "yesterday", "--json")

HEAD = """# The command line

<!-- written by `make docs` from the commands themselves: change their help, not this file -->

Every command with its arguments and options, as `--help` shows them. Documents by task: [README](../README.md#read-on).

`RETAIL_HOME` names the folder of the retailer (without it `.retail` in the project);
[other variables](architecture.md#a-home).
Three options mean the same wherever they are taken:

{shared}

## Exit codes

{codes}

## Errors

A person reads on standard error what is wrong, where, and what to do. With `--json` standard output has one JSON
document instead, and the exit code is the same. `code` names the kind of error and does not change; `where` and
`todo` may be null. An `import` of which nothing reached bronze adds its report beside `error`.

```
$ retail {wrong}
{error}
```

Tables keep whole words and numbers: where the terminal is too narrow for them, at 60 columns say, each row is told in
lines of its own.

## Older names

They still work, with a warning on standard error.

{older}

## Commands

{index}
"""


def text() -> str:
    """The document as it is kept in docs/."""
    found = list(_commands(get_command(app), "retail"))
    head = HEAD.format(
        shared=table(["option", "what it is"], [[f"`{name}`", _said_of(name, found)] for name in SHARED]),
        codes=table(["code", "means"], [[str(code), said] for code, said in CODES.items()]),
        wrong=" ".join(WRONG),
        error=printed(WRONG),
        older=table(["command", "older name", "now"], _older()),
        index=table(["command", "what it does"], [[f"[`{n}`](#{n.replace(' ', '-')})", _first(c)] for n, c in found]),
    )
    return "\n".join([head, *(_section(name, command) for name, command in found)])


def _commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something by itself, with its whole name."""
    for name, command in group.commands.items():
        whole = f"{path} {name}"
        if getattr(command, "invoke_without_command", True) is not False:
            yield whole, command
        if hasattr(command, "commands"):
            yield from _commands(command, whole)


def _said_of(option: str, commands: list[tuple[str, Any]]) -> str:
    """The help of a shared option, which is the same in every command that takes it."""
    (said,) = {p.help for _, command in commands for p in command.params if option in p.opts}
    return str(said)


def _older() -> list[list[str]]:
    options = [
        [f"`retail {' '.join(command)}`", f"`{old}`", f"`{new}`"]
        for command, names in RENAMED.items()
        for old, new in names.items()
    ]
    arguments = [
        [f"`retail {' '.join(command)}`", f"`{old}`", "an argument, given last"] for command, old in POSITIONAL.items()
    ]
    return sorted(options + arguments)


def _first(command: Any) -> str:
    return str(command.help or "").split("\n\n")[0]


def _section(name: str, command: Any) -> str:
    context = typer.Context(command, info_name=name)
    parameters = [p for p in command.params if not getattr(p, "hidden", False)]
    shared = [p for p in parameters if set(p.opts) & set(SHARED)]
    own = [_row(p, context) for p in parameters if p not in shared]
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join([name, *(_usage(p) for p in arguments), "[options]" if parameters != arguments else ""]).strip()
    parts = [f"## {name}\n", re.sub(r"\n(?!\n)", "\n", str(command.help or "").strip()), f"\n    {usage}\n"]
    if own:
        parts.append(table(["argument or option", "value", "default", "what it is"], own) + "\n")
    if shared:
        parts.append(f"Also takes {', '.join(f'`{p.opts[0]}`' for p in shared)}.\n")
    return "\n".join(parts)


def _usage(argument: Any) -> str:
    name = _argument_name(argument)
    return name if argument.required else f"[{name}]"


def _argument_name(argument: Any) -> str:
    many = "..." if argument.nargs != 1 else ""
    return f"{(argument.metavar or argument.name).upper()}{many}"


def _row(parameter: Any, context: typer.Context) -> list[str]:
    argument = parameter.param_type_name == "argument"
    name = _argument_name(parameter) if argument else ", ".join([*parameter.opts, *parameter.secondary_opts])
    default = "required" if parameter.required else _default(parameter)
    said = (parameter.help or "").replace("<", "\\<")
    if getattr(parameter, "multiple", False) and "epeat" not in said:
        said += " Repeat for more."
    if parameter.envvar:
        said += f" Else `{parameter.envvar}` of the environment."
    return [f"`{name}`", "" if getattr(parameter, "is_flag", False) else _value(parameter, context), default, said]


def _value(parameter: Any, context: typer.Context) -> str:
    """What kind of value is given: the choices there are, or a word for it."""
    shown = parameter.metavar if parameter.metavar and parameter.param_type_name == "option" else None
    kind = shown or parameter.display_type(context).strip("<>")
    if "|" in kind:
        return ", ".join(f"`{choice}`" for choice in kind.split("|"))
    least = f", at least {parameter.min:g}" if getattr(parameter, "min", None) is not None else ""
    most = f", at most {parameter.max:,.15g}" if getattr(parameter, "max", None) is not None else ""
    return KINDS.get(kind, kind.lower()) + least + most


def _default(parameter: Any) -> str:
    value = parameter.default
    if value in (None, False, "", ()):
        return ""
    return f"`{str(getattr(value, 'value', value)).removeprefix(f'{PROJECT_ROOT}/')}`"
