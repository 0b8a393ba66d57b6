"""The git commit of the running code, for manifests and decision rows."""

import os
import subprocess
from functools import lru_cache
from pathlib import Path

from retail_assets.resources.environments import PROJECT_ROOT

UNKNOWN = "unknown"
CODE = ("retail_assets", "configs", "dbt_project", "feature_repo", "bento")


@lru_cache(maxsize=1)
def git_commit() -> str:
    """40 hex characters, with `+changed` where the code differs from the commit.

    Code without git states its commit in RETAIL_GIT_COMMIT, a Bento in its label; without any of them it is "unknown".
    """
    if stated := os.environ.get("RETAIL_GIT_COMMIT"):
        return stated
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return _labelled(PROJECT_ROOT.parent / "bento.yaml") or UNKNOWN
    return f"{commit}+changed" if _git("status", "--porcelain", "--", *CODE) else commit


def bento_label() -> str:
    """The commit as a label of a Bento, whose values may not hold every character."""
    return git_commit().replace("+", ".")


def _labelled(bento: Path) -> str | None:
    if not bento.is_file():
        return None
    import yaml

    labels = yaml.safe_load(bento.read_text(encoding="utf-8")).get("labels") or {}
    return str(labels["git_commit"]).replace(".", "+") if "git_commit" in labels else None


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(PROJECT_ROOT), *arguments]
    try:
        completed = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return completed.stdout.strip() if completed.returncode == 0 else None
