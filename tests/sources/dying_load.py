"""Loads or replays pos_lines of a home and dies at the n-th step. Run as a process of its own by the tests.

Arguments: home, `load` or `replay`, n (0: count the steps and print how many there are).
"""

import os
import sys
from pathlib import Path

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sources import load
from retail_assets.sources.config import load_contracts
from retail_assets.sources.replay import replay


def main() -> None:
    home, what, last = Home.at(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    steps = 0

    def die_at_last(step: str) -> None:
        nonlocal steps
        steps += 1
        if steps == last:
            os._exit(9)

    load.BATCH_BYTES = 1
    lake = Lake.at(home.lake)
    if what == "load":
        load.load_source(lake, home.landing, load_contracts()["pos_lines"], fault_point=die_at_last)
    else:
        replay(lake, home, "pos_lines", config_dir=Path(sys.argv[4]), fault_point=die_at_last)
    print(steps)


if __name__ == "__main__":
    main()
