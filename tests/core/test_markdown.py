"""What a retailer calls something is shown as it is: it ends no cell, starts no tag, link or list."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import retail_assets
from retail_assets.core.markdown import Markdown, bullets, code, passed_word, shown, table
from retail_assets.core.plain_text import one_line

HOSTILE = [
    "a|b", "`x`", "``a` b|c", "</td><script>alert(1)</script>", "**bold**", "[a](http://x)", "![a](b)", "a\nb", "$x$",
    "_x_", "a_b", "- a", "1. a", "# a", "> a", "&lt;", "\\", "\\|", "[red]x[/red]", "\x1b[31m", "\u202ea", "~~a~~",
    "+", "=",
]  # fmt: skip
PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
PACKAGE = Path(retail_assets.__file__).parent


def leaves(text: str) -> list[str]:
    """The text of every block, which fails on anything but text and code."""
    found = []
    for token in PARSER.parse(text):
        assert not token.type.startswith(("html", "heading", "fence")), token
        if token.type == "inline":
            children = token.children or []
            assert {child.type for child in children} <= {"text", "code_inline", "text_special"}, children
            found.append("".join(child.content for child in children))
    return found


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_text(text: str) -> None:
    assert leaves(shown(text)) == [one_line(text)]
    assert leaves(table(["head"], [[text], ["next"]])) == ["head", one_line(text), "next"]
    assert leaves(bullets([text, "b"])) == [one_line(text), "b"]
    assert leaves(table(["head"], [[code(text)]]))[1].strip() == one_line(text).strip()


@given(st.text(min_size=1, max_size=30))
def test_no_text_breaks_a_table(text: str) -> None:
    cells = leaves(table(["a", "b"], [[text, "end"]]))
    assert cells[:2] == ["a", "b"] and cells[-1] == "end"
    assert cells[2].strip() == " ".join(one_line(text).split(" ")).strip() or not one_line(text).strip()


def test_what_is_markdown_on_purpose_stays() -> None:
    assert table(["a"], [[passed_word(False)], [Markdown("[x](/runs/x)")]]).splitlines()[2:] == [
        "| **no** |", "| [x](/runs/x) |",
    ]  # fmt: skip
    assert bullets([]) == "none"


def test_nobody_writes_a_table_by_hand() -> None:
    """A cell that is not made by `markdown.table` is not escaped."""
    line = re.compile(r"\|\s*---|---\|")
    own = {"core/markdown.py", "documents/blocks.py"}
    files = {file.relative_to(PACKAGE).as_posix(): file.read_text() for file in PACKAGE.rglob("*.py")}
    assert [name for name, text in files.items() if name not in own and line.search(text)] == []
