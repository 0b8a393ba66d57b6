"""One line of JSON, as it is and packed."""

import gzip
import io
import zipfile
from pathlib import Path

LINE = '{"shop":"S1","receipt":"1","time":"2024-03-01 10:00:00","item":"A1","qty":1,"price":1.5}\n'
zipped = io.BytesIO()
with zipfile.ZipFile(zipped, "w") as archive:
    archive.writestr("sales.jsonl", LINE)
for name, content in {
    "good": LINE.encode(),
    "gzip": gzip.compress(LINE.encode()),
    "zip": zipped.getvalue(),
    "utf16": LINE.encode("utf-16"),
    "excel": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0\n" + bytes(20),
    "parquet": b"PAR1\x15\x04\n\x15",
}.items():
    Path(f"sales/{name}.jsonl").write_bytes(content)
