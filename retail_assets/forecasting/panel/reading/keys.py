"""Keys of the series of a panel, and the attributes that follow from them."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from retail_assets.forecasting.panel.reading.table import PanelError, codes, read_table, refuse
from retail_assets.resources.keyed_files import PLAIN_NUMBER

Ints = npt.NDArray[np.int64]


def series_of(path: Path, table: pa.Table, names: tuple[str, ...]) -> tuple[Ints, pd.DataFrame]:
    """Code of the series of each row, and the keys of each series in their order."""
    parts = [codes(path, table, name) for name in names]
    joint, first = _distinct([part for part, _ in parts], [len(dictionary) for _, dictionary in parts])
    frame = pd.DataFrame(
        {
            name: dictionary.to_pandas().to_numpy()[part[first]]
            for name, (part, dictionary) in zip(names, parts, strict=True)
        }
    )
    order = frame.sort_values(list(names)).index.to_numpy()
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[joint], frame.loc[order].reset_index(drop=True)


def _distinct(parts: list[Ints], sizes: list[int]) -> tuple[Ints, Ints]:
    """A number for each combination of `parts` that a row has (rows,), and the first row of each.

    Combinations are counted key by key: memory follows the rows, not the product of what each key may be.
    """
    joint = np.zeros(len(parts[0]), dtype=np.int64)
    for part, size in zip(parts, sizes, strict=True):
        joint = pd.factorize(joint * size + part)[0].astype(np.int64)
    first = np.full(int(joint.max()) + 1 if len(joint) else 0, -1, dtype=np.int64)
    first[joint[::-1]] = np.arange(len(joint))[::-1]
    return joint, first


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
    merged = keys.merge(found, on=shared, how="left", validate="many_to_one")
    absent = int((~pd.MultiIndex.from_frame(keys[shared]).isin(pd.MultiIndex.from_frame(found[shared]))).sum())
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
    found = pd.MultiIndex.from_frame(keys).get_indexer(pd.MultiIndex.from_frame(sold))
    return np.asarray(found, dtype=np.int64)


def refuse_repeats(path: Path, table: pa.Table, names: tuple[str, ...], series: Ints, at: Ints) -> None:
    """Raises PanelError for two rows of one series and period; `names` are its columns, the time last."""
    width = int(at.max() - at.min()) + 1
    repeated = pd.Series(series * width + (at - at.min())).duplicated().to_numpy()
    if repeated.any():
        row = int(repeated.argmax())
        key = ", ".join(f"{name} {table[name][row].as_py()}" for name in names)
        raise PanelError(
            f"{key} is there twice",
            where=f"{path}, row {row + 1} ({int(repeated.sum()):,} such rows)",
            todo="sum them into one row per series and time, or name the missing key in --series",
        )
