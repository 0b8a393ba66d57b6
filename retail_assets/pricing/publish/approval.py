"""What people do with batches: accept, reject or withdraw them, and release what the circuit breaker held back."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Literal

from retail_assets.pricing.publish.publication import (
    PUBLICATIONS,
    Publication,
    PublicationError,
    Status,
    is_correction,
    publication_rows,
    read_publications,
)
from retail_assets.pricing.publish.switch import Stops, stopped
from retail_assets.resources.lake import Lake

ATTEMPTS = 20
ALLOWED: Mapping[str, Mapping[str, Status]] = {
    "approve": {"pending": "published", "stopped": "published"},
    "reject": {"pending": "rejected", "stopped": "rejected", "withheld": "rejected", "published": "withdrawn"},
    "release": {"withheld": "published"},
}


def settle(
    lake: Lake, action: Literal["approve", "reject", "release"], batch_id: str, store_id: str | None, *, by: str,
    reason: str,
) -> list[Publication]:  # fmt: skip
    """A person accepts, rejects or releases a batch in a store, or in every store where that is possible.

    `approve` takes what is pending or was stopped, `release` what the breaker withheld, `reject` any of these and what
    is published, which is then withdrawn: the last good price counts again. Raises PublicationError when nothing of the
    batch waits for that, when price changes of the store are stopped, or when a newer batch is published already.
    """
    from deltalake import CommitProperties, write_deltalake
    from deltalake.exceptions import CommitFailedError

    if not by.strip():
        raise PublicationError("a decision about prices needs a person", todo="give --by")
    if action != "approve" and not reason.strip():
        raise PublicationError(f"to {action} a batch needs a reason", todo="give --reason")
    for _ in range(ATTEMPTS):
        if not lake.exists("ops", PUBLICATIONS):
            raise PublicationError("no batch of prices was decided yet", todo="run `retail run`")
        table = lake.open("ops", PUBLICATIONS)
        made = _answered(
            lake,
            read_publications(table.to_pyarrow_dataset().to_table(use_threads=False)),
            action,
            batch_id,
            store_id,
            by,
            reason,
        )
        try:
            write_deltalake(
                table,
                publication_rows(made),
                mode="append",
                schema_mode="merge",
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except CommitFailedError:  # somebody else answered in this moment: look again
            continue
        return made
    raise PublicationError(f"publications were written {ATTEMPTS} times while {batch_id} was being answered")


def _answered(
    lake: Lake, log: list[Publication], action: str, batch_id: str, store_id: str | None, by: str, reason: str
) -> list[Publication]:
    newest = {(row.batch_id, row.store_id): row for row in log}
    mine = [row for row in newest.values() if row.batch_id == batch_id and store_id in (None, row.store_id)]
    if not mine:
        where = f" in {store_id}" if store_id else ""
        raise PublicationError(f"there is no batch {batch_id!r}{where}", todo="see `retail prices pending`")
    rule = ALLOWED[action]
    waiting = [row for row in mine if row.status in rule]
    if not waiting:
        found = ", ".join(sorted({row.status for row in mine}))
        raise PublicationError(f"batch {batch_id} is {found}: there is nothing to {action}")
    stops = stopped(lake)
    made = [_follow(row, rule[row.status], stops, by, reason) for row in waiting]
    decided = {(row.batch_id, row.store_id): (row.business_date, row.at) for row in reversed(log)}
    for row in made:
        if row.status == "published":
            good = [r for r in newest.values() if r.status == "published" and not is_correction(r.batch_id)]
            _require_publishable(row, stops, good, decided)
    return made


def _follow(row: Publication, status: Status, stops: Stops, by: str, reason: str) -> Publication:
    categories = stops.categories if status == "published" else row.stopped_categories
    return Publication(
        batch_id=row.batch_id,
        business_date=row.business_date,
        store_id=row.store_id,
        status=status,
        stopped_categories=categories,
        model_kind=row.model_kind,
        by=by,
        reason=reason,
    )


def _require_publishable(
    row: Publication,
    stops: Stops,
    published: Sequence[Publication],
    decided: Mapping[tuple[str, str], tuple[date, datetime]],
) -> None:
    stop = stops.store_stop(row.store_id)
    if stop is not None:
        raise PublicationError(
            f"{stop.place} was stopped by {stop.by}: {stop.reason}", todo="`retail prices resume` comes first"
        )
    mine = decided[row.batch_id, row.store_id]
    later = [r for r in published if r.store_id == row.store_id and decided[r.batch_id, r.store_id] > mine]
    if later:
        raise PublicationError(
            f"{row.store_id} has published batch {later[0].batch_id} of {later[0].business_date}, which is newer"
        )
