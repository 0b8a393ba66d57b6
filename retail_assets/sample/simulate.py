"""Simulates the sample retailer day by day and writes landing/ and truth/."""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from datetime import time as clock_time
from pathlib import Path

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from retail_assets.core.private import private_folder
from retail_assets.resources.environments import Home
from retail_assets.sample.config import CONFIG_FILE, SampleError, Scale, scale_named
from retail_assets.sample.day import Simulation
from retail_assets.sample.faults import Fault
from retail_assets.sample.feeds import parquet_bytes
from retail_assets.sample.outbox import Outbox, write_whole
from retail_assets.sample.truth import elasticities_table, events_table, faults_table, files_table, tastes_table
from retail_assets.sample.world import World, build_world

MANIFEST, FILES = "manifest.json", "files.parquet"


class SampleSummary(BaseModel):
    """What lies in landing/ after a simulation; `files` and `rows` are per bronze table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    scale: str
    days: int
    first_day: str
    last_day: str
    files: dict[str, int]
    rows: dict[str, int]
    bytes: int
    faults: int
    seconds: float
    reused: bool = False


class _Manifest(BaseModel):
    """truth/manifest.json: what was asked for, by which version, and the summary once it is complete."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    scale: Scale
    days: int
    generator: str
    summary: SampleSummary | None = None


def simulate(
    home_root: Path,
    scale: Scale | str = "demo",
    seed: int = 7,
    days: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SampleSummary:
    """Writes the files of `days` days (default: the scale's, or as many as are there) below `home_root`, and the truth.

    Equal arguments give equal bytes, and more days only add files. A sample that is already there whole is left as it
    is. Raises SampleError when the folder holds another sample, or more days of this one.
    """
    started = time.perf_counter()
    chosen = scale_named(scale) if isinstance(scale, str) else scale
    if days is not None and days < 1:
        raise SampleError(f"days={days}: at least one day is needed")
    home = Home.at(home_root)
    found = _existing(home)
    grown = found.days if found is not None and (found.seed, found.scale) == (seed, chosen) else 0
    wanted = _Manifest(seed=seed, scale=chosen, days=days or max(chosen.days, grown), generator=generator_hash())
    if found is not None and _same(found, wanted) and found.summary is not None and _intact(home):
        return found.summary.model_copy(update={"seconds": time.perf_counter() - started, "reused": True})
    _refuse_mixture(home, found, wanted)
    private_folder(home.landing)
    private_folder(home.truth)
    _write_manifest(home, wanted)
    summary = _run(home, wanted, started, progress or (lambda done, total: None))
    _write_manifest(home, wanted.model_copy(update={"summary": summary}))
    return summary


def generator_hash() -> str:
    """12 hex digits that change with the simulator's code or configuration."""
    digest = hashlib.sha256(CONFIG_FILE.read_bytes())
    for module in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(module.read_bytes())
    return digest.hexdigest()[:12]


def _run(home: Home, wanted: _Manifest, started: float, progress: Callable[[int, int], None]) -> SampleSummary:
    world = build_world(wanted.seed, wanted.scale)
    outbox = Outbox(home.landing)
    simulation = Simulation(world, outbox, home.truth)
    for day in range(wanted.days):
        simulation.step(day)
        outbox.release(datetime.combine(world.date_of(day + 1), clock_time(12), UTC))
        progress(day + 1, wanted.days)
    simulation.close()
    delivered = {file.path for file in outbox.delivered}
    faults = [fault for fault in simulation.faults.records if fault.file in delivered]
    _write_truth(home, simulation, outbox, faults)
    return _summary(wanted, world, outbox, len(faults), time.perf_counter() - started)


def _write_truth(home: Home, simulation: Simulation, outbox: Outbox, faults: list[Fault]) -> None:
    world = simulation.world
    tables = {
        "elasticities.parquet": elasticities_table(world),
        "events.parquet": events_table(world, simulation.events),
        "tastes.parquet": tastes_table(world),
        "faults.parquet": faults_table(faults),
        FILES: files_table(outbox.delivered),
    }
    for name, table in tables.items():
        write_whole(home.truth / name, parquet_bytes(table))


def _summary(wanted: _Manifest, world: World, outbox: Outbox, faults: int, seconds: float) -> SampleSummary:
    rows: Counter[str] = Counter()
    for file in outbox.delivered:
        rows[file.source] += file.rows
    return SampleSummary(
        seed=wanted.seed,
        scale=wanted.scale.name,
        days=wanted.days,
        first_day=world.date_of(0).isoformat(),
        last_day=world.date_of(wanted.days - 1).isoformat(),
        files=dict(sorted(Counter(file.source for file in outbox.delivered).items())),
        rows=dict(sorted(rows.items())),
        bytes=sum(file.bytes for file in outbox.delivered),
        faults=faults,
        seconds=seconds,
    )


def _existing(home: Home) -> _Manifest | None:
    path = home.truth / MANIFEST
    return _Manifest.model_validate_json(path.read_bytes()) if path.exists() else None


def _same(found: _Manifest, wanted: _Manifest) -> bool:
    return (found.seed, found.scale, found.days) == (wanted.seed, wanted.scale, wanted.days)


def _intact(home: Home) -> bool:
    """Whether every file the truth lists lies in landing/ with its size."""
    listed = pq.read_table(home.truth / FILES, columns=["file", "bytes"])
    for name, size in zip(listed["file"].to_pylist(), listed["bytes"].to_pylist(), strict=True):
        path = home.landing / name
        if not path.exists() or path.stat().st_size != size:
            return False
    return True


def _refuse_mixture(home: Home, found: _Manifest | None, wanted: _Manifest) -> None:
    if found is None:
        return
    there, asked = ((m.seed, m.scale, m.generator) for m in (found, wanted))
    if there != asked or found.days > wanted.days:
        raise SampleError(
            f"a sample of seed {found.seed}, scale {found.scale.name}, {found.days} days is already there"
            f" (asked for: seed {wanted.seed}, scale {wanted.scale.name}, {wanted.days} days)",
            where=str(home.truth / MANIFEST),
            todo="choose another RETAIL_HOME, or delete its landing/ and truth/ (and the lake made from them)",
        )


def _write_manifest(home: Home, manifest: _Manifest) -> None:
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, sort_keys=True)
    write_whole(home.truth / MANIFEST, text.encode() + b"\n")
