"""Columns of a panel whose values are known for the periods to forecast."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from retail_assets.core.column_patterns import fields, filled
from retail_assets.forecasting.panel.reading.keys import refuse_repeats, series_of
from retail_assets.forecasting.panel.reading.table import PanelError, numbers, read_table, require
from retail_assets.forecasting.panel.reading.timeline import Timeline

Singles = npt.NDArray[np.float32]
Known = dict[str, Singles]


def fields_of(path: Path, table: pa.Table, name: str, keys: tuple[str, ...]) -> list[str]:
    """The keys in the braces of `price{brand}`, none where a column has that name; raises PanelError for no key."""
    if name in table.column_names:
        return []
    try:
        found = fields(name)
    except ValueError as error:
        raise PanelError(f"--covariates {name}: {error}", where=str(path), todo="write it like price{brand}") from error
    unknown = [part for part in found if part not in keys]
    if unknown:
        raise PanelError(f"--covariates {name}: {unknown[0]!r} is not a key of --series", where=str(path))
    return found


def known_values(path: Path, table: pa.Table, name: str, keys: list[str]) -> Singles:
    """A known column (rows,), or for each row the one that is named after its keys; raises PanelError."""
    if not keys:
        require(path, table, [name])
        return numbers(path, table, name)
    rows = table.select(keys).to_pandas()
    found = np.empty(len(rows), np.float32)
    for values, indices in rows.groupby(keys).indices.items():
        picked = values if isinstance(values, tuple) else (values,)
        column = filled(name, dict(zip(keys, picked, strict=True)))
        require(path, table, [column])
        found[indices] = numbers(path, table, column)[indices]
    return found


def read_future(
    path: Path, names: tuple[str, ...], time: str, timeline: Timeline, keys: pd.DataFrame, known: Known, start: int
) -> None:
    """Puts the columns of `known` in place, from a file with the key columns `names` and the time.

    Rows outside the panel are left out; raises PanelError for what is wrong with the file.
    """
    table = read_table(path, names, [time])
    require(path, table, [*names, time])
    at = timeline.numbers(path, table, time)
    refuse_repeats(path, table, (*names, time), series_of(path, table, names)[0], at)
    # Keys are compared as text, so that a key the sales have no number for is one more series they do not have.
    rows = pd.MultiIndex.from_frame(table.select(list(names)).to_pandas().astype(str))
    place, column = pd.MultiIndex.from_frame(keys.astype(str)).get_indexer(rows), at - start
    for name, values in known.items():
        inside = (place >= 0) & (column >= 0) & (column < values.shape[1])
        found = known_values(path, table, name, fields_of(path, table, name, names))
        values[place[inside], column[inside]] = found[inside]


def missing_known(known: Known, until: int) -> list[str]:
    """What is not known of the periods to forecast, a sentence per column."""
    found = []
    for name, values in known.items():
        absent = int(np.isnan(values[:, until:]).sum())
        if absent:
            asked = values[:, until:].size
            found.append(f"{name} is not known for {absent:,} of {asked:,} forecasts: give them by --future FILE")
    return found
