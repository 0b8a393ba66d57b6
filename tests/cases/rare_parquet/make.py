from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def columns(receipt: str, **changed: Any) -> dict[str, Any]:
    plain = {
        "shop": pa.array(["S1"]), "receipt": pa.array([receipt]), "time": pa.array([datetime(2024, 3, 1, 10)]),  # noqa: DTZ001
        "item": pa.array(["A1"]), "qty": pa.array([1]), "price": pa.array([1.5]),
    }  # fmt: skip
    return plain | changed


pq.write_table(
    pa.table(columns("decimal256", price=pa.array([Decimal("1.5")], pa.decimal256(50, 10)))), "sales/1.parquet"
)
pq.write_table(pa.table(columns("half", qty=pa.array([1.0], pa.float16()))), "sales/2.parquet")
pq.write_table(pa.table(columns("view", shop=pa.array(["S1"], pa.string_view()))), "sales/3.parquet")
pq.write_table(pa.table(columns("nameless", **{"": pa.array([7])})), "sales/4.parquet")
pq.write_table(pa.table(columns("large") | {"receipt": pa.array(["large"], pa.large_string())}), "sales/5.parquet")
twice = columns("twice")
pq.write_table(pa.Table.from_arrays([*twice.values(), pa.array([9.9])], names=[*twice, "price"]), "sales/twice.parquet")
pq.write_table(pa.table(columns("damaged")), "sales/damaged.parquet")
content = bytearray(Path("sales/damaged.parquet").read_bytes())
content[4:60] = b"\xff" * 56
Path("sales/damaged.parquet").write_bytes(content)
