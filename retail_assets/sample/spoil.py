"""Spoils single rows of a file: truncated lines, wrong types, unknown SKUs and shops."""

import re

import numpy as np

MAIN_KINDS = ("truncated_line", "wrong_type", "unknown_sku", "unknown_store")
UNKNOWN_SKU, UNKNOWN_STORE = b"SKU-99999", b"XX-999"
ROWS = {"truncated_line": 1, "wrong_type": 3, "unknown_sku": 2, "unknown_store": 2}
# Column positions of a CSV source: shop, SKU, whole number, price (None: no such column).
COLUMNS: dict[str, tuple[int | None, int, int | None, int | None]] = {
    "pos_lines": (0, 4, 5, 6),
    "stock_levels": (0, 1, 3, None),
    "competitor_prices": (None, 2, None, 4),
}


def spoil_rows(rng: np.random.Generator, kind: str, payload: bytes, source: str) -> tuple[bytes, list[tuple[int, str]]]:
    """The spoiled bytes, and (physical line, detail) of each spoiled row."""
    lines = payload.splitlines(keepends=True)
    if kind == "truncated_line":
        cut = lines[-1][: int(len(lines[-1]) * 0.55)]
        return b"".join(lines[:-1]) + cut, [(len(lines), f"line ends after {len(cut)} bytes")]
    header = 0 if source == "click_events" else 1
    candidates = np.arange(header, len(lines))
    if source == "click_events" and kind == "unknown_sku":
        candidates = np.array([i for i in candidates if b'"sku":null' not in lines[i]])
    chosen = np.sort(rng.choice(candidates, min(ROWS[kind], candidates.size), replace=False))
    marks = []
    for turn, index in enumerate(chosen.tolist()):
        spoil = _spoil_click if source == "click_events" else _spoil_csv
        lines[index], detail = spoil(kind, lines[index], source, turn)
        marks.append((index + 1, detail))
    return b"".join(lines), marks


def _spoil_click(kind: str, line: bytes, source: str, turn: int) -> tuple[bytes, str]:
    if kind == "unknown_sku":
        return re.sub(rb'"sku":"[^"]*"', b'"sku":"' + UNKNOWN_SKU + b'"', line), f"sku={UNKNOWN_SKU.decode()!r}"
    return re.sub(rb'"occurred_at":"[^"]*"', b'"occurred_at":"yesterday"', line), "occurred_at='yesterday'"


def _spoil_csv(kind: str, line: bytes, source: str, turn: int) -> tuple[bytes, str]:
    """Replaces one field; the columns before the first quoted one are split safely."""
    delimiter = b";" if line.count(b";") > line.count(b",") else b","
    shop, sku, number, price = COLUMNS[source]
    column, value = {
        "unknown_sku": (sku, UNKNOWN_SKU),
        "unknown_store": (shop, UNKNOWN_STORE),
        "wrong_type": (number, b"abc") if number is not None and (price is None or turn < 2) else (price, b"12,x"),
    }[kind]
    if column is None:
        raise ValueError(f"{source} has no column for {kind}")
    fields = line.split(delimiter, column + 1)
    written = b'"' + value + b'"' if delimiter in value else value
    ending = b"\n" if column == len(fields) - 1 else b""
    fields[column] = written + ending
    return delimiter.join(fields), f"column {column + 1} is {value.decode()!r}"
