from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = {
    "shop": pa.array(["S1"] * 3), "receipt": pa.array([536365.0, 536366.0, 1e16]),
    "cust": pa.array([17850.0, None, 12346.0]), "time": pa.array([datetime(2024, 3, 1, 10)] * 3),  # noqa: DTZ001
    "item": pa.array(["A1"] * 3), "qty": pa.array([1] * 3), "price": pa.array([1.5] * 3),
}  # fmt: skip
pq.write_table(pa.table(COLUMNS), "sales/a.parquet")
