"""The forecast behind a base demand: the features it was made from, and what a second forecast of them says of it."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from retail_assets.provenance.snapshots import Row, Snapshots

BASE = "feat_store_product_daily"
KEYS = ("store_id", "sku")
NO_FEATURES = (*KEYS, "business_date", "event_timestamp", "created_timestamp")
ORIGIN_DAYS = 7  # a store whose newest file is late is forecast from its newest day in this many
DECIDED_AFTER = timedelta(hours=12)  # feature_repo: when, after the end of its day, a feature must have been known
TIME_TO_LIVE = timedelta(days=7)  # feature_repo: the age at which a value is not believed any more
LAST_DIGITS = 1e-9  # of a forecast: how far vectorised arithmetic may be from itself in another order


class ForecastFeatures(BaseModel):
    """What a forecaster was given for one store-SKU: values by gold table, each with the day it is of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    day: date
    tables: dict[str, dict[str, Any]]
    days: dict[str, date | None]
    versions: dict[str, int]

    def values(self) -> dict[str, Any]:
        """All values by name."""
        return {name: value for table in self.tables.values() for name, value in table.items()}


class ForecastReplay(BaseModel):
    """The recorded forecast against the same version's forecast of now. `equal` None: it could not be made again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_version: str
    days: int
    recorded: float
    replayed: float | None
    equal: bool | None
    verdict: str


def read_features(
    reader: Snapshots, versions: Mapping[str, int], store_id: str, sku: str, origin: date
) -> ForecastFeatures | None:
    """The features as they were known when the forecast of `origin` was made; None where the SKU has none.

    `versions` are the gold tables that the forecast was made from. Raises VersionGone.
    """
    if BASE not in versions:
        return None
    key = {"store_id": store_id, "sku": sku}
    own = _own(reader, versions[BASE], key, origin)
    if own is None:
        return None
    day, instant = own["business_date"], own["event_timestamp"] + DECIDED_AFTER
    found = {
        name: own if name == BASE and own["created_timestamp"] <= instant
        else _known(reader, name, version, key, day, instant)
        for name, version in sorted(versions.items())
        if name.startswith("feat_")
    }  # fmt: skip
    return ForecastFeatures(
        day=day,
        tables={name: _features(row) for name, row in found.items()},
        days={name: row["business_date"] if row else None for name, row in found.items()},
        versions={name: versions[name] for name in found},
    )


def _own(reader: Snapshots, version: int, key: Mapping[str, str], origin: date) -> Row | None:
    """The row of the item on the newest day of its store."""

    def read(where: str, values: Sequence[Any], first: date, last: date, select: str | None = None) -> list[Row]:
        where, days = f"store_id = ? and business_date between ? and ?{where}", (first, last)
        asked = [key["store_id"], first, last, *values]
        return reader.rows("gold", BASE, version, where, asked, {"business_date": days}, select=select)

    of_sku = (" and sku = ?", [key["sku"]])
    if rows := read(*of_sku, origin, origin):
        return rows[0]
    first = origin - timedelta(days=ORIGIN_DAYS - 1)
    newest = read("", [], first, origin, "max(business_date) as newest")[0]["newest"]
    rows = [] if newest is None else read(*of_sku, newest, newest)
    return rows[0] if rows else None


def _known(
    reader: Snapshots, table: str, version: int, key: Mapping[str, str], day: date, instant: datetime
) -> Row | None:
    """The newest row of the key that had happened and had arrived at `instant`, unless it is too old to believe."""
    names = [name for name in KEYS if name in reader.columns("gold", table, version)]
    where = " and ".join([*(f"{name} = ?" for name in names), "business_date between ? and ?"])
    last = day + timedelta(days=1)
    for first in (day - timedelta(days=1), day - TIME_TO_LIVE - timedelta(days=1)):  # nearly always a row of `day`
        values = [*(key[name] for name in names), first, last]
        rows = reader.rows("gold", table, version, where, values, {"business_date": (first, last)})
        known = [row for row in rows if max(row["event_timestamp"], row["created_timestamp"]) <= instant]
        newest = max(known, key=lambda row: (row["event_timestamp"], row["created_timestamp"]), default=None)
        if newest is not None:
            return newest if newest["event_timestamp"] + TIME_TO_LIVE >= instant else None
    return None


def _features(row: Row | None) -> dict[str, Any]:
    return {name: value for name, value in (row or {}).items() if name not in NO_FEATURES}


def compared(version: str, rows: Sequence[Row], made: Sequence[Mapping[str, float]]) -> ForecastReplay:
    """`rows` as recorded against `made`, day by day and column by column."""
    recorded, replayed = (sum(row["mean"] for row in days) / len(days) for days in (rows, made))
    differing = [
        (row["target_date"], name, row[name], value)
        for row, again in zip(rows, made, strict=True)
        for name, value in again.items()
        if not abs(row[name] - value) <= LAST_DIGITS * max(abs(row[name]), 1.0)  # NaN is a difference
    ]
    if differing:
        day, name, was, value = differing[0]
        verdict = f"{name} of {day} was forecast as {was:.6f}, {version} makes {value:.6f} of the recorded features"
    else:
        verdict = f"{version} forecasts the same {len(rows)} days again from the recorded features"
    return ForecastReplay(
        model_version=version,
        days=len(rows),
        recorded=recorded,
        replayed=replayed,
        equal=not differing,
        verdict=verdict,
    )


def not_again(rows: Sequence[Row], why: str) -> ForecastReplay:
    """A forecast that cannot be made again, and why."""
    recorded = sum(row["mean"] for row in rows) / len(rows)
    version = rows[0]["model_version"]
    return ForecastReplay(
        model_version=version, days=len(rows), recorded=recorded, replayed=None, equal=None, verdict=why
    )
