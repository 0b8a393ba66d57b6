"""Names are drawn as they are, whatever signs they have."""

import io
from pathlib import Path

import pytest

import retail_assets
from retail_assets.core.figures import new_figure

PACKAGE = Path(retail_assets.__file__).parent


@pytest.mark.parametrize("name", ["$x", "$a_{$", "$x$", "\\frac{", "%s {0}", "</text><script>alert(1)</script>"])
def test_a_name_is_no_formula(name: str) -> None:
    figure = new_figure(8.0, 4.0)
    axes = figure.subplots()
    axes.bar([name], [1.0], label=name)
    axes.set_title(name)
    axes.legend()
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    assert b"<script" not in drawn.getvalue()
    assert axes.title.get_text() == name and not axes.title.get_parse_math()


def test_every_figure_is_made_here() -> None:
    files = {file.relative_to(PACKAGE).as_posix(): file.read_text() for file in PACKAGE.rglob("*.py")}
    assert [name for name, text in files.items() if " Figure(" in text] == ["core/figures.py"]
