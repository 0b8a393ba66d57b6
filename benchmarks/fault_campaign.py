"""Faults on purpose, from seeds, for as long as you like: kills, torn files, hostile files and models, hostile stores.

    RETAIL_HOME=.retail-tiny python benchmarks/fault_campaign.py --seeds 0:20
    RETAIL_HOME=.retail-tiny python benchmarks/fault_campaign.py --hours 8 --json faults.json
    RETAIL_HOME=.retail-tiny python benchmarks/fault_campaign.py --only kills --seeds 17:18

RETAIL_HOME is a home of `retail demo --scale tiny`; the campaign works on copies of it. It prints for each sort how
many trials there were and how many of them lost, doubled, executed, stuck or broke something, and for each failure its
recipe: the command that does it again. Exit code 1 where anything failed. The same seed does the same, but for kills
after a time.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.faults import home_trial, kills, landing, landing_trial, model_trial, stores, wire_trial, works
from benchmarks.faults.trial import BROKEN, DOUBLED, EXECUTED, LOST, STUCK, Trial

FAILURES = (LOST, DOUBLED, EXECUTED, STUCK, BROKEN)
HOME = "RETAIL_HOME"
DISKS = 5
HOSTILE_BYTES = 2 << 20


class Campaign:
    """The sorts of faults, each a seed -> its trials, on copies of one tiny home."""

    def __init__(self, tiny: Path, folder: Path) -> None:
        self._tiny, self._folder = tiny, folder
        self._undisturbed: dict[str, tuple[Path, tuple[kills.Found, int, float]]] = {}
        self.sorts: dict[str, Callable[[int], list[Trial]]] = {
            "kills": lambda seed: self._kills(works.WORKS, seed),
            "runs": lambda seed: self._kills(works.RUNS, seed),
            "disks": self._disks,
            "landing": self._landing,
            "models": self._models,
            "centre": self._centre,
            "bundles": self._bundles,
            "wire": self._wire,
        }

    def _fresh(self, name: str, with_home: bool = True) -> Path:
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        if with_home:
            shutil.copytree(self._tiny, folder, symlinks=True)
        else:
            folder.mkdir()
        return folder

    def _kills(self, chosen: list[kills.Work], seed: int) -> list[Trial]:
        """One kill in each piece of work."""
        trials = []
        for work in chosen:
            if work.name not in self._undisturbed:
                prepared = works.prepare(work, self._tiny, self._folder / work.name)
                copy = self._folder / work.name / "undisturbed"
                shutil.copytree(prepared, copy, symlinks=True)
                self._undisturbed[work.name] = prepared, kills.measured(work, copy)
                shutil.rmtree(copy)
            prepared, undisturbed = self._undisturbed[work.name]
            trials.append(kills.killed(work, prepared, self._folder / "killed", seed, undisturbed))
        return trials

    def _disks(self, seed: int) -> list[Trial]:
        """Some faults of the disk, each in a home of its own; a few seeds have every fault."""
        return [home_trial.tried(self._fresh("disks"), seed, fault) for fault in home_trial.faults_of(seed, DISKS)]

    def _landing(self, seed: int) -> list[Trial]:
        """Every hostile file of the seed beside good ones; then a second load, with nothing new."""
        root = self._fresh("landing", with_home=False)
        kinds = landing_trial.deliver(root / "landing", landing.hostile_files(seed, HOSTILE_BYTES))
        try:
            found = landing_trial.outcomes(root, landing_trial.load(root), kinds)
            wrong = [*landing_trial.broken(root, found)]
            landing_trial.load(root)
            wrong += [f"loaded again: {one}" for one in landing_trial.broken(root, found)]
        except Exception as error:  # noqa: BLE001 - whatever it is, a landing zone must not stop a load
            return [Trial("landing", seed, f"{len(kinds)} files", STUCK, f"{type(error).__name__}: {error}")]
        named = {one.kind: next((why for why in wrong if why.startswith(f"{one.kind}:")), "") for one in found}
        trials = [Trial("landing", seed, kind, BROKEN if why else "", why) for kind, why in named.items()]
        others = [why for why in wrong if why not in named.values()]
        return trials + [Trial("landing", seed, "good files", LOST, why) for why in others]

    def _models(self, seed: int) -> list[Trial]:
        return model_trial.tried(self._fresh("models", with_home=False), seed)

    def _centre(self, seed: int) -> list[Trial]:
        return stores.abuse_of_the_centre(self._fresh("centre"), seed)

    def _bundles(self, seed: int) -> list[Trial]:
        return stores.abuse_of_a_store(self._fresh("bundles", with_home=False), seed)

    def _wire(self, seed: int) -> list[Trial]:
        """One abuse of a centre that serves a copy of the home."""
        with wire_trial.centre(self._fresh("wire")) as port:
            return [wire_trial.tried(port, seed)]

    def run(self, seeds: Iterator[int], only: list[str], ends_at: float, say: Callable[[str], None]) -> list[Trial]:
        """Seed after seed, every sort of it, until the seeds or the time are used up."""
        trials: list[Trial] = []
        for seed in seeds:
            for name in only:
                if time.monotonic() > ends_at:
                    return trials
                started = time.monotonic()
                new = self.sorts[name](seed)
                trials += [one._replace(sort=f"{name}: {one.sort}") for one in new]
                failed = sum(bool(one.failure) for one in new)
                took = time.monotonic() - started
                say(f"seed {seed} {name}: {len(new)} trials, {failed} failed, {took:.1f} s; {len(trials)} in all")
                for one in new:
                    if one.failure:
                        say(f"  {one.failure}: {one.what}: {one.reason}")
        return trials


def shown(trials: list[Trial], home: str) -> str:
    """A table of the sorts, and the recipe of each failure."""
    head = f"{'sort':24}{'trials':>8}" + "".join(f"{name:>10}" for name in FAILURES)
    lines = [head]
    for sort in sorted({one.sort for one in trials}):
        mine = [one for one in trials if one.sort == sort]
        counts = Counter(one.failure for one in mine)
        lines.append(f"{sort:24}{len(mine):>8}" + "".join(f"{counts[name]:>10}" for name in FAILURES))
    counts = Counter(one.failure for one in trials)
    lines.append(f"{'all':24}{len(trials):>8}" + "".join(f"{counts[name]:>10}" for name in FAILURES))
    for one in trials:
        if one.failure:
            again = f"--only {one.sort.partition(':')[0]} --seeds {one.seed}:{one.seed + 1}"
            lines.append(f"{one.failure}: {one.what}: {one.reason}\n  {HOME}={home} python {sys.argv[0]} {again}")
    return "\n".join(lines)


def seeds_of(text: str | None) -> Iterator[int]:
    """`A:B` or a number of seeds from 0 on; without end where there is none."""
    first, _, last = (text or "").rpartition(":")
    number, end = int(first or 0), int(last) if last else None
    while end is None or number < end:
        yield number
        number += 1


def main() -> int:
    """Runs the campaign."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", help="A:B, or how many from 0 on (default: 1 where no --hours are given)")
    parser.add_argument("--hours", type=float, help="stop after so many hours")
    parser.add_argument("--only", help="sorts, by commas")
    parser.add_argument("--json", type=Path, help="also write the trials to this file")
    asked = parser.parse_args()
    home = os.environ.get(HOME, ".retail")
    if not Path(home, "lake").is_dir():
        parser.error(f"{HOME}={home} is no home: RETAIL_HOME=.retail-tiny retail demo --scale tiny")
    ends_at = time.monotonic() + asked.hours * 3600 if asked.hours else float("inf")
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        campaign = Campaign(Path(home).resolve(), Path(folder))
        only = asked.only.split(",") if asked.only else list(campaign.sorts)
        if unknown := set(only) - campaign.sorts.keys():
            parser.error(f"no sort {', '.join(sorted(unknown))}: {', '.join(campaign.sorts)}")
        seeds = seeds_of(asked.seeds or (None if asked.hours else "1"))
        trials = campaign.run(seeds, only, ends_at, lambda line: print(line, file=sys.stderr, flush=True))
    print(shown(trials, home))
    if asked.json:
        asked.json.write_text(json.dumps([one._asdict() for one in trials], indent=1))
    return int(any(one.failure for one in trials))


if __name__ == "__main__":
    raise SystemExit(main())
