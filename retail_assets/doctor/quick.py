"""A look at every file of gold that costs next to nothing: there, of its length, and Parquet at both of its ends.

A step of a run reads what it needs. A file that no step read today would be found by whoever asks next, after the run
has said that all is well.
"""

from pathlib import Path

import pyarrow as pa

from retail_assets.core.errors import RetailError
from retail_assets.resources.damage import DOCTOR
from retail_assets.resources.lake import Lake

MAGIC = b"PAR1"
SHOWN = 3


class DamagedGold(RetailError):
    """Files of gold are missing, or are not what was written."""


def refuse_damaged_gold(lake: Lake) -> None:
    """Raises DamagedGold that names files of the newest versions of gold, and DamagedTable for a log.

    A lake that is no local folder is left to its store. Rows are not read: that is what `retail doctor` does.
    """
    found = [f"gold/{name}: {why}" for name in lake.tables("gold") for why in _damaged(lake, name)]
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise DamagedGold(f"gold is damaged: {'; '.join(found[:SHOWN])}{more}", where=lake.uri, todo=DOCTOR)


def _damaged(lake: Lake, name: str) -> list[str]:
    actions = pa.table(lake.open("gold", name).get_add_actions(flatten=True))
    folder = Path(lake.table_uri("gold", name))
    pairs = zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True)
    return [f"{path} {why}" for path, size in pairs if (why := _judged(folder / path, size))]


def _judged(file: Path, size: int) -> str | None:
    try:
        with file.open("rb") as opened:
            begins = opened.read(len(MAGIC))
            length = opened.seek(0, 2)
            opened.seek(max(0, length - len(MAGIC)))
            ends = opened.read()
    except FileNotFoundError:
        return "is missing"
    if length != size:
        return f"has {length:,} bytes, the log says {size:,}"
    return None if begins == ends == MAGIC else "is no Parquet file any more"
