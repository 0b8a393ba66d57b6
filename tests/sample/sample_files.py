"""Reads the landing files of a simulated retailer back, independently of the package's own readers."""

import csv
import io
import re
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from retail_assets.resources.environments import Home

COLUMNS = [
    "store_id", "receipt_id", "line_no", "sold_at", "sku", "quantity", "unit_price", "list_price", "promo_code",
    "customer_id", "payment_id", "currency",
]  # fmt: skip
STAMP = re.compile(r"_d(\d{8}T\d{6}Z)\.\w+$")


def tree(root: Path) -> dict[str, bytes]:
    """Every file below `root` with its bytes."""
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def truth(home: Home, name: str) -> pd.DataFrame:
    """A table of truth/."""
    return pd.read_parquet(home.truth / f"{name}.parquet")


def sql(query: str) -> pd.DataFrame:
    """The rows of a DuckDB query."""
    return duckdb.sql(query).df()


def faulty_files(home: Home) -> set[str]:
    """Files with any planted fault except a late delivery or a changed header, which leave the rows right."""
    faults = truth(home, "faults")
    harmless = faults["kind"].isin(["late_file", "renamed_column", "new_column"])
    partial = faults.loc[faults["kind"] == "duplicate_extra_rows", "detail"].str.extract(r"rows of (\S+) and")[0]
    # A second delivery holds all rows, its first one only a part of them.
    spoiled = faults.loc[~harmless & (faults["kind"] != "duplicate_extra_rows"), "file"]
    return set(spoiled) | set(partial)


def pos_rows(path: Path) -> list[list[str]]:
    """The fields of every data row of one POS file, the first twelve columns."""
    mark = ";" if path.name.startswith("pos_DE") else ","
    return [row[:12] for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8")), delimiter=mark)][1:]


def number(text: str) -> float:
    """A number with decimal point or decimal comma."""
    return float(text.replace(",", "."))


def clean_pos(home: Home) -> pd.DataFrame:
    """All POS lines of files without faults, numbers parsed, with the business date of the file name."""
    skip, rows = faulty_files(home), []
    for path in sorted((home.landing / "pos").rglob("*.csv")):
        if str(path.relative_to(home.landing)) not in skip:
            day = path.name.split("_")[2]
            rows += [[*row, day] for row in pos_rows(path)]
    frame = pd.DataFrame(rows, columns=[*COLUMNS, "business_date"])
    for column in ("quantity", "unit_price", "list_price"):
        frame[column] = frame[column].map(number)
    frame["business_date"] = pd.to_datetime(frame["business_date"])
    return frame


def csv_table(home: Home, pattern: str, **options: Any) -> pd.DataFrame:
    """All rows of the files below landing/ that match."""
    return pd.concat([pd.read_csv(p, **options) for p in sorted(home.landing.glob(pattern))], ignore_index=True)
