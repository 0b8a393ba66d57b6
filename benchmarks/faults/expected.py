"""What becomes of each kind of hostile landing file: all rows load, there are none, or something of it is refused."""

ALL_ROWS = frozenset(
    (
        "csv: utf-7", "csv: BOM", "csv: BOM twice", "csv: Windows line ends", "csv: mixed line ends",
        "csv: two carriage returns", "csv: column _raw", "csv: column _pos", "csv: column _file",
        "csv: column _problem", "csv: column _line", "csv: column _key", "csv: column _ok", "csv: column load_id",
        "csv: column business_date", "csv: column file_date", "csv: column without a name",
        "csv: names of white space", "csv: columns in another order", "csv: thousands of columns",
        "csv: control characters in the header", "csv: mark of ours in a name", "csv: quotes in a name",
        "csv: line end in a name", "csv: name that looks like SQL", "csv: odd quotes in every line",
        "csv: escape sequences", "csv: formula", "csv: field over 131,072 characters",
        "csv: letters that turn the direction", "jsonl: deep below a good key", "jsonl: 999 deep below a good key",
        "jsonl: number 999999999999 of 400", "jsonl: number 111111111111 of 5000",
        "jsonl: number 0.0000000000 of 403", "jsonl: number NaN of 3", "jsonl: number Infinity of 8", "jsonl: key 0",
        "jsonl: key 1", "jsonl: key 2", "jsonl: key 3", "jsonl: key 4", "jsonl: key 5", "jsonl: key 6",
        "jsonl: key 7", "jsonl: key 8", "jsonl: key 9", "jsonl: key 10", "jsonl: key 11", "jsonl: key 12",
        "jsonl: key 13", "jsonl: truth for a text", "jsonl: number for a text", "jsonl: thousands of keys",
        "jsonl: BOM", "jsonl: Windows line ends", "jsonl: other keys in every line", "jsonl: line of a megabyte",
        "json: utf-16-le", "json: utf-32-le", "json: BOM", "json: array after 5,000 spaces", "parquet: column '_raw'",
        "parquet: column '_pos'", "parquet: column '_file'", "parquet: column '_problem'", "parquet: column '_line'",
        "parquet: column '\\x1fpos'", "parquet: column '\\x1fraw'", "parquet: column 'a\\x00b'",
        "parquet: column 'a\"b'", "parquet: column 'a\\nb'", "parquet: column 'é'", "parquet: column 'kkkkkkkkkkkk'",
        "parquet: column without a name", "parquet: other order", "parquet: decimal256", "parquet: amount as text",
        "parquet: amount as half a float", "parquet: dictionary", "parquet: large text", "parquet: text view",
        "parquet: bytes for text", "parquet: fixed bytes", "parquet: numbers for text", "parquet: text with NULs",
        "parquet: day for an instant", "parquet: 64-bit day", "parquet: text for an instant",
        "parquet: instant with a zone", "parquet: seconds", "parquet: records in records",
        "parquet: truth as a number", "parquet: one text in every row", "parquet: one text in every row, written out",
        "parquet: many equal rows", "parquet: thousands of columns", "parquet: many row groups", "name: latin-1",
        "name: bytes", "name: line end", "name: escape sequences", "name: quotes", "name: SQL", "name: brackets",
        "name: percent signs", "name: spaces", "name: hyphen first", "name: tilde first", "name: 255 bytes",
        "name: backslash", "name: sign of another plane", "name: turned direction", "name: two stamps",
        "time: 8589934592", "time: 1099511627776",
    )
)  # fmt: skip
"""Odd, and good: not one row of such a file is in quarantine."""
NO_ROWS = frozenset(
    (
        "csv: vertical tabs and form feeds", "csv: Unicode line separators", "csv: empty", "csv: one line end",
        "csv: only empty lines", "csv: cut after the header", "csv: only line ends", "csv: only carriage returns",
        "jsonl: empty", "json: empty array", "json: empty", "parquet: no column", "parquet: no row",
    )
)  # fmt: skip
"""Nothing is in such a file."""
EITHER = (
    "moving: ", "parquet: flipped ", "csv: one bit flipped", "parquet: one long text", "place: unreadable file",
    "place: folder of nobody", "place: link to a folder out of landing", "place: link to the folder above",
)  # fmt: skip
"""Beginnings of kinds of which it depends: on the moment, the bit, the size, the user, or what the link leads to."""
