"""Building the Bentos: one per product, of this code and exact versions, the same for the cloud and every store.

A Bento holds no model: it serves what the release ledger names for its target (RETAIL_TARGET). Its version is a hash of
what is in it, so that the same code is built once.
"""

import hashlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import yaml

from retail_assets.core.errors import RetailError
from retail_assets.resources.environments import PROJECT_ROOT
from retail_assets.resources.source_control import bento_label
from retail_assets.serving.processes.products import products

REQUIREMENTS = PROJECT_ROOT / "bento" / "requirements.txt"
NOT_SERVED = frozenset(
    {
        "dagster",
        "dagster-dbt",
        "dagster-webserver",
        "dbt-core",
        "dbt-duckdb",
        "distributed",
        "holidays",
        "matplotlib",
        "prophet",
    }
)
"""Dependencies of the project that no service imports."""


class BentoError(RetailError):
    """A Bento could not be built, or a requirement has no exact version."""


def bento_file(product: str) -> Path:
    """What a Bento is built of."""
    return PROJECT_ROOT / "bento" / product / "bentofile.yaml"


def contents(product: str) -> list[Path]:
    """The files that go into a Bento, sorted."""
    config = yaml.safe_load(bento_file(product).read_text(encoding="utf-8"))
    found = {path for pattern in config["include"] for path in PROJECT_ROOT.glob(pattern)}
    return sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)


def version_of(product: str) -> str:
    """16 hex characters that change with any file of the Bento."""
    digest = hashlib.sha256()
    for path in [*contents(product), bento_file(product)]:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(PROJECT_ROOT)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def build(product: str, bentoml_home: Path) -> tuple[str, Path, bool]:
    """Builds the Bento of a product into a BentoML home unless it is there. Returns tag, folder and whether it built.

    Raises BentoError with BentoML's own words.
    """
    version = version_of(product)
    folder = bentoml_home / "bentos" / product / version
    if (folder / "bento.yaml").exists():
        return f"{product}:{version}", folder, False
    command = [sys.executable, "-m", "bentoml", "build", str(PROJECT_ROOT), "-f", str(bento_file(product))]
    environment = os.environ | {"BENTOML_HOME": str(bentoml_home), "BENTOML_DO_NOT_TRACK": "True"}
    label = ["--label", f"git_commit={bento_label()}"]
    done = subprocess.run(
        [*command, "--version", version, *label, "--output", "tag"],
        cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode or not (folder / "bento.yaml").exists():
        raise BentoError(
            f"the Bento of {product} could not be built: {(done.stderr or done.stdout).strip()[-2000:]}",
            where=str(bento_file(product)),
        )
    return f"{product}:{version}", folder, True


def build_all(bentoml_home: Path) -> dict[str, tuple[str, Path, bool]]:
    """Builds every product's Bento."""
    return {product: build(product, bentoml_home) for product in products()}


def requirements() -> str:
    """bento/requirements.txt: what services import and what that needs, each at the version of requirements.lock.

    Raises BentoError for a package that the lock does not have.
    """
    lock = (PROJECT_ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    locked = {_name(line): line for line in lock if "==" in line}
    needed = closure(_served())
    missing = sorted(needed - locked.keys())
    if missing:
        raise BentoError(f"requirements.lock has no {', '.join(missing)}", todo="`make lock`")
    head = "# What the Bentos install: written by `retail bentos --requirements` from requirements.lock.\n"
    return head + "\n".join(locked[name] for name in sorted(needed)) + "\n"


def _served() -> list[str]:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["tracing"]]
    return [requirement for requirement in wanted if _name(requirement) not in NOT_SERVED]


def closure(wanted: Iterable[str]) -> set[str]:
    """Normalised names of requirements and of everything they need on this machine, by the installed metadata."""
    from packaging.requirements import Requirement

    found: set[tuple[str, str]] = set()
    waiting = [(_name(r.name), extra) for r in map(Requirement, wanted) for extra in ("", *r.extras)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError as error:
            raise BentoError(f"{name} is not installed", todo="`make setup`") from error
        for requirement in map(Requirement, needs):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                waiting += [(_name(requirement.name), more) for more in ("", *requirement.extras)]
    return {name for name, _ in found}


def _name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", match.group(0)).lower() if match else ""
