"""Asks many versions in one process, so that a version that ends or holds it is found, and is the one that is named."""

import json
import subprocess
import sys
from pathlib import Path

WITHIN_S = 240
ASK = """
import json, sys
from importlib import import_module
from pathlib import Path
from retail_assets.resources.proof_process import asked

probe = import_module(sys.argv[1])
for folder in sorted(Path(sys.argv[2]).iterdir()):
    print(folder.name, flush=True)
    print(json.dumps(asked(probe, folder)), flush=True)
"""


def lay(root: Path, number: int, files: dict[str, bytes]) -> None:
    """One version of these files, as a folder below `root`."""
    folder = root / f"{number:04d}"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def answers(probe: str, root: Path, names: list[str]) -> dict[str, dict[str, str]]:
    """What the module `probe` found of each version below `root`, by name; fails where one ended or held it."""
    command = [sys.executable, "-c", ASK, probe, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S)
    lines = [line for line in done.stdout.splitlines() if line.isdigit() or line.startswith("{")]
    last = names[int([line for line in lines if line.isdigit()][-1])]
    assert done.returncode == 0, f"{last} ended the process ({done.returncode}): {done.stderr[-500:]}"
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return dict(zip(names, found, strict=True))


def refuse_silence(found: dict[str, dict[str, str]]) -> None:
    """Every version is sound, or refused with a sentence."""
    for name, said in found.items():
        assert said["outcome"] in ("sound", "unsound"), f"{name}: {said}"
        if said["outcome"] == "unsound":
            assert len(said["reason"].split()) > 3, f"{name}: {said}"
