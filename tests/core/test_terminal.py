"""Text on a terminal is data: nothing in it is markup, and nothing in it steers the terminal."""

import ast
import io
import re
from datetime import date
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

import retail_assets
from retail_assets.commands.releases import shown_share
from retail_assets.core.plain_text import STEERING, one_line, printable
from retail_assets.core.terminal import Terminal, as_day, as_instant, marked, print_table

PACKAGE = Path(retail_assets.__file__).parent
HOSTILE = [
    "[red]x[/red]",
    "[/]",
    "a\\",
    "[/bold]\\",
    "%s %d {0} {x}",
    "a\nb",
    "\x1b[31mred\x1b[0m",
    "\u202eevil",
    "\x9b31m",
    "🛒",
]
MARKUP = re.compile(r"\[/?(bold|red|yellow|green|dim|italic|blue|cyan)[^\]]*\]|\[/\]")
WRITERS = {"core/terminal.py", "serving/processes/processes.py"}  # of standard output itself


def written(*shown: object, width: int = 200) -> str:
    out = io.StringIO()
    Terminal(file=out, width=width).print(*shown, soft_wrap=True)
    return out.getvalue()


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_shown_as_it_is(text: str) -> None:
    assert written(text) == f"{printable(text)}\n"
    assert written(marked("[bold]{}[/]: {}", text, text)) == f"{one_line(text)}: {one_line(text)}\n"


@given(st.lists(st.text(st.characters(codec=None)), min_size=2, max_size=2))
def test_no_value_steers_or_styles(values: list[str]) -> None:
    text = marked("{} [bold]{}[/]!", *values)
    first, second = map(one_line, values)
    assert text.plain == f"{first} {second}!" and not STEERING.search(text.plain) and "\n" not in text.plain
    styled = {(span.start, span.end) for span in text.spans if span.style == "bold" and span.start < span.end}
    assert styled == ({(len(first) + 1, len(first) + 1 + len(second))} if second else set())


@pytest.mark.parametrize("width", [200, 20])
def test_a_table_shows_its_cells_and_heads_as_they_are(width: int) -> None:
    out = io.StringIO()
    rows = [[text, Text("no", style="bold")] for text in HOSTILE if "\n" not in text]
    print_table(Terminal(file=out, width=width), ["[red]a[/]", "b"], rows, title="[bold]t")
    assert "[bold]t" in out.getvalue()
    for text, _ in rows:
        assert printable(str(text)) in out.getvalue()
    assert not STEERING.search(out.getvalue())


def _trees() -> list[tuple[str, ast.Module]]:
    files = sorted(PACKAGE.rglob("*.py"))
    return [(file.relative_to(PACKAGE).as_posix(), ast.parse(file.read_text())) for file in files]


def test_markup_is_written_by_hand_in_constants_only() -> None:
    """A value inside a text with markup would be read as markup: `marked` takes it beside the text."""
    wrong = []
    for name, tree in _trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value for part in node.values if isinstance(part, ast.Constant)]
                wrong += [f"{name}:{node.lineno}" for part in parts if MARKUP.search(str(part))]
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func).endswith("from_markup")
                and name != "core/terminal.py"
            ):
                wrong.append(f"{name}:{node.lineno}")
    assert wrong == []


def test_whatever_is_printed_goes_through_the_terminal() -> None:
    wrong = []
    for name, tree in _trees():
        for node in (n for n in ast.walk(tree) if isinstance(n, ast.Call) and name not in WRITERS):
            called = ast.unparse(node.func)
            if called in ("print", "sys.stdout.write", "sys.stderr.write", "Console"):
                wrong.append(f"{name}:{node.lineno} {called}")
    assert wrong == []


@pytest.mark.parametrize(
    "text", ["20260331", "2026-3-1", "2026-W14-2", "2026-03-31T00:00", " 2026-03-31", "2026-02-30", ""]
)
def test_a_day_is_written_in_one_way(text: str) -> None:
    assert as_day("2026-03-31") == date(2026, 3, 31)
    with pytest.raises(typer.BadParameter, match="write YYYY-MM-DD"):
        as_day(text)


@pytest.mark.parametrize("text", ["20260331", "20260331T1200", "2026-W14-2", "2026-3-1", "noon"])
def test_an_instant_begins_with_a_day(text: str) -> None:
    assert as_instant("2026-03-31").isoformat() == "2026-03-31T00:00:00+00:00"
    assert as_instant("2026-03-31T12:00+02:00") == as_instant("2026-03-31T10:00")
    with pytest.raises(typer.BadParameter, match="write a day and a time"):
        as_instant(text)


@pytest.mark.parametrize(
    ("share", "shown"), [(0.05, "5%"), (0.125, "12.5%"), (0.0025, "0.25%"), (1.0, "100%"), (0.0, "0%")]
)
def test_a_share_is_shown_with_the_digits_it_has(share: float, shown: str) -> None:
    assert shown_share(share) == shown
