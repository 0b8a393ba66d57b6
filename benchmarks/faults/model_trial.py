"""Faulty models that are asked in a process of their own: none may end or hold it, and none may be believed unsound."""

import json
import subprocess
import sys
from itertools import count
from pathlib import Path

from benchmarks.faults.models import MODEL_FILE, forecaster_files, mutations
from benchmarks.faults.trial import BROKEN, STUCK, Trial

WITHIN_S = 600
PROBE = "retail_assets.forecasting.probe"
ASK = """
import json, sys
from importlib import import_module
from pathlib import Path
from retail_assets.resources.proof_process import asked

probe = import_module(sys.argv[1])
for folder in sorted(Path(sys.argv[2]).iterdir())[int(sys.argv[3]):]:
    print(folder.name, flush=True)
    print(json.dumps(asked(probe, folder)), flush=True)
"""


def tried(root: Path, seed: int) -> list[Trial]:
    """Every mutation of the seed once."""
    files, names = forecaster_files(), []
    for name, content in mutations(seed, rounds=1):
        folder = root / f"{len(names):04d}"
        folder.mkdir(parents=True)
        for file, original in files.items():
            (folder / file).write_bytes(content if file == MODEL_FILE else original)
        names.append(name)
    trials: list[Trial] = []
    for _ in count():
        if len(trials) == len(names):
            return trials
        said, ended = _ask(root, len(trials))
        for answer in said:
            sound = answer["outcome"] == "sound" or len(answer.get("reason", "").split()) > 3
            failure = "" if sound else BROKEN
            trials.append(Trial("models", seed, names[len(trials)], failure, "" if sound else json.dumps(answer)[:300]))
        if len(trials) < len(names):
            trials.append(Trial("models", seed, names[len(trials)], STUCK, ended))
    raise AssertionError


def _ask(root: Path, first: int) -> tuple[list[dict[str, str]], str]:
    """What the versions from `first` on said, and how the process ended."""
    command = [sys.executable, "-c", ASK, PROBE, str(root), str(first)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
        output, ended = done.stdout, f"it ended the process with code {done.returncode}"
    except subprocess.TimeoutExpired as error:
        output, ended = (error.stdout or b"").decode(), f"it held the process for {WITHIN_S} s"
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")], ended
