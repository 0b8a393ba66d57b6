"""Examines what lies beside the lake: databases, documents, models, price files, and what a killed process left."""

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from retail_assets.core.errors import RetailError
from retail_assets.doctor.findings import BACKUP, Finding
from retail_assets.resources.environments import KEYS_FILE, Home
from retail_assets.resources.model_store import MANIFEST, ModelStore

STRAY = re.compile(r".*\.partial|\..+\.tmp|.+\.\d+\.tmp|\..+\.(csv|json)\.\d+|_commit_.*\.tmp|\.saving-.*")
SIDECARS = ("-wal", "-shm", "-journal")
OWN_WORLDS = ("landing", "truth", "set-aside")  # not ours to judge; what was set aside is known to be broken
SCRATCH = "scratch: the next `retail run` makes it again"
HISTORY = "a new one is made; what the UI shows of runs before is in the one that is set aside"


def databases(home: Home) -> Iterator[Finding]:
    """SQLite files of Dagster and of the online store, the private DuckDB file, and Feast's register."""
    for folder, todo in ((home.dagster, HISTORY), (home.features, SCRATCH)):
        for file in sorted(folder.rglob("*.db")) if folder.is_dir() else ():
            why = _register(file) if file.name == "registry.db" else _sqlite(file)
            if why:
                yield _finding(home, file, f"{file.name} is damaged: {why}", todo)
    if home.warehouse.is_file() and (why := _duckdb(home.warehouse)):
        yield _finding(home, home.warehouse, f"the private DuckDB file is damaged: {why}", SCRATCH)


def _sqlite(file: Path) -> str | None:
    """Why the file is no whole SQLite database; None where it is one, also on a disk that is full or read-only.

    There SQLite cannot make the files that it wants beside the database, which says nothing of the database.
    """
    for how in ("mode=ro", "immutable=1"):
        try:
            with closing(sqlite3.connect(f"{file.absolute().as_uri()}?{how}", uri=True)) as connection:
                said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
                made = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        except sqlite3.OperationalError as error:
            why = str(error)
            continue
        except sqlite3.DatabaseError as error:
            return str(error)
        if said != ["ok"]:
            return "; ".join(said)[:200]
        return None if made else "it is empty"
    return None if "locked" in why else why


def _register(file: Path) -> str | None:
    from feast.protos.feast.core.Registry_pb2 import Registry
    from google.protobuf.message import DecodeError

    try:
        return None if Registry.FromString(file.read_bytes()).feature_views else "it names no feature"
    except DecodeError as error:
        return str(error)


def _duckdb(file: Path) -> str | None:
    import duckdb

    from retail_assets.resources import duck

    try:
        with duck.connect(file, read_only=True) as connection:
            connection.execute("SELECT count(*) FROM duckdb_tables()").fetchall()
    except duckdb.Error as error:
        return str(error).splitlines()[0][:200]
    return None


def documents(home: Home) -> Iterator[Finding]:
    """JSON files of the home itself: keys, the records of the warehouse, what stores and services noted."""
    for file in sorted(home.root.rglob("*.json")):
        first = file.relative_to(home.root).parts[0]
        if first in (*OWN_WORLDS, "lake", "models", "outbox", "logs") or "target" in file.parts or _is_stray(file):
            continue
        try:
            json.loads(file.read_bytes())
        except ValueError:
            what = f"{file.name} is no whole JSON document"
            if file.name == KEYS_FILE:
                todo = BACKUP.format(file.name) + "; or move it away and give out new keys"
                yield Finding(kind="damaged_document", where=_place(home, file), what=what, todo=todo)
            elif first in ("warehouse", "dagster", "features"):
                yield _finding(home, file, what, SCRATCH, "damaged_document")
            else:
                todo = f"{BACKUP.format(file.name)}; or move it away if its service is stopped"
                yield Finding(kind="damaged_document", where=_place(home, file), what=what, todo=todo)


def price_files(home: Home) -> Iterator[Finding]:
    """Price files whose checksum is not the one that their JSON names."""
    for described in sorted(home.outbox.glob("prices/*/*.json")):
        if _is_stray(described):
            continue
        try:
            stated = json.loads(described.read_bytes())["sha256"]
            content = described.with_suffix(".csv").read_bytes()
            same = hashlib.sha256(content).hexdigest() == stated
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if not same:
            what = f"the price file {described.with_suffix('.csv').name} and what is said of it do not agree"
            yield _finding(home, described, what, "`retail run` writes the newest prices again", "wrong_hash")


def models(home: Home, live: set[tuple[str, str]]) -> Iterator[Finding]:
    """Stored versions of which a byte is not as the manifest says; `live` are the (product, version) that answer."""
    store = ModelStore.at(home.models)
    for folder in sorted(path.parent for path in (home.models / "models").glob(f"*/*/{MANIFEST}")):
        product, version = folder.parent.name, folder.name
        try:
            store.path(product, version)
        except (RetailError, ValueError, OSError) as error:
            said = error.what if isinstance(error, RetailError) else str(error)
            what = f"the model {product} {version} is damaged: {said.splitlines()[0][:200]}"
            if (product, version) not in live:
                yield _finding(home, folder, what, "nothing: it answers nowhere", "wrong_hash")
                continue
            todo = f"{BACKUP.format(folder.name)}; or `retail rollback {product}`, or `retail run --retrain`"
            yield Finding(kind="wrong_hash", where=_place(home, folder), what=what, todo=todo)


def strays(home: Home) -> Iterator[Finding]:
    """Temporary files that a killed process left; the caller holds the lock of the home, or shows them only."""
    for path in sorted(home.root.rglob("*")):
        parts = path.relative_to(home.root).parts
        if parts[0] in OWN_WORLDS or any(STRAY.fullmatch(part) for part in parts[:-1]) or not _is_stray(path):
            continue
        what = f"{path.name} was left by a process that was killed"
        todo = "nothing: it is in nobody's way"
        yield _finding(home, path, what, todo, "stray_file").model_copy(update={"wrong": False})


def _is_stray(path: Path) -> bool:
    return STRAY.fullmatch(path.name) is not None


def _finding(home: Home, file: Path, what: str, todo: str, kind: str = "damaged_database") -> Finding:
    return Finding.model_validate(
        {"kind": kind, "where": _place(home, file), "what": what, "todo": todo, "remedy": "set_aside"}
    )


def _place(home: Home, file: Path) -> str:
    return str(file.relative_to(home.root))
