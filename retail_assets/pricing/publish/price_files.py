"""Price files for other systems: one CSV per store with the published prices, beside it what is needed to trust it.

`outbox/prices/<first day of validity>/<store>.csv` and `<store>.json`. Each file replaces the one before in one step,
the CSV first; a reader that compares the checksum in the JSON never takes half a change.
"""

import csv
import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from retail_assets.pricing.publish.publication import BATCHES, current_publications, published_prices
from retail_assets.resources import durable
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.source_control import git_commit

COLUMNS = ("store_id", "sku", "price", "currency", "previous_price", "effective_from", "decision_id", "batch_id")


class PriceFile(BaseModel):
    """A written price file, or one that is there already with the same content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store_id: str
    path: str
    rows: int
    changed: int
    sha256: str
    written: bool


def write_price_files(lake: Lake, home: Home, store_id: str | None = None) -> list[PriceFile]:
    """Writes the file of each store with published prices (or of one store) unless it is there with the same content.

    A store whose prices were all withdrawn keeps no file of the withdrawn batch's day: it is deleted.
    """
    days = _days(lake)
    prices = published_prices(lake, store_id)
    batches = {row["batch_id"]: row for row in _batches(lake)}
    written = []
    for store in sorted(days) if store_id is None else [store_id]:
        if store not in days:
            continue
        mine = prices.filter(pc.equal(prices["store_id"], store))
        folder = home.outbox / "prices" / days[store]
        if mine.num_rows:
            written.append(_write(folder, store, mine, batches))
        else:
            for name in (f"{store}.json", f"{store}.csv"):
                (folder / name).unlink(missing_ok=True)
    return written


def _days(lake: Lake) -> dict[str, str]:
    """The folder of each store: the first day of validity of its newest batch that is, or was, published."""
    effective = {row["batch_id"]: row["effective_from"].isoformat() for row in _batches(lake)}
    found: dict[str, str] = {}
    for row in current_publications(lake):
        if row.status in ("published", "withdrawn"):
            found[row.store_id] = max(effective[row.batch_id], found.get(row.store_id, ""))
    return found


def _batches(lake: Lake) -> list[dict[str, Any]]:
    if not lake.exists("ops", BATCHES):
        return []
    rows: list[dict[str, Any]] = lake.query(
        f"""select distinct batch_id, effective_from, model_version, policy_hash, dagster_run_id
            from {lake.scan("ops", BATCHES)}"""
    ).to_pylist()
    return rows


def _write(folder: Path, store_id: str, prices: pa.Table, batches: dict[str, dict[str, Any]]) -> PriceFile:
    content = _csv(prices)
    sha256 = hashlib.sha256(content).hexdigest()
    path = folder / f"{store_id}.csv"
    changed = sum(p != q for p, q in zip(*(prices[n].to_pylist() for n in ("price", "previous_price")), strict=True))
    same = path.is_file() and path.with_suffix(".json").is_file() and _recorded(path) == sha256 == _sha256(path)
    if not same:
        used = [batches[batch_id] for batch_id in sorted(set(prices["batch_id"].to_pylist()))]
        document = {
            "store_id": store_id,
            "file": path.name,
            "rows": prices.num_rows,
            "changed": changed,
            "sha256": sha256,
            "currencies": sorted(set(prices["currency"].to_pylist())),
            "batches": [{name: str(row[name]) for name in row} for row in used],
            "model_versions": sorted(set(prices["model_version"].drop_null().to_pylist())),
            "git_commit": git_commit(),
            "written_at": datetime.now(UTC).isoformat(),
        }
        durable.write(path, content)
        durable.write(path.with_suffix(".json"), (json.dumps(document, indent=2) + "\n").encode())
    return PriceFile(
        store_id=store_id, path=str(path), rows=prices.num_rows, changed=changed, sha256=sha256, written=not same
    )


def _csv(prices: pa.Table) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(zip(*(prices[name].to_pylist() for name in COLUMNS), strict=True))
    return text.getvalue().encode()


def _recorded(path: Path) -> str | None:
    """The checksum that lies beside a price file; None where that file is torn, so that both are written anew."""
    try:
        return str(json.loads(path.with_suffix(".json").read_bytes())["sha256"])
    except (ValueError, LookupError, TypeError):
        return None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
