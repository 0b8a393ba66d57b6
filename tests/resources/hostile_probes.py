"""Questions that end, hold or fill the process that asks them, as a version may: which one is written in its file."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from retail_assets.core.errors import RetailError


def examine(folder: Path) -> None:
    """Does what model.json of the version says."""
    what = (folder / "model.json").read_text()
    ways: dict[str, Callable[[], object]] = {
        "abort": os.abort,
        "exit": lambda: os._exit(0),
        "loop": _loop,
        "fill": _fill,
        "at once": lambda: bytearray(1 << 40),
        "noise": _noise,
        "unforeseen": lambda: {}["elasticity"],
        "unsound": _refuse,
    }
    ways.get(what, lambda: None)()


def question(folder: Path) -> Callable[[], object]:
    """A call that costs nothing."""
    return lambda: folder


def _loop() -> None:
    while True:
        pass


def _fill() -> None:
    kept = []
    while True:
        kept.append(bytearray(os.urandom(1 << 20)) * 16)


def _noise() -> None:
    for _ in range(200_000):
        print("[LightGBM] [Warning] no further splits with positive gain", file=sys.stderr)
    print("and on standard output")


def _refuse() -> None:
    raise RetailError("the version answers what no price can be")
