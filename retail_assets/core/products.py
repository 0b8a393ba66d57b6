"""What the rest of the house knows of a product: one frozen description, kept in `<product>/product.py`.

Code is named by import string (`package.module:name`, or `package.module`), so that reading every description costs
no import of what is described.
"""

from importlib import import_module
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

AssetPath = tuple[str, ...]
"""The key of an asset."""


class Headline(BaseModel):
    """A number that a person wants to read first of a version, and what it is read beside."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    metric: str
    """Its name in the manifest."""
    baselines: dict[str, str] = {}
    """Label -> metric of what it has to beat."""


class Product(BaseModel):
    """One product: its name, and where everything that others ask of it is found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    summary: str
    """What it answers, in one line."""
    definitions: tuple[str, ...]
    """Modules with any of ASSETS, CHECKS, SENSORS and SCHEDULES."""
    probe: str
    """Module with `examine` and `question`: a version answers nobody before they let it (resources/model_proof.py)."""
    released_after: tuple[AssetPath, ...]
    """Assets that make a version and its proof: behind them the gates decide whether the newest one goes live."""
    headlines: tuple[Headline, ...]
    more_data: str | None = None
    """What to do where a version was refused for want of data, where it is more than loading more history."""
    commands: dict[str, str] = {}
    """Words after `retail` -> a typer app, or the function of one command: {"prices": "...:prices"}."""

    gold_outputs: tuple[str, ...] = ()
    """Tables of gold that its live version writes; each of their commits names the gold it was made from."""
    batch_decisions: tuple[AssetPath, ...] = ()
    """Assets that write rows of `decisions/<name>`."""
    answers_of: tuple[AssetPath, ...] = ()
    """Assets that write the answers of a batch, which `outcomes` reads."""
    outcomes: str | None = None
    """Function `(lake, first, last) -> [sql]`: answers for the days from `first` to `last`, beside what became of them.

    Each statement gives the columns of monitoring/live_quality.py and may read the tables `sold` and `open_days`.
    """
    proven_error: str | None = None
    """Metric of a manifest that the live error (WAPE) is compared with."""
    replay: str | None = None
    """Makes a recorded output again from what is recorded: see provenance/forecasts.py for the one there is."""
    store_tables: str | None = None
    """Class made with the centre's FeatureStore; `sources()` names the tables (layer, name) it reads, `of(store_id,
    versions)` gives the tables of a store by (layer, name), BY_DAY names those that are partitioned by day.
    """


def load(name: str) -> Any:
    """The module, or the object of a module, that an import string names."""
    module, _, attribute = name.partition(":")
    found: Any = import_module(module)
    return getattr(found, attribute) if attribute else found
