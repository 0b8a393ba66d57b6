"""The release ledger: which version of which product is live where, since when, by whom and why.

`ops/releases` is append-only. What is live is the newest promote, rollback, pin or unpin of a product and target; a
target without one, or that was told to follow, answers with what is live on the next wider target. A canary or a shadow
runs beside it until it is withdrawn or the target gets another release. Needs no Dagster, so that services and the
command line read it directly.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from retail_assets.core.errors import RetailError
from retail_assets.releases.journal import Journal
from retail_assets.releases.rows import (
    ACTIONS,
    CLOUD,
    FOLLOW,
    LIVE_ACTIONS,
    Action,
    Release,
    answering,
    live_rows,
    release_of,
    releases_schema,
    trial_rows,
    versions_of,
)
from retail_assets.resources.lake import Lake

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyarrow.fs import FileSystem

logger = logging.getLogger(__name__)
ATTEMPTS = 20
CLOCKS_DIFFER, TICK = timedelta(minutes=1), timedelta(microseconds=1)


class LedgerError(RetailError):
    """A release that the ledger cannot take, or a question it has no answer to."""


class LedgerConflict(LedgerError):
    """Somebody else released the same product to the same target since the decision was made."""


class Ledger:
    """Appends releases to `ops/releases` of a lake and answers what is, or was, live."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.journal = Journal(lake)
        self._files: dict[str, list[Release]] = {}

    def append(self, release: Release) -> Release:
        """Adds one row and returns it.

        The row is committed only onto the ledger it was checked against. Raises LedgerConflict when `previous` is not
        what is live (somebody was faster), LedgerError when `at` lies before the newest row of its target, and
        ReleasesLost where the ledger is older than it was.
        """
        from deltalake import CommitProperties, write_deltalake
        from deltalake.exceptions import CommitFailedError

        if not release.is_known:
            raise LedgerError(f"{release.action!r} is no action", todo=f"use one of {', '.join(ACTIONS)}")
        row = pa.Table.from_pylist([release.model_dump()], schema=releases_schema())
        for _ in range(ATTEMPTS):
            try:
                self.lake.ensure("ops", "releases", releases_schema())
                known = self.journal.releases()
                table = self.lake.open("ops", "releases")
                log = self._releases(table)
                self.journal.refuse_lost(known, log)
                _check_follows(release, log)
                alone = CommitProperties(max_commit_retries=0)
                write_deltalake(table, row, mode="append", schema_mode="merge", commit_properties=alone)
            except CommitFailedError:  # somebody wrote, or made the table, in this moment: look again
                continue
            self.journal.add([*log, release])
            return release
        raise LedgerConflict(f"the ledger was written {ATTEMPTS} times while {release.product} was being released")

    def promote(
        self,
        product: str,
        version: str,
        *,
        by: str,
        reason: str,
        target: str = CLOUD,
        wider: Sequence[str] = (),
        gate_report: str | None = None,
        run_id: str | None = None,
    ) -> Release:
        """Makes `version` live on `target`; `gate_report` is the JSON text of the gates it passed.

        `wider` are the targets that `target` followed so far. Raises LedgerError where `target` is pinned.
        """
        self.refuse_pinned(product, target)
        return self._release(product, (target, *wider), version, "promote", by, reason, gate_report, run_id=run_id)

    def refuse_pinned(self, product: str, target: str) -> None:
        """Raises LedgerError where `target` is pinned."""
        own = self.live(product, target)
        if own is not None and own.action == "pin":
            raise LedgerError(
                f"{product} on {target} is pinned to {own.version} by {own.by}: {own.reason}",
                todo=f"`retail unpin {product} --target {target}` first",
            )

    def rollback(
        self,
        product: str,
        *,
        by: str,
        reason: str,
        target: str = CLOUD,
        wider: Sequence[str] = (),
        to: str | None = None,
    ) -> Release:
        """Makes an earlier version answer again by one appended row: `to`, or the one before.

        Raises LedgerError when there is nothing to go back to, or `to` never answered on `target`.
        """
        chain = (target, *wider)
        *earlier, _ = versions_of(answering(self.log(), product, chain)) or [""]
        if not earlier or (to is not None and to not in earlier):
            raise LedgerError(
                f"{product} on {target} cannot be rolled back to {to or 'an earlier version'}",
                todo=f"versions to go back to: {', '.join(earlier) or 'none'}",
            )
        return self._release(product, chain, to or earlier[-1], "rollback", by, reason)

    def pin(
        self,
        product: str,
        *,
        by: str,
        reason: str,
        target: str = CLOUD,
        wider: Sequence[str] = (),
        version: str | None = None,
    ) -> Release:
        """Keeps `version` (default: the one that answers) on `target` until it is unpinned, whatever gates say."""
        answers = self.answers(product, (target, *wider))
        if version is None and answers is None:
            raise LedgerError(f"{product} has nothing live on {target} to pin", todo="name a version")
        pinned = version or (answers.version if answers else "")
        return self._release(product, (target, *wider), pinned, "pin", by, reason)

    def unpin(self, product: str, *, by: str, reason: str, target: str = CLOUD) -> Release:
        """Lets releases change `target` again; the version stays. Raises LedgerError where it is not pinned."""
        own = self.live(product, target)
        if own is None or own.action != "pin":
            raise LedgerError(f"{product} on {target} is not pinned", todo="see `retail models`")
        return self._release(product, (target,), own.version, "unpin", by, reason)

    def follow(self, product: str, *, by: str, reason: str, target: str, wider: Sequence[str]) -> Release:
        """Ends the release of `target` itself: it answers with what is live on the next wider target again."""
        own, next_wider = self.live(product, target), self.answers(product, wider)
        if own is None or next_wider is None:
            raise LedgerError(
                f"{product} on {target} has no release of its own" if own is None else f"nothing wider than {target}",
                todo="see `retail models`",
            )
        return self._release(product, (target, *wider), next_wider.version, FOLLOW, by, reason)

    def canary(
        self,
        product: str,
        version: str,
        share: float,
        *,
        by: str,
        reason: str,
        target: str = CLOUD,
        wider: Sequence[str] = (),
        gate_report: str | None = None,
    ) -> Release:
        """Lets `version` answer in a `share` (above 0, at most 1) of the stores of `target`."""
        if not 0 < share <= 1:
            raise LedgerError(f"a canary of {share:.0%} of the stores", todo="a share above 0 % and up to 100 %")
        return self._release(product, (target, *wider), version, "canary", by, reason, gate_report, share)

    def shadow(
        self, product: str, version: str, *, by: str, reason: str, target: str = CLOUD, wider: Sequence[str] = ()
    ) -> Release:
        """Asks `version` beside the one that answers on `target`; its decisions are logged and reach nobody."""
        return self._release(product, (target, *wider), version, "shadow", by, reason, share=0.0)

    def withdraw(
        self,
        product: str,
        *,
        by: str,
        reason: str,
        target: str = CLOUD,
        wider: Sequence[str] = (),
        verdict: str | None = None,
    ) -> Release:
        """Ends the canary and the shadow of `target`; what is live stays. Raises LedgerError where there is none.

        `verdict` is the JSON text of the numbers that spoke against the canary, kept as the row's gate report.
        """
        answers = self.answers(product, (target, *wider))
        running = [r for r in trial_rows(self.log()) if (r.product, r.target) == (product, target)]
        if not running or answers is None:
            raise LedgerError(f"{product} has no canary and no shadow on {target}", todo="see `retail models`")
        return self._release(product, (target, *wider), answers.version, "withdraw", by, reason, verdict)

    def _release(
        self,
        product: str,
        chain: Sequence[str],
        version: str,
        action: Action,
        by: str,
        reason: str,
        gate_report: str | None = None,
        share: float = 1.0,
        run_id: str | None = None,
    ) -> Release:
        answers = self.answers(product, chain)
        return self.append(
            Release(
                product=product,
                target=chain[0],
                version=version,
                action=action,
                share=share,
                at=self._moment(product, chain[0]),
                by=by,
                reason=reason,
                previous=answers.version if answers else None,
                gate_report=gate_report,
                run_id=run_id,
            )
        )

    def _moment(self, product: str, target: str) -> datetime:
        """Now, or just after the newest row of the target where a machine whose clock is ahead wrote that one."""
        now = datetime.now(UTC)
        newest = max((r.at for r in self.log() if (r.product, r.target) == (product, target)), default=now)
        if newest > now + CLOCKS_DIFFER:
            logger.warning("%s on %s has a row of %s: two clocks differ", product, target, newest)
        return max(now, newest + TICK) if newest >= now else now

    def answers(self, product: str, chain: Sequence[str], at: datetime | None = None) -> Release | None:
        """The release that decides what the first target of `chain` answers with, now or at the instant `at`."""
        live = {r.target: r for r in self.live_all(at) if r.product == product}
        return next((live[target] for target in chain if target in live), None)

    def live(self, product: str, target: str = CLOUD, at: datetime | None = None) -> Release | None:
        """The release of `target` itself, now or at the instant `at`; None where it has none."""
        return next((r for r in self.live_all(at) if (r.product, r.target) == (product, target)), None)

    def live_all(self, at: datetime | None = None) -> list[Release]:
        """What is live on every product and target now, or was at the instant `at`, sorted by product and target."""
        return live_rows([r for r in self.log() if at is None or r.at <= at])

    def trials(self, at: datetime | None = None) -> list[Release]:
        """Every canary and shadow that runs now, or ran at the instant `at`, sorted by product, target and kind."""
        return trial_rows([r for r in self.log() if at is None or r.at <= at])

    def log(self) -> list[Release]:
        """Every row, oldest first; empty before the first release."""
        return self.newest()[1]

    def whole_log(self) -> list[Release]:
        """Every row, oldest first, for those who decide by them; raises ReleasesLost where rows are gone."""
        known, log = self.journal.releases(), self.log()
        self.journal.refuse_lost(known, log)
        return log

    def newest(self) -> tuple[int | None, list[Release]]:
        """The ledger's Delta version (None before the first release) and every row, oldest first."""
        if not self.lake.exists("ops", "releases"):
            return None, []
        table = self.lake.open("ops", "releases")
        return table.version(), self._releases(table)

    def _releases(self, table: "DeltaTable") -> list[Release]:
        """Every row of `table`; a file that was read before is not read again, so that following costs what is new.

        In this thread: a short command may end before threads of a reader do, which aborts the process.
        """
        paths, known = pa.table(table.get_add_actions(flatten=True))["path"].to_pylist(), self._files
        files = self.lake.files("ops", "releases")
        self._files = {path: known.get(path) or _read(files, path) for path in paths}
        rows = [release for part in self._files.values() for release in part]
        return sorted(rows, key=lambda r: (r.at, r.release_id))

    def version(self) -> int | None:
        """The ledger's Delta version."""
        return self.lake.version("ops", "releases")

    def changed_since(self, version: int | None) -> bool:
        """Whether there may be a newer version than `version`; in a local lake one look for the next commit's file."""
        return version is None or self.lake.may_be_newer("ops", "releases", version)


def _read(files: "FileSystem", path: str) -> list[Release]:
    import pyarrow.parquet as parquet

    return [release_of(row) for row in parquet.read_table(path, filesystem=files, use_threads=False).to_pylist()]


def _check_follows(release: Release, log: list[Release]) -> None:
    same = [r for r in log if (r.product, r.target) == (release.product, release.target)]
    newest = next((r for r in reversed(same) if r.action in (*LIVE_ACTIONS, FOLLOW)), None)
    follows = release.target != CLOUD and (newest is None or newest.action == FOLLOW)
    live = newest.version if newest else None
    if release.previous != live and not follows:
        raise LedgerConflict(
            f"{release.product} on {release.target} is at {live}, not at {release.previous}: released meanwhile",
            todo="read the ledger again and decide again",
        )
    ahead = release.at > datetime.now(UTC) + CLOCKS_DIFFER
    if ahead and not (same and release.at <= same[-1].at + TICK):
        raise LedgerError(
            f"a release of {release.at}, which is not yet",
            todo="check the clock of this machine: releases are of now",
        )
    if same and release.at < same[-1].at:
        raise LedgerError(
            f"{release.product} on {release.target} has a row of {same[-1].at}, after {release.at}",
            todo="check the clock of this machine: the ledger only grows forward",
        )
