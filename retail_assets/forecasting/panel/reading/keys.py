"""Keys of the series of a panel, and the attributes that follow from them."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from retail_assets.forecasting.panel.reading.table import PanelError, codes, read_table, refuse
from retail_assets.resources.table_files import PLAIN_NUMBER

Ints = npt.NDArray[np.int64]


def series_of(path: Path, table: pa.Table, names: tuple[str, ...]) -> tuple[Ints, pd.DataFrame]:
    """Code of the series of each row, and the keys of each series in their order."""
    parts = [codes(path, table, name) for name in names]
    joint = np.zeros(table.num_rows, dtype=np.int64)
    for part, dictionary in parts:
        joint = joint * len(dictionary) + part
    size = int(np.prod([len(dictionary) for _, dictionary in parts]))
    present = np.zeros(size, dtype=bool)
    present[joint] = True
    cells = np.flatnonzero(present)
    keys, rest = {}, cells
    for name, (_, dictionary) in reversed(list(zip(names, parts, strict=True))):
        keys[name] = dictionary.to_pandas().to_numpy()[rest % len(dictionary)]
        rest = rest // len(dictionary)
    frame = pd.DataFrame({name: keys[name] for name in names})
    order = frame.sort_values(list(names)).index.to_numpy()
    rank = np.full(size, -1, dtype=np.int64)
    rank[cells[order]] = np.arange(len(cells))
    return rank[joint], frame.loc[order].reset_index(drop=True)


def attributes_of(
    path: Path | None, keys: pd.DataFrame, names: tuple[str, ...], reserved: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Keys with those that only the file knows, their attributes, and what is particular."""
    if path is None:
        return keys, pd.DataFrame(index=keys.index), []
    table = read_table(path, names)
    shared = [name for name in names if name in table.column_names]
    if not shared:
        raise PanelError(
            f"no key of {', '.join(names)}", where=str(path), todo="it needs at least one of these columns"
        )
    found = table.to_pandas()
    for name in shared:
        refuse(path, table, name, found[name].isna().to_numpy(), "is empty", "every row needs its keys")
        found[name] = _like(path, table, name, keys[name])
    refuse(
        path, table, shared[0], found.duplicated(shared).to_numpy(), f"repeats a key of {', '.join(shared)}", "keep one"
    )
    if not keys[shared].merge(found[shared], on=shared).size:
        first = ", ".join(f"{name} {keys[name].iloc[0]}" for name in shared)
        raise PanelError(
            "no series of the sales is in the file",
            where=f"{path}, columns {', '.join(shared)}",
            todo=f"the sales have {first}, this file {', '.join(str(v) for v in found[shared].iloc[0])}",
        )
    notes = []
    if len(shared) == len(names):
        everyone = pd.concat([keys, found[shared][list(names)]]).drop_duplicates().sort_values(list(names))
        keys = everyone.reset_index(drop=True)
    merged = keys.merge(found, on=shared, how="left", validate="many_to_one", indicator=True)
    absent = int((merged.pop("_merge") == "left_only").sum())
    if absent:
        notes.append(f"{absent:,} of {len(keys):,} series have no row in {path.name}")
    extra = merged[[name for name in merged if name not in names and name not in reserved]]
    return keys, extra, notes


def _like(path: Path, table: pa.Table, name: str, sold: "pd.Series[Any]") -> "pd.Series[Any]":
    """A key column in the type that the sales have it in; raises PanelError for a value that has none."""
    values = table[name].to_pandas()
    if values.dtype.kind == sold.dtype.kind or {values.dtype.kind, sold.dtype.kind} == {"i", "u"}:
        return values
    if sold.dtype == object and values.dtype.kind in "iu":
        return values.astype(str)
    if sold.dtype.kind in "iu" and values.dtype == object:
        strange = ~values.astype(str).str.fullmatch(PLAIN_NUMBER).to_numpy()
        refuse(path, table, name, strange, "is no whole number, as in the sales", "write keys in both in the same way")
        return values.astype(sold.dtype)
    what = f"{name} holds {values.dtype}, but {sold.dtype} in the sales"
    raise PanelError(what, where=f"{path}, column {name}", todo="write keys in both files in the same way")


def places_of(sold: pd.DataFrame, keys: pd.DataFrame) -> Ints:
    """Where the series with sales stand among all: listing others moves them."""
    names = list(keys)
    found = sold.merge(keys.reset_index(names="place"), on=names, how="left", validate="one_to_one")
    return found["place"].to_numpy(np.int64)


def refuse_repeats(path: Path, table: pa.Table, names: tuple[str, ...], series: Ints, at: Ints) -> None:
    """Raises PanelError for two rows of one series and period; `names` are its columns, the time last."""
    width = int(at.max() - at.min()) + 1
    cell = series * width + (at - at.min())
    counts = np.bincount(cell, minlength=(int(series.max()) + 1) * width)
    if counts.max() > 1:
        row = int(pd.Series(cell).duplicated().to_numpy().argmax())
        key = ", ".join(f"{name} {table[name][row].as_py()}" for name in names)
        raise PanelError(
            f"{key} is there twice",
            where=f"{path}, row {row + 1} ({int((counts - 1).clip(0).sum()):,} such rows)",
            todo="sum them into one row per series and time, or name the missing key in --series",
        )
