"""A document that names a file which is gone misleads: every path, make target and command named must exist."""

import re
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from retail_assets.cli import app
from retail_assets.resources.environments import PROJECT_ROOT

DOCUMENTS = [PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").glob("*.md"))]
TOP = "retail_assets|dbt_project|feature_repo|bento|configs|deployments|tests|benchmarks|docs"
PATHS = re.compile(rf"\b((?:{TOP})/[\w./-]*\w/?|workspace\.yaml|pyproject\.toml|requirements\.lock|LICENSE|\.ci/run)")
LINKS = re.compile(r"\]\((?!https?:|#)([^)#]+)")
TARGETS = re.compile(r"\bmake ([a-z]+)\b")
COMMANDS = re.compile(r"`+retail ([a-z]+)|^(?:\$ )?retail ([a-z]+)", re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_every_named_path_exists(document: Path) -> None:
    text = document.read_text()
    named = {PROJECT_ROOT / p for p in PATHS.findall(text)} | {document.parent / p for p in LINKS.findall(text)}
    assert [str(p) for p in sorted(named) if not p.exists() and "<" not in str(p)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_every_named_make_target_exists(document: Path) -> None:
    help_text = subprocess.run(["make", "help"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"make ([a-z]+)", help_text))
    named = {
        t
        for block in re.findall(r"`[^`\n]+`|^\s*make [a-z]+.*$", document.read_text(), re.M)
        for t in TARGETS.findall(block)
    }
    assert named - known == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_every_named_retail_command_exists(document: Path) -> None:
    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    named = {first or second for first, second in COMMANDS.findall(document.read_text())}
    assert named - known == set()


def test_the_readme_leads_to_every_document() -> None:
    links = set(LINKS.findall((PROJECT_ROOT / "README.md").read_text()))
    assert [d.name for d in DOCUMENTS[1:] if f"docs/{d.name}" not in links] == []


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub names them."""
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_every_link_into_a_document_finds_its_heading(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([\w./-]*)#([^)]+)\)", re.sub(r"\]\n?\s*\(", "](", document.read_text()))
    targets = [(document.parent / file if file else document, anchor) for file, anchor in links]
    assert [f"{file.name}#{anchor}" for file, anchor in targets if anchor not in anchors(file)] == []
