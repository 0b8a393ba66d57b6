"""What a hostile or broken store, or somebody between it and its centre, sends: segments, numbers, bundles, files.

Whatever comes, the centre refuses it with a reason or keeps it; it never hurts another store, and a store never writes
outside its own folder or believes what its centre did not sign.
"""

import io
import json
import random
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.faults.trial import BROKEN, EXECUTED, LOST, STUCK, Trial
from benchmarks.faults.works import STORE, decision, environment_of
from retail_assets.core.errors import RetailError
from retail_assets.decisions.rows import DECISION_SCHEMA, decode, encode
from retail_assets.stores.bundle import Blob, Bundle, CarriedModel, CarriedTable
from retail_assets.stores.keys import CentreKeys, Trust
from retail_assets.stores.landing import LandedDecisions

WRITER = "decision-log/0b1b2b3b-0000-4000-8000-00000000000{}"
NAMES = ["../x", "../../../../etc/cron.d/x", "/tmp/x", "a/../../b", "..", ".", "", "a\0b", "a\nb", "x" * 300, "C:\\x"]


def segment(numbers: list[int], store_id: str = STORE) -> pa.Table:
    """Decisions by their numbers."""
    return decode(b"".join(encode(decision(number, store_id)) for number in numbers))


def as_file(rows: pa.Table) -> bytes:
    """A table as a Parquet file."""
    file = io.BytesIO()
    pq.write_table(rows, file)
    return file.getvalue()


def hostile_segments(chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """Segments that no store writes."""
    good = segment(list(range(500, 510)))
    content = as_file(good)
    for name in ("decision_id", "business_date", "store_id", "product", "at"):
        field = DECISION_SCHEMA.field(name)
        nulls = pa.nulls(len(good), field.type)
        yield f"{name} is null", as_file(good.set_column(good.column_names.index(name), field, nulls))
        yield f"no {name}", as_file(good.drop_columns([name]))
        text = pa.array(["x' or '1'='1", "../..", "<script>", "\u0000", "", *["😀"] * 5])
        yield f"{name} is odd text", as_file(good.set_column(good.column_names.index(name), name, text))
    years = [date(chance.randint(1, 9999), 1, 1) for _ in range(10)]
    column = good.column_names.index("business_date")
    yield "days of all times", as_file(good.set_column(column, "business_date", pa.array(years)))
    for round_ in range(12):
        torn = bytearray(content)
        kind = chance.choice(["cut", "flip", "zeros", "noise"])
        at = chance.randrange(len(torn))
        if kind == "cut":
            torn = torn[:at]
        elif kind == "flip":
            torn[at] ^= 1 << chance.randrange(8)
        elif kind == "zeros":
            torn[at : at + 512] = bytes(len(torn[at : at + 512]))
        else:
            torn[at : at + 64] = chance.randbytes(len(torn[at : at + 64]))
        yield f"{kind} at byte {at} ({round_})", bytes(torn)


def abuse_of_the_centre(root: Path, seed: int) -> list[Trial]:
    """Hostile segments and numbers beside a good store, whose decisions must arrive once and soon."""
    chance, trials = random.Random(f"segments {seed}"), []
    landed = LandedDecisions(environment_of(root))
    lake = environment_of(root).lake
    for n, (what, content) in enumerate(hostile_segments(chance)):
        number = chance.choice([1, 2, 3, 0, -1, 10**12, 10**30, chance.randrange(1, 10**12)])
        good = 10_000 + 100 * seed + n
        try:
            landed.take(f"store-{STORE}", "pricing", WRITER.format(9), number, content)
        except RetailError:
            pass
        except Exception as error:  # noqa: BLE001 - the trial is about what else is raised
            trials.append(Trial("segments", seed, what, BROKEN, f"{type(error).__name__}: {error}"))
            continue
        try:
            landed.take(f"store-{STORE}", "pricing", WRITER.format(8), good, as_file(segment([good])))
            landed.move()
        except Exception as error:  # noqa: BLE001
            trials.append(Trial("segments", seed, what, STUCK, f"{type(error).__name__}: {error}"))
            continue
        uid = decision(good)["decision_id"]
        sql = f"select count(*) as n from {lake.scan('decisions', 'pricing')} where decision_id = '{uid}'"
        there = lake.query(sql)["n"][0].as_py()
        failure = "" if there == 1 else LOST
        trials.append(Trial("segments", seed, what, failure, f"the good one is there {there} times" if failure else ""))
    return trials


def hostile_bundles(keys: CentreKeys, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """What is sent in place of a bundle: changed, forged, cut, of another store, or with names that lead elsewhere."""
    blob = Blob(sha256="0" * 64, size=1)
    good = Bundle(target=f"store-{STORE}", number=7, releases=(), models=(), tables=())
    signed = keys.sign(good).model_dump_json().encode()
    for name in NAMES:
        model = CarriedModel.model_construct(product="pricing", version=name, files={"model.json": blob})
        files = CarriedModel.model_construct(product="pricing", version="v", files={name: blob})
        table = CarriedTable.model_construct(layer="gold", name=name, partition_by=(), blob=blob)
        for what, changes in (
            ("version", {"models": (model,)}),
            ("file", {"models": (files,)}),
            ("table", {"tables": (table,)}),
        ):
            bad = good.model_copy(update=changes)
            yield f"a {what} called {name!r:.40}, signed", keys.sign(bad).model_dump_json(warnings=False).encode()
    yield "of another store", keys.sign(good.model_copy(update={"target": "store-else"})).model_dump_json().encode()
    for round_ in range(20):
        torn = bytearray(signed)
        torn[chance.randrange(len(torn))] ^= 1 << chance.randrange(8)
        yield f"one bit flipped ({round_})", bytes(torn)
    document = json.loads(signed)
    yield "without keys", json.dumps(document | {"keys": []}).encode()
    yield "a key more", json.dumps(document | {"keys": document["keys"] * 2}).encode()
    yield "deep", b"[" * 100_000
    yield "html", b"<html>Welcome</html>"


def abuse_of_a_store(folder: Path, seed: int) -> list[Trial]:
    """Hostile bundles, each of which must be refused with a reason, nothing written."""
    chance, trials = random.Random(f"bundles {seed}"), []
    keys = CentreKeys(folder / "centre")
    token = f"secret.{keys.public}"
    good = Bundle(target=f"store-{STORE}", number=7, releases=(), models=(), tables=())
    for n, (what, document) in enumerate(hostile_bundles(keys, chance)):
        store = folder / f"store-{n}"
        opened = None
        try:
            opened = Trust(token, store).open(document, f"store-{STORE}")
            same = opened.model_dump(exclude={"number"}) == good.model_dump(exclude={"number"})
            failure, reason = ("", "") if same else (EXECUTED, "it was believed")
        except RetailError:
            failure, reason = "", ""
        except Exception as error:  # noqa: BLE001
            failure, reason = BROKEN, f"{type(error).__name__}: {error}"
        if not failure and not opened and store.exists():
            failure, reason = EXECUTED, "something was written before it was refused"
        trials.append(Trial("bundles", seed, what, failure, reason))
    return trials
