"""Finds a decision: by its id, or the newest of a store and SKU at an instant."""

from datetime import UTC, date, datetime, timedelta

from retail_assets.provenance.errors import UnknownDecision
from retail_assets.provenance.snapshots import Row, Snapshots
from retail_assets.releases.refused import explained

TABLE = ("decisions", "pricing")
ANSWERED = "mode <> 'shadow'"
OLDEST_INPUTS = timedelta(days=10)  # a service answers from inputs that are at most this old


def by_id(reader: Snapshots, decision_id: str) -> Row:
    """The decision row of this id; raises UnknownDecision.

    The id names the time of its making, and so the few partitions it can lie in; only then are all of them searched.
    """
    version = _version(reader)
    day = day_of(decision_id)
    windows = [] if day is None else [(day, day), (day - OLDEST_INPUTS, day + timedelta(days=1))]
    for first, last in [*windows, (None, None)]:
        rows = reader.rows(*TABLE, version, "decision_id = ?", [decision_id], {"business_date": (first, last)})
        if rows:
            return rows[0]
    raise UnknownDecision(
        f"there is no price decision {decision_id!r}",
        where=reader.lake.table_uri(*TABLE),
        todo="decisions of services reach the lake within seconds; look for one with --store and --sku",
    )


def by_item(reader: Snapshots, store_id: str, sku: str, at: datetime | None = None) -> Row:
    """The newest decision of a store and SKU, made by `at` if given; raises UnknownDecision, saying what is there.

    What a shadow version decided reached nobody and is found by its id only.
    """
    version = _version(reader)
    instant = at or datetime.max.replace(tzinfo=UTC)
    newest = min(reader.newest_day(*TABLE, version) or date.max, instant.date() - timedelta(days=1))
    for first in (newest - OLDEST_INPUTS, None):
        rows = reader.rows(
            *TABLE, version,
            f"{ANSWERED} and store_id = ? and sku = ? and \"at\" <= ? order by \"at\" desc, decision_id desc limit 1",
            [store_id, sku, instant], {"business_date": (first, newest + timedelta(days=1))},
        )  # fmt: skip
        if rows:
            return rows[0]
    raise UnknownDecision(
        f"no price of {sku} in {store_id} was decided{'' if at is None else f' by {at.isoformat()}'}",
        where=reader.lake.table_uri(*TABLE),
        todo=_what_is_there(reader, version, store_id, sku),
    )


def corrected_by(reader: Snapshots, row: Row) -> str | None:
    """The id of the newest row that corrects `row`, None where it stands."""
    day = row["business_date"]
    rows = reader.rows(
        *TABLE, _version(reader), 'store_id = ? and sku = ? order by "at" desc', [row["store_id"], row["sku"]],
        {"business_date": (day, day)},
    )  # fmt: skip
    return next((r["decision_id"] for r in rows if r.get("corrects") == row["decision_id"]), None)


def day_of(decision_id: str) -> date | None:
    """The UTC day that a UUID of version 7 was made for, None for any other text."""
    digits = decision_id.replace("-", "")[:12]
    try:
        return datetime.fromtimestamp(int(digits, 16) / 1000, UTC).date()
    except (ValueError, OverflowError, OSError):
        return None


def _version(reader: Snapshots) -> int:
    version = reader.newest(*TABLE)
    if version is None:
        none = UnknownDecision("no price was ever decided here", todo="`retail run` decides; check RETAIL_HOME")
        raise explained(reader.lake, "pricing", none)
    return version


def _what_is_there(reader: Snapshots, version: int, store_id: str, sku: str) -> str:
    found = reader.rows(
        *TABLE, version, "true", [store_id, sku, store_id, sku],
        select="bool_or(store_id = ?) as store, bool_or(sku = ?) as sku, "
        "min(\"at\") filter (store_id = ? and sku = ?) as first",
    )[0]  # fmt: skip
    if found["first"] is not None:
        return f"its first decision is of {found['first'].isoformat()}"
    unknown = [name for name, known in ((store_id, found["store"]), (sku, found["sku"])) if not known]
    return f"never decided for: {', '.join(unknown)}" if unknown else "the store does not list this SKU"
