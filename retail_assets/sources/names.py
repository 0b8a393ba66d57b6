"""Names of columns. Any name that prints is a caller's; our own begin with a sign that none of theirs can hold.

A name loses the signs that do not print (a line end in a heading, a zero width space), in the files and in the mapping.
"""

from collections.abc import Callable, Collection, Sequence

MARK = "\x1f"  # does not print, so that no name of a caller has it


def own(name: str) -> str:
    """`name` in the space that is ours."""
    return MARK + name


POS, FILE, LINE, RAW, PROBLEM, KEY = map(own, ("pos", "file", "line", "raw", "problem", "key"))
OF_ROW = {"_line": "the number of the record", "_raw": "the row as it came"}
OF_FILE = {
    "file_name": "the name of the file",
    "file_date": "the day in the name of the file",
    "file_delivered_at": "the delivery of the file",
    "load_id": "the load of the file",
}
OFFERED = OF_ROW | OF_FILE
"""What SQL of a feed may name beside the columns of its files, where none of these is called like it."""


def printed(name: str) -> str:
    """`name` without what does not print."""
    return name if name.isprintable() else "".join(filter(str.isprintable, name))


def cleaned(name: str) -> str:
    """A heading as a name: what prints of it, without space around it."""
    return printed(name).strip()


def unique_names(
    cells: Sequence[str], last: Collection[str] = (), clean: Callable[[str], str] = cleaned
) -> tuple[str, ...]:
    """Printable column names without repetition (DuckDB compares names without case): a second `a` is `a_2`.

    Those in `last`, repeated ones and those without a name get what the others leave.
    """
    names: dict[int, str] = {}
    taken: set[str] = set()
    bases = [clean(cell) for cell in cells]
    given = {base.lower(): i for i, base in reversed(list(enumerate(bases))) if base}
    waits = [(base in last, given.get(base.lower()) != i) for i, base in enumerate(bases)]
    for i in sorted(range(len(bases)), key=waits.__getitem__):
        base = bases[i] or f"column_{i + 1}"
        name, n = base, 1
        while name.lower() in taken:
            n += 1
            name = f"{base}_{n}"
        taken.add(name.lower())
        names[i] = name
    return tuple(names[i] for i in range(len(cells)))
