"""A small chain with two keys, departments and states, whose weekdays, events and promotions are planted."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from retail_assets.forecasting.panel.panel import Columns, Panel, Rules, read_panel
from retail_assets.forecasting.panel.trees import Settings

COLUMNS = Columns(("item", "store"), "date", "units")
FAST = Settings(rows=60_000, members=1, rounds=60, threads=1)
DAYS, HORIZON = 150, 14


@dataclass(frozen=True)
class Chain:
    """Files of the chain, and the last day to learn from."""

    sales: Path
    attributes: Path
    calendar: Path
    until: str

    def panel(
        self, columns: Columns = COLUMNS, rules: Rules | None = None, until: str | None = "", **files: Path
    ) -> Panel:
        """The chain read with its attributes and calendar."""
        known = self.until if until == "" else until
        sources = {"attributes": self.attributes, "calendar": self.calendar} | files
        return read_panel(self.sales, columns, rules or Rules(), known, HORIZON, **sources)


def write_chain(folder: Path, seed: int = 3, unlisted: Iterable[str] = ("I04",)) -> Chain:
    """Writes twelve items in four stores; items of `unlisted` never sell, though they are listed."""
    rng = np.random.default_rng(seed)
    items, stores = [f"I{i:02d}" for i in range(12)], ["A1", "A2", "B1", "B2"]
    attributes = pd.DataFrame([(i, s) for i in items for s in stores], columns=["item", "store"])
    attributes["department"] = ["D1" if int(i[1:]) < 6 else "D2" for i in attributes["item"]]
    attributes["state"] = attributes["store"].str[0]
    dates = pd.date_range("2023-01-02", periods=DAYS + HORIZON).date
    weekday = np.arange(len(dates)) % 7
    day = np.arange(len(dates))
    event = np.where(day % 30 == 20, "feast", None)
    snap = {state: ((day + shift) % 10 < 3).astype(int) for state, shift in (("A", 0), ("B", 5))}
    calendar = pd.DataFrame(
        {"date": dates, "event": event, "snap_A": snap["A"], "snap_B": snap["B"], "month": day // 30}
    )
    rows = []
    for item, store, _, state in attributes.itertuples(index=False):
        if item in unlisted:
            continue
        level = np.exp(rng.normal(0.8, 0.8)) * (1.5 if store == "A1" else 1.0)
        mean = level * (1.0 + 0.8 * (weekday >= 5)) * (1 + 0.5 * snap[state]) * np.where(event == "feast", 2.5, 1.0)
        first = int(rng.integers(0, 40))
        units = rng.poisson(mean)
        rows.append(pd.DataFrame({"item": item, "store": store, "date": dates, "units": units})[first:])
    paths = [folder / f"{name}.parquet" for name in ("sales", "attributes", "calendar")]
    for table, path in zip((pd.concat(rows), attributes, calendar), paths, strict=True):
        table.to_parquet(path, index=False)
    return Chain(*paths, str(dates[DAYS - 1]))
