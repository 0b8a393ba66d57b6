from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SERIES = [(till, item) for till in (1.0, 2.0) for item in (536365.0, 90.75)]
ROWS = [
    (till, item, date(2024, 1, 1) + timedelta(n), 3 + n % 5, 5 + n % 2 / 100)
    for till, item in SERIES
    for n in range(60)
]  # noqa: E501
pq.write_table(
    pa.table(dict(zip(("till", "item", "day", "units", "price"), zip(*ROWS, strict=True), strict=True))), "a.parquet"
)  # noqa: E501
Path("items.csv").write_text("item,group\n536365,x\n90.75,y\n")
