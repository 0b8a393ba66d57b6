"""Blocks of CSV and JSON lines into slices: rows numbered by physical line, cut and unreadable lines marked."""

import json
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.sources.csv_lines import parse_lines
from retail_assets.sources.lines import LINE_LIMIT, Block, blank_lines, line_array, text_of
from retail_assets.sources.raw import RawFile, Slice

Blocks = Sequence[tuple[RawFile, Block]]
LastLines = dict[tuple[int, int], bool]
SHORT_LINE = re.compile(r"field_count: (\d+) fields instead of (\d+)")


def csv_slice(blocks: Blocks, names: tuple[str, ...]) -> Slice:
    """The lines of `blocks` (headers taken off), all with the columns `names`."""
    feed, layout = blocks[0][0].feed, dict.fromkeys(names, "VARCHAR")
    layouts = {file.index: layout for file, _ in blocks}
    data, rows, read = _numbered(blocks)
    parsed = parse_lines(data, names, feed.dialect, rows.num_rows)
    if parsed.problems is not None:
        rows = rows.take(pa.array(parsed.rows))
    problems = _csv_problems(rows, parsed.problems, blocks, feed.dialect.ends_with_newline)
    table = pa.table(
        [*rows.columns, problems, *parsed.columns.columns], names=["_file", "_line", "_raw", "_problem", *names]
    )
    return Slice(feed, layout, table, read, layouts)


def json_slice(blocks: Blocks) -> Slice:
    """The lines of `blocks`, each one JSON object, as text: DuckDB parses them."""
    _, rows, read = _numbered(blocks)
    known = _known_problems(blocks)
    cut = {line for line, is_cut in _last_lines(blocks).items() if is_cut}
    problems = pa.nulls(rows.num_rows, pa.string())
    if known or cut:
        keys = _keys(rows)
        problems = pa.array([known.get(key) for key in keys], pa.string())
        for i in (i for i, key in enumerate(keys) if key in cut and key not in known):
            what = _cut_json(rows["_raw"][i].as_py())
            problems = pa.concat_arrays([problems[:i], pa.array([what], pa.string()), problems[i + 1 :]])
    return Slice(blocks[0][0].feed, {}, rows.append_column("_problem", problems), read, parse_json=True)


def _numbered(blocks: Blocks) -> tuple[bytes, pa.Table, dict[int, int]]:
    """The text of `blocks` without blank lines, its lines with file index and line number, and the rows per file."""
    only = blocks[0][1]
    data = only.data if len(blocks) == 1 and only.start == 0 else b"".join(block.body for _, block in blocks)
    lines, offsets = line_array(data)
    ends = np.searchsorted(offsets, np.cumsum([len(block.body) for _, block in blocks]))
    counts = np.diff(ends, prepend=0)
    index = np.repeat(np.array([file.index for file, _ in blocks], np.int32), counts)
    first = np.array([block.first_line for _, block in blocks]) - (ends - counts)
    number = (np.arange(len(lines)) + np.repeat(first, counts)).astype(np.int32)
    table = pa.table([pa.array(index), pa.array(number), lines], names=["_file", "_line", "_raw"])
    blank = blank_lines(data, offsets)
    if blank.any():
        table = table.filter(pa.array(~blank)).combine_chunks()
        data = text_of(table["_raw"].chunk(0))[0] if table.num_rows else b""
        counts = counts - np.bincount(np.searchsorted(ends, np.flatnonzero(blank), "right"), minlength=len(blocks))
    return data, table, {file.index: int(n) for (file, _), n in zip(blocks, counts, strict=True)}


def _last_lines(blocks: Blocks) -> LastLines:
    """(file, number of the last line of its block) -> whether that line has no line end."""
    return {(f.index, block.last_line): block.cut for f, block in blocks}


def _known_problems(blocks: Blocks) -> dict[tuple[int, int], str]:
    return {(file.index, line): what for file, block in blocks for line, what in block.problems.items()}


def _keys(rows: pa.Table) -> list[tuple[int, int]]:
    return list(zip(rows["_file"].to_pylist(), rows["_line"].to_pylist(), strict=True))


def _csv_problems(rows: pa.Table, parsed: list[str | None] | None, blocks: Blocks, needs_end: bool) -> pa.Array:
    known = _known_problems(blocks)
    cut = needs_end and any(block.cut for _, block in blocks)
    longest = pc.max(pc.binary_length(rows["_raw"])).as_py() or 0
    if parsed is None and not known and not cut and longest <= LINE_LIMIT:
        return pa.nulls(rows.num_rows, pa.string())
    last = _last_lines(blocks)
    problems = parsed or [None] * rows.num_rows
    for i, key in enumerate(_keys(rows)):
        if key in known:
            problems[i] = known[key]
        elif key in last and (_is_short(problems[i]) or (needs_end and last[key])):
            problems[i] = f"truncated: the last line is cut ({problems[i] or 'it has no line end'})"
    lengths = pc.binary_length(rows["_raw"]).to_numpy()
    for i in np.flatnonzero(lengths > LINE_LIMIT).tolist():
        problems[i] = f"line_too_long: {lengths[i]} bytes or more, at most {LINE_LIMIT} are allowed"
    return pa.array(problems, pa.string())


def _is_short(problem: str | None) -> bool:
    found = SHORT_LINE.match(problem or "")
    return found is not None and int(found[1]) < int(found[2])


def _cut_json(line: str) -> str | None:
    try:
        json.loads(line)
    except ValueError as error:
        return f"truncated: the last line is cut ({error})"
    return None
