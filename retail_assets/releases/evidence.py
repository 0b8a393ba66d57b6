"""What a training cannot say of its own version: does it answer, how fast, how large is it, how old are its data, and
is everything written down that it takes to make it again. Given to the gates as metrics, beside those of the manifest.
"""

import logging
from collections.abc import Sequence
from datetime import date, timedelta
from fnmatch import fnmatchcase
from math import nan
from pathlib import Path

from retail_assets.core.gates import Gate
from retail_assets.core.manifest import Manifest
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_proof import verdict_of
from retail_assets.resources.model_store import ModelStore, ModelStoreError

logger = logging.getLogger(__name__)
MEASURED_WITHIN = timedelta(hours=1)
SALES = "fct_sales_daily"
FACTS = ("answer_ms", "size_mb", "data_age_days", "manifest/*", "reproducible/*")


def evidence(
    lake: Lake, store: ModelStore, product: str, version: str, live: str | None, gates: Sequence[Gate]
) -> tuple[dict[str, float], dict[str, float] | None]:
    """What the gates are shown: metrics and facts of a stored version, and of the live one (None: nothing is live).

    A live version that is not stored any more has no metrics, so that gates which compare with it fail.
    """
    newest = newest_day(lake)
    metrics = store.manifest(product, version).metrics | facts(store, product, version, newest, gates)
    if live is None:
        return metrics, None
    compared = [gate for gate in gates if gate.live_gain is not None]
    try:
        return metrics, store.manifest(product, live).metrics | facts(store, product, live, newest, compared)
    except ModelStoreError as error:
        logger.error("the live version cannot be compared with: %s", error)
        return metrics, {}


def newest_day(lake: Lake) -> date | None:
    """The newest business date of sales in gold, None while there are none."""
    if not lake.exists("gold", SALES):
        return None
    days = [date.fromisoformat(str(part["business_date"])) for part in lake.open("gold", SALES).partitions()]
    return max(days, default=None)


def facts(
    store: ModelStore, product: str, version: str, newest_day: date | None, gates: Sequence[Gate]
) -> dict[str, float]:
    """The facts of a stored version that some gate asks for, by the names in FACTS.

    `answer_ms`: CPU milliseconds of one answer, the median of several, on this machine. `size_mb`: all its
    files, in 10^6 bytes. `data_age_days`: business days in gold (up to `newest_day`) that it was not trained on, NaN
    without any.
    `manifest/<field>` and `reproducible/<what>`: 1 where it is recorded, 0 where not. Of a version whose bytes were
    changed, or that did not prove itself in a process of its own (resources/model_proof.py), size and time are absent,
    and so fail their gates.
    Raises ModelStoreError for a version that is not stored.
    """
    manifest = store.manifest(product, version)
    found = {f"manifest/{name}": float(said) for name, said in recorded(manifest).items()}
    found |= {f"reproducible/{name}": float(said) for name, said in reproducible(manifest).items()}
    found["data_age_days"] = float((newest_day - manifest.train_until).days) if newest_day else nan
    wanted = [name for name in FACTS if any(_asks(gate, name) for gate in gates)]
    if {"answer_ms", "size_mb", "reproducible/*"} & set(wanted):
        folder = _checked(store, product, version)
        found["reproducible/bytes"] = float(folder is not None)
        if folder is not None:
            found["size_mb"] = sum((folder / name).stat().st_size for name in manifest.files) / 1e6
        took = _answer_ms(store, product, version) if folder is not None and "answer_ms" in wanted else None
        found |= {"answer_ms": took} if took is not None else {}
    return {name: value for name, value in found.items() if any(_asks(gate, name) for gate in gates)}


def recorded(manifest: Manifest) -> dict[str, bool]:
    """Which of the fields that people and traces rely on are filled."""
    return {
        "created_at": manifest.created_at.tzinfo is not None,
        "features": bool(manifest.features),
        "files": bool(manifest.files) and all(len(hashed) == 64 for hashed in manifest.files.values()),
        "metrics": bool(manifest.metrics),
        "rows": manifest.rows > 0,
        "window": manifest.train_from <= manifest.train_until,
    }


def reproducible(manifest: Manifest) -> dict[str, bool]:
    """Whether the manifest names all that a training follows from: tables, code, configuration, libraries.

    A commit that is unknown, or code that differs from its commit, is a matter of where one trains, and no gap here:
    the library versions and the code version in the configuration are still recorded.
    """
    return {
        "tables": bool(manifest.gold) and all(version >= 0 for version in manifest.gold.values()),
        "code": bool(manifest.git_commit) and bool(manifest.config.get("code_version")),
        "config": bool(manifest.config),
        "libraries": bool(manifest.libraries) and "absent" not in manifest.libraries.values(),
        "version": manifest.content_version() == manifest.version,
    }


def _answer_ms(store: ModelStore, product: str, version: str) -> float | None:
    """CPU milliseconds of one answer; None where the version cannot answer, which is logged."""
    try:
        verdict = verdict_of(store, product, version, measured_within=MEASURED_WITHIN)
    except ModelStoreError as error:
        logger.error("%s %s cannot be asked: %s", product, version, error)
        return None
    return verdict.answer_ms


def _checked(store: ModelStore, product: str, version: str) -> Path | None:
    try:
        return store.path(product, version)
    except ModelStoreError:
        return None


def _asks(gate: Gate, name: str) -> bool:
    return fnmatchcase(name, gate.metric) or fnmatchcase(gate.metric, name)
