"""What can be wrong with the formats of dates and times that a feed states."""

import re
from collections.abc import Iterator
from functools import cache

import duckdb

from retail_assets.core.settings import Location
from retail_assets.resources import duck
from retail_assets.sources.contract import Feed
from retail_assets.sources.staging import literal

DIRECTIVE = re.compile("%-?.")
LITERAL_OFFSET = re.compile(r"(?P<zero>(?:Z|UTC|GMT|[-+]00(?::?00)?))$|[-+][0-9]{2}(?::?[0-9]{2})?$")
TRIED = ("2023-11-28 14:05:07", "2024-02-09 00:00:00")


def format_problems(at: Location, feed: Feed) -> Iterator[tuple[Location, str]]:
    """(place, problem) for each format of the dialect of `feed` that reads no date, or contradicts `timestamps`."""
    for name in ("date", "timestamp"):
        text = getattr(feed.dialect, name)
        if text is None:
            continue
        problem = _unreadable(text) or (_contradiction(text, feed.timestamps) if name == "timestamp" else None)
        if problem:
            yield (*at, name), f"dialect.{name} {text!r} {problem}"


@cache
def _unreadable(text: str) -> str | None:
    if "%Z" in text:
        return "reads a zone by its abbreviation, which several zones share: write offsets, and read them by %z"
    with duck.connect() as connection:
        for tried in TRIED:
            read = f"try_strptime(strftime(TIMESTAMP '{tried}', {literal(text)}), {literal(text)})"
            try:
                found = connection.execute(f"SELECT CAST(CAST({read} AS TIMESTAMP) AS DATE)").fetchone()
            except duckdb.Error as error:
                return f"is no format of strptime: {str(error).splitlines()[0].rpartition(': ')[2]}"
            if found is None or str(found[0]) != tried[:10]:
                return "gives no day: it needs a year, a month and a day, as in %d.%m.%Y"
    return None


def _contradiction(text: str, timestamps: str) -> str | None:
    if "%z" in text:
        return None if timestamps == "offset" else "has an offset: say `timestamps: offset`"
    written = LITERAL_OFFSET.search(DIRECTIVE.sub("\0", text).rstrip())
    if written and written["zero"]:
        return None if timestamps == "utc" else f"ends in {written[0]}, so its times are UTC: say `timestamps: utc`"
    if written:
        return f"ends in the offset {written[0]}: read it by %z, and say `timestamps: offset`"
    return "has no offset (%z): say `timestamps: utc` or `local`" if timestamps == "offset" else None
