"""How long one store takes to answer with the old version again, from the command that rolls it back.

    RETAIL_HOME=.retail python benchmarks/store_rollback.py

Works on a copy of the home: a centre, one store that answers from its own copy, and the command line, each a process of
its own. `command` runs from the start of `retail rollback` to the first answer of the old version, `commit` from the
ledger's new row to it. That the cloud keeps its version is looked up after each round.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.swap_load import another
from retail_assets.pricing.decide.price_inputs import InputBook
from retail_assets.releases.ledger import Ledger
from retail_assets.resources.environments import PROJECT_ROOT, Environment, Home, current
from retail_assets.resources.lake import Lake
from retail_assets.serving.processes.processes import answers
from retail_assets.stores.centre import Tokens, folder_of

CENTRE, PRICING, UP_WITHIN_S, TARGET_S = 3994, 3995, 240, 2.0
RETAIL = [sys.executable, "-m", "retail_assets.cli"]


@contextmanager
def running(home: Home, log: Path, arguments: Sequence[str], health: str, **env: str) -> Iterator[None]:
    """A `retail` command in the background, up."""
    environment = os.environ | {"RETAIL_HOME": str(home.root)} | env
    with log.open("wb") as file:
        child = subprocess.Popen([*RETAIL, *arguments], env=environment, cwd=PROJECT_ROOT, stdout=file, stderr=file)
        try:
            deadline = time.monotonic() + UP_WITHIN_S
            while not answers(health):
                if child.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(log.read_text()[-2000:])
                time.sleep(0.1)
            yield
        finally:
            child.terminate()
            child.wait(60)


def ask(question: bytes) -> str:
    """The version that answers in the store."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{PRICING}/price", data=question, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return str(json.loads(response.read())["model_version"])


def until(question: bytes, version: str) -> float:
    """Asks until `version` answers; returns that moment."""
    while ask(question) != version:
        time.sleep(0.005)
    return time.time()


def measure(home: Home, target: str, question: bytes, rounds: int) -> dict[str, list[float]]:
    """Releases to the store and rolls it back, again and again."""
    ledger = Ledger(Lake.at(home.lake))
    old, new = another(home)
    found: dict[str, list[float]] = {"command": [], "commit": []}
    command = [*RETAIL, "rollback", "pricing", "--target", target, "--version", old, "--yes", "--by", "benchmark"]
    for _ in range(rounds):
        ledger.promote("pricing", new, by="benchmark", reason="round", target=target, wider=["cloud"])
        until(question, new)
        started = time.time()
        child = subprocess.Popen(
            command, env=os.environ | {"RETAIL_HOME": str(home.root)}, cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL
        )
        ended = until(question, old)
        if child.wait():
            raise SystemExit("the rollback failed")
        committed = ledger.live("pricing", target)
        assert committed is not None and ledger.live("pricing").version == old  # type: ignore[union-attr]
        found["command"].append(ended - started)
        found["commit"].append((datetime.fromtimestamp(ended, UTC) - committed.at).total_seconds())
    return found


def main() -> None:
    """Prints seconds; fails where a rollback took longer than TARGET_S from its command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home, store = Home.at(Path(folder) / "centre"), Home.at(Path(folder) / "store")
        shutil.copytree(current().home.root, home.root, ignore=shutil.ignore_patterns("landing", "dagster", "truth"))
        store.root.mkdir()
        environment = Environment(name="local", home=home, lake=Lake.at(home.lake))
        pair = InputBook.read(environment.lake).rows.select(["store_id", "sku"]).slice(0, 1).to_pylist()[0]
        target = f"store-{pair['store_id']}"
        token = Tokens(folder_of(environment)).issue(target)
        url = f"http://127.0.0.1:{CENTRE}"
        centre = ["stores", "centre", "--port", str(CENTRE)]
        stack.enter_context(running(home, Path(folder) / "centre.log", centre, f"{url}/livez"))
        serve = ["serve", "--target", target, "--centre", url, "--product", "pricing", "--pricing-port", str(PRICING)]
        up = f"http://127.0.0.1:{PRICING}/readyz"
        stack.enter_context(running(store, Path(folder) / "store.log", serve, up, RETAIL_STORE_TOKEN=token))
        found = measure(home, target, json.dumps(pair).encode(), options.rounds)
    for name, seconds in found.items():
        print(f"from {name}: median {statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s")
    sys.exit(max(found["command"]) > TARGET_S)


if __name__ == "__main__":
    main()
