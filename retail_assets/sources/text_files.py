"""Blocks of CSV and JSON lines into slices: rows numbered by their first line, cut and unreadable ones marked."""

import json
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.sources.csv_lines import Offsets, Parsed, parse_records
from retail_assets.sources.headers import Header
from retail_assets.sources.lines import JSON_LIMIT, LINE_LIMIT, Block, blank_lines, line_array, text_of
from retail_assets.sources.names import FILE, LINE, PROBLEM, RAW
from retail_assets.sources.raw import RawFile, Slice
from retail_assets.sources.records import first_line_of

Blocks = Sequence[tuple[RawFile, Block]]
LastLines = dict[tuple[int, int], bool]
REPEATED_HEADER = "repeated_header"
SHORT_LINE = re.compile(r"field_count: (\d+) fields instead of (\d+)")


def csv_slice(blocks: Blocks, header: Header) -> Slice:
    """The records of `blocks`, all below the same header."""
    feed, names, layout = blocks[0][0].feed, header.names, dict.fromkeys(header.names, "VARCHAR")
    layouts = {file.index: layout for file, _ in blocks}
    data, offsets, rows, read = _numbered(blocks)
    parsed = parse_records(data, offsets, names, feed.dialect)
    if parsed.problems is not None:
        rows = rows.take(pa.array(parsed.rows))
    problems = _csv_problems(rows, _with_headers(parsed, header), blocks, feed.dialect.ends_with_newline)
    if header.problem is not None:
        problems = pa.array([header.problem], pa.string()).take(pa.array(np.zeros(rows.num_rows, np.int32)))
    table = pa.table([*rows.columns, problems, *parsed.columns.columns], names=[FILE, LINE, RAW, PROBLEM, *names])
    return Slice(feed, layout, table, read, layouts, told={file: header.told() for file in layouts})


def json_slice(blocks: Blocks) -> Slice:
    """The lines of `blocks`, each one JSON object, as text: DuckDB parses them."""
    _, _, rows, read = _numbered(blocks)
    known = _known_problems(blocks)
    cut = [key for key, is_cut in _last_lines(blocks).items() if is_cut and key not in known]
    longest = pc.max(pc.binary_length(rows[RAW])).as_py() or 0
    problems = pa.nulls(rows.num_rows, pa.string())
    if known or cut or longest > JSON_LIMIT:
        found: list[str | None] = [None] * rows.num_rows
        for i, what in zip(_positions(rows, list(known)), known.values(), strict=True):
            if i >= 0:
                found[i] = what
        for i in _positions(rows, cut):
            if i >= 0:
                found[i] = _cut_json(rows[RAW][i].as_py())
        problems = _with_long_lines(rows, found, JSON_LIMIT)
        rows = rows.set_column(2, RAW, _without_long_lines(rows[RAW]))
    return Slice(blocks[0][0].feed, {}, rows.append_column(PROBLEM, problems), read, parse_json=True)


def _without_long_lines(raw: pa.ChunkedArray) -> pa.ChunkedArray:
    """`raw`, of whose refused lines a person sees no more than of one of CSV."""
    long = pc.greater(pc.binary_length(raw), JSON_LIMIT + 1)
    if not pc.any(long).as_py():
        return raw
    shown = pa.array([text[:LINE_LIMIT] for text in raw.filter(long).to_pylist()], pa.string())
    return pa.chunked_array([pc.replace_with_mask(raw.combine_chunks(), long.combine_chunks(), shown)])


def _numbered(blocks: Blocks) -> tuple[bytes, Offsets, pa.Table, dict[int, int]]:
    """The text of `blocks` without blank lines, where its records begin and end, the records with file index and
    number of their first line, and the records per file.
    """
    only = blocks[0][1]
    data = only.data if len(blocks) == 1 and only.start == 0 else b"".join(block.body for _, block in blocks)
    lines, offsets = line_array(data)
    ends = np.searchsorted(offsets, np.cumsum([len(block.body) for _, block in blocks]))
    counts = np.diff(ends, prepend=0)
    which = np.repeat(np.arange(len(blocks)), counts)
    first = np.array([block.first_line for _, block in blocks]) - (ends - counts)
    number = (np.arange(len(lines)) + first[which]).astype(np.int32)
    kept = ~blank_lines(data, offsets)
    if any(len(block.inner) for _, block in blocks):
        begins = np.ones(len(lines), np.bool_)
        begins[np.concatenate([block.inner - n for (_, block), n in zip(blocks, first, strict=True)])] = False
        which, number, kept = which[begins], number[begins], kept[begins]
        offsets = offsets[np.append(begins, True)]
        lines = pa.StringArray.from_buffers(len(number), pa.py_buffer(offsets), pa.py_buffer(data))
    index = np.array([file.index for file, _ in blocks], np.int32)[which]
    table = pa.table([pa.array(index), pa.array(number), lines], names=[FILE, LINE, RAW])
    if not kept.all():
        table, which = table.filter(pa.array(kept)).combine_chunks(), which[kept]
        data, offsets = text_of(table[RAW].chunk(0)) if table.num_rows else (b"", np.zeros(1, np.int32))
    found = np.bincount(which, minlength=len(blocks))
    return data, offsets, table, {file.index: int(n) for (file, _), n in zip(blocks, found, strict=True)}


def _last_lines(blocks: Blocks) -> LastLines:
    """(file, number of the last record of its block) -> whether that record has no line end."""
    return {(f.index, first_line_of(block, block.last_line)): block.cut for f, block in blocks}


def _known_problems(blocks: Blocks) -> dict[tuple[int, int], str]:
    return {
        (file.index, first_line_of(block, line)): what
        for file, block in blocks
        for line, what in reversed(block.problems.items())
    }


def _positions(rows: pa.Table, keys: Sequence[tuple[int, int]]) -> list[int]:
    """Where in `rows` each of `keys`, which are files and numbers of lines, is; -1 for one that is no row."""
    if not keys or not rows.num_rows:
        return [-1] * len(keys)
    there = (rows[FILE].to_numpy().astype(np.int64) << 32) | rows[LINE].to_numpy()
    order = np.argsort(there, kind="stable")
    wanted = np.array([(file << 32) | line for file, line in keys], np.int64)
    at = order[np.minimum(np.searchsorted(there, wanted, sorter=order), len(order) - 1)]
    return np.where(there[at] == wanted, at, -1).tolist()


def _csv_problems(rows: pa.Table, parsed: list[str | None] | None, blocks: Blocks, needs_end: bool) -> pa.Array:
    known = _known_problems(blocks)
    cut = needs_end and any(block.cut for _, block in blocks)
    longest = pc.max(pc.binary_length(rows[RAW])).as_py() or 0
    if parsed is None and not known and not cut and longest <= LINE_LIMIT:
        return pa.nulls(rows.num_rows, pa.string())
    last = {key: is_cut for key, is_cut in _last_lines(blocks).items() if key not in known}
    problems = parsed or [None] * rows.num_rows
    for i, what in zip(_positions(rows, list(known)), known.values(), strict=True):
        if i >= 0:
            problems[i] = what
    for i, is_cut in zip(_positions(rows, list(last)), last.values(), strict=True):
        if i >= 0 and (_is_short(problems[i]) or (needs_end and is_cut)):
            problems[i] = f"truncated: the last line is cut ({problems[i] or 'it has no line end'})"
    return _with_long_lines(rows, problems, LINE_LIMIT)


def _with_long_lines(rows: pa.Table, problems: list[str | None], limit: int) -> pa.Array:
    lengths = pc.binary_length(rows[RAW]).to_numpy()
    for i in np.flatnonzero(lengths > limit + 1).tolist():
        problems[i] = f"line_too_long: {lengths[i] - 1} bytes or more, at most {limit} are allowed"
    return pa.array(problems, pa.string())


def _with_headers(parsed: Parsed, header: Header) -> list[str | None] | None:
    """What is wrong with each record, which may be the header once more, as where files were put together."""
    named = next((at for at, heading in enumerate(header.headings) if heading), None)
    if named is None:
        return parsed.problems
    like = pc.fill_null(pc.equal(parsed.columns.column(named), header.headings[named]), False)
    found = np.flatnonzero(like.to_numpy())
    for column, heading in zip(parsed.columns.columns if len(found) else (), header.headings, strict=False):
        cells = pc.utf8_trim_whitespace(pc.fill_null(column.take(pa.array(found)), ""))
        found = found[pc.equal(cells, heading).to_numpy()]
    if not len(found):
        return parsed.problems
    problems = parsed.problems or [None] * parsed.columns.num_rows
    for row in found.tolist():
        problems[row] = problems[row] or f"{REPEATED_HEADER}: the line is the header once more"
    return problems


def _is_short(problem: str | None) -> bool:
    found = SHORT_LINE.match(problem or "")
    return found is not None and int(found[1]) < int(found[2])


def _cut_json(line: str) -> str | None:
    try:
        json.loads(line)
    except ValueError as error:
        return f"truncated: the last line is cut ({error})"
    except RecursionError:
        return "truncated: the last line is cut, or its values are nested too deeply"
    return None
