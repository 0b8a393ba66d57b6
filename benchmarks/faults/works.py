"""The pieces of work that are killed: each on a home of the tiny retailer, with what is counted afterwards.

Every piece is what a command or a service does, done twice by a person or a supervisor after a crash.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.faults.disks import corrupt
from benchmarks.faults.kills import Found, Work
from retail_assets.doctor.examine import examine
from retail_assets.doctor.repair import repair
from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake

STORE = "US-001"
SEGMENTS, DECISIONS = 6, 12
WRITER = "0b1b2b3b-0000-4000-8000-00000000000"


def environment_of(root: Path, centre: str | None = None) -> Environment:
    """The environment of a home."""
    home = Home.at(root)
    return Environment(name="test", home=home, lake=Lake.at(home.lake), centre=centre)


def rows_by_file(lake: Lake) -> Found:
    """Rows, and different rows, of each file in bronze and quarantine."""
    found: Found = {}
    for layer, key in (("bronze", "row_id"), ("quarantine", "line")):
        for table in lake.tables(layer):
            columns = set(lake.open(layer, table).to_pyarrow_dataset().schema.names)
            if not {"file", key} <= columns:
                continue
            sql = f"select file, count(*) as n, count(distinct {key}) as d from {lake.scan(layer, table)} group by file"
            for row in lake.query(sql).to_pylist():
                found[f"{layer}/{table} {row['file']}"] = row["n"]
                found[f"{layer}/{table} {row['file']} different"] = row["d"]
    return found


# --------------------------------------------------------------------------------------------------- landing


def deliver_a_day(root: Path) -> None:
    """The files of the next business day of the tiny retailer, in its landing zone."""
    from retail_assets.sample.simulate import simulate

    days = json.loads((root / "truth" / "manifest.json").read_text())["days"]
    simulate(root, scale="tiny", seed=7, days=days + 1)


def load(root: Path) -> None:
    """What `retail run` does first: new files become bronze."""
    from retail_assets.sources.load import load_landing

    home = Home.at(root)
    load_landing(Lake.at(home.lake), home)


def look_at_rows(root: Path) -> Found:
    """What is in bronze and quarantine."""
    return rows_by_file(environment_of(root).lake)


def take_out_and_put_back(root: Path) -> None:
    """`retail quarantine --where`, then `--undo` of it, each as if a person gave the command again."""
    from retail_assets.sources import taken_out

    lake = environment_of(root).lake
    where = f"store_id = '{STORE}'"
    found = taken_out.matched(lake, "pos_lines", where)
    if found.rows:
        taken_out.take_out(lake, found, reason="tried", by="campaign")
    taken_out.matched(lake, "pos_lines", where)  # ends an undo that was killed, which is not to be given again then
    moves = taken_out.moves(lake, "pos_lines")
    back = {move.id for move in moves if move.action == taken_out.PUT_BACK}
    for move in moves:
        if move.id not in back and move.action == taken_out.TAKEN_OUT:
            taken_out.put_back(lake, "pos_lines", move.id, reason="tried", by="campaign")


# --------------------------------------------------------------------------------------------------- models, prices


def save_models(root: Path) -> None:
    """Three versions of the live pricing model are stored and released."""
    from dataclasses import replace

    from retail_assets.pricing.response.model import PriceModel
    from retail_assets.releases.ledger import Ledger
    from retail_assets.resources.model_store import ModelStore

    environment = environment_of(root)
    store, ledger = ModelStore.at(environment.home.models), Ledger(environment.lake)
    version = next(row.version for row in ledger.log() if row.product == "pricing")
    model, manifest = PriceModel.load(store.path("pricing", version)), store.manifest("pricing", version)
    for seed in (1, 2, 3):
        made = manifest.model_copy(update={"seed": seed, "created_at": manifest.created_at - timedelta(seconds=seed)})
        files = replace(model, table=model.table * (1 + seed / 100)).files()
        saved = store.save("pricing", files, made)
        released = {row.version for row in ledger.log() if row.action == "promote"}
        if saved not in released:
            ledger.promote("pricing", saved, by="campaign", reason="tried")


def look_at_models(root: Path) -> Found:
    """Versions whose every byte is right, and rows of the ledger."""
    from retail_assets.releases.ledger import Ledger
    from retail_assets.resources.model_store import ModelStore

    environment = environment_of(root)
    store, found = ModelStore.at(environment.home.models), Counter[str]()
    for product in store.products():
        for version in store.versions(product):
            store.path(product, version)
            found[f"{product} {version}"] += 1
    for row in Ledger(environment.lake).log():
        found[f"ledger {row.product} {row.action} {row.version} {row.target}"] += 1
    return dict(found)


def write_prices(root: Path) -> None:
    """Price files for the tills and the shop."""
    from retail_assets.pricing.publish.price_files import write_price_files

    environment = environment_of(root)
    write_price_files(environment.lake, environment.home)


def look_at_prices(root: Path) -> Found:
    """The files in the outbox, by their length. Hidden ones are half-written; nobody reads them."""
    files = sorted(path for path in (root / "outbox").rglob("[!.]*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.stat().st_size for path in files}


# --------------------------------------------------------------------------------------------------- decisions


def decision(number: int, store_id: str = STORE) -> dict[str, object]:
    """The decision of that number, the same each time."""
    at = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(seconds=number)
    milliseconds = int(at.timestamp() * 1000)
    digits = f"{milliseconds:012x}7{number % 4096:03x}8{number:015x}"
    uid = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    return {"decision_id": uid, "at": at, "product": "pricing", "store_id": store_id, "sku": "SKU-00001",
            "mode": "service", "business_date": date(2026, 1, 5)}  # fmt: skip


def answer(root: Path) -> None:
    """A service that answers: what it has answered is in `answered.txt` once the log has it."""
    from retail_assets.decisions.log import DecisionLog
    from retail_assets.decisions.rows import new_decision_id

    told = root / "answered.txt"
    answered = told.read_text().split("\n") if told.exists() else []
    log = DecisionLog(environment_of(root).lake, "pricing", root / "spool" / "decisions")
    log.start()
    for number in range(len([line for line in answered if line]), DECISIONS):
        row = decision(number) | {"decision_id": new_decision_id()}
        log.record([row])
        with told.open("a") as file:
            file.write(f"{row['decision_id']}\n")
        if number % 4 == 3:
            log.ship()
    log.close()


def look_at_answers(root: Path) -> Found:
    """How often each answered decision is in the lake; those that were written and never answered do not count."""
    answered = (root / "answered.txt").read_text().split()
    lake = environment_of(root).lake
    ids = lake.query(f"select decision_id from {lake.scan('decisions', 'pricing')}")["decision_id"].to_pylist()
    there = Counter(ids)
    return {f"answer {n}": there[uid] for n, uid in enumerate(answered)}


def send_segments(root: Path) -> None:
    """A store sends segments that its centre lands and moves; what was not acknowledged is sent again."""
    import io

    from retail_assets.decisions.rows import decode, encode
    from retail_assets.stores.landing import LandedDecisions

    landed = LandedDecisions(environment_of(root))
    for number in range(1, SEGMENTS + 1):
        rows = decode(b"".join(encode(decision(10 * number + n)) for n in range(5)))
        file = io.BytesIO()
        pq.write_table(rows, file)
        for writer in "12":  # a store, and a copy of it
            landed.take(f"store-{STORE}", "pricing", f"decision-log/{WRITER}{writer}", number, file.getvalue())
        if number % 2 == 0:
            landed.move()
    landed.move()


def look_at_segments(root: Path) -> Found:
    """How often each decision that was sent is in the lake."""
    lake = environment_of(root).lake
    ids = lake.query(f"select decision_id from {lake.scan('decisions', 'pricing')}")["decision_id"].to_pylist()
    there = Counter(ids)
    sent = [decision(10 * number + n)["decision_id"] for number in range(1, SEGMENTS + 1) for n in range(5)]
    left = len(list((root / "spool" / "stores").rglob("*.parquet")))
    return {f"decision {n}": there[str(uid)] for n, uid in enumerate(sent)} | {"left behind": left}


# --------------------------------------------------------------------------------------------------- stores


class _Beside:
    """The centre of a store in the same process: what its line would bring."""

    def __init__(self, root: Path) -> None:
        from retail_assets.stores.centre import Centre

        self._centre = Centre(environment_of(root))
        self._centre.poll()
        self._centre.poll_tables()

    def bundle(self, seen: str | None, wait_s: float = 0.0) -> object:
        found = self._centre.bundle(f"store-{STORE}")
        return None if found.tag == seen else found

    def part(self, blob: object, start: int, length: int) -> bytes:
        path = self._centre.file(f"store-{STORE}", blob.sha256)  # type: ignore[attr-defined]
        with path.open("rb") as file:
            file.seek(start)
            return file.read(length)


def take_copy(root: Path) -> None:
    """A store takes its copy from the centre in the same folder."""
    from retail_assets.stores.copy import StoreCopy

    line = _Beside(root)
    copy = StoreCopy(environment_of(root / "a-store", "http://centre"), line)  # type: ignore[arg-type]
    copy.look_through()
    copy.take(line.bundle(None))  # type: ignore[arg-type]


def look_at_copy(root: Path) -> Found:
    """Rows of every table that the store has, and its versions, each read whole."""
    from retail_assets.resources.model_store import ModelStore

    environment = environment_of(root / "a-store")
    found = {}
    for layer in ("gold", "ops", "decisions"):
        for name in environment.lake.tables(layer):
            found[f"{layer}/{name}"] = environment.lake.open(layer, name).to_pyarrow_table().num_rows
    return found | look_at_models_of(ModelStore.at(environment.home.models))


def look_at_models_of(store: object) -> Found:
    """Versions of a store whose every byte is right."""
    found = Counter[str]()
    for product in store.products():  # type: ignore[attr-defined]
        for version in store.versions(product):  # type: ignore[attr-defined]
            store.path(product, version)  # type: ignore[attr-defined]
            found[f"{product} {version}"] += 1
    return dict(found)


# --------------------------------------------------------------------------------------------------- whole runs


def run(root: Path) -> None:
    """`retail run`, to its end."""
    command = [sys.executable, "-m", "retail_assets.cli", "run", "--json"]
    environment = os.environ | {"RETAIL_HOME": str(root), "RETAIL_ENV": "test"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"`retail run` -> {done.returncode}: {done.stderr[-500:]}")


def look_at_run(root: Path) -> Found:
    """Rows of bronze by file, of gold by table, decisions, publications, releases and price files."""
    lake = environment_of(root).lake
    found = rows_by_file(lake)
    for name in lake.tables("gold"):
        found[f"gold/{name}"] = lake.query(f"select count(*) as n from {lake.scan('gold', name)}")["n"][0].as_py()
    made = f"""select mode || ' ' || business_date || ' ' || store_id || ' ' || sku as what, count(*) as n
               from {lake.scan("decisions", "pricing")} group by all"""
    found |= {f"decision {row['what']}": row["n"] for row in lake.query(made).to_pylist()}
    for name in ("releases", "price_publications"):
        found[f"ops/{name}"] = lake.open("ops", name).to_pyarrow_table().num_rows
    return found | dict.fromkeys(look_at_prices(root), 1)


# --------------------------------------------------------------------------------------------------- repairs

BROKEN = ("commits_torn", "data_lost", "sqlite_garbage", "models_flipped", "prices_torn", "scratch_zeroed")


def break_some_files(root: Path) -> None:
    """What a bad power cut leaves: one file of each sort is broken."""
    for number, fault in enumerate(BROKEN):
        corrupt(root, number, fault)


def mend(root: Path) -> None:
    """`retail doctor --repair`."""
    repair(environment_of(root), lambda _: None)


def look_at_repair(root: Path) -> Found:
    """What is still to be mended, and what nobody could make again."""
    environment = environment_of(root)
    left = [finding for finding in examine(environment).findings if finding.remedy is not None]
    kept = {name: environment.lake.open(*name.split("/")).to_pyarrow_table().num_rows for name in ("ops/releases",)}
    return kept | {"to be mended": len(left)}


def as_it_is(_: Path) -> None:
    """Nothing is prepared."""


PREPARED = {"load": deliver_a_day, "a day": deliver_a_day, "repair": break_some_files}
WORKS = [
    Work("load", load, look_at_rows, ("lake", "landing")),
    Work("quarantine", take_out_and_put_back, look_at_rows),
    Work("models", save_models, look_at_models, ("lake", "models")),
    Work("price files", write_prices, look_at_prices),
    Work("answers", answer, look_at_answers),
    Work("segments", send_segments, look_at_segments),
    Work("store copy", take_copy, look_at_copy, ("lake", "models", "features")),
    Work("repair", mend, look_at_repair, ()),
]
RUNS = [
    Work("a day", run, look_at_run, ()),
    Work("from nothing, training included", run, look_at_run, ("landing", "truth")),
]


def prepare(work: Work, tiny: Path, folder: Path) -> Path:
    """A copy of the tiny home as `work` finds it."""
    prepared = folder / "prepared"
    shutil.rmtree(prepared, ignore_errors=True)
    shutil.copytree(tiny, prepared, symlinks=True)
    PREPARED.get(work.name, as_it_is)(prepared)
    for path in prepared.iterdir():
        if work.needs and path.name not in work.needs:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return prepared
