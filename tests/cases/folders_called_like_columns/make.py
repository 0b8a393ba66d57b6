from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet

Path("title=x").mkdir()
Path("item=9").mkdir()
parquet.write_table(pa.table({"item": ["A1", "B2"], "title": ["soap", "tea"]}), "title=x/items.parquet")
Path("item=9/shelves.csv").write_text("item,shelf\nA1,top\n")
