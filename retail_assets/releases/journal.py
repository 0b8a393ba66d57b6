"""The second copy of the release ledger: one line of JSON for each release, on the disk before anybody is told of it.

A power cut can take the newest commits of a Delta table with it, and the table then looks whole, only older. What was
live would be decided again as if it had never been. So whoever writes a release, or decides by the ledger, asks this
file whether the ledger still holds everything that it held. It lies in the lake beside the table.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from retail_assets.core.errors import RetailError
from retail_assets.releases.rows import Release, release_of
from retail_assets.resources import durable
from retail_assets.resources.lake import Lake

NAME = "releases.journal.jsonl"


class ReleasesLost(RetailError):
    """The ledger does not hold releases any more that it held: a disk, a power cut or an older copy took them."""

    def __init__(self, lost: Sequence[Release], where: str) -> None:
        newest = lost[-1]
        super().__init__(
            f"the ledger has lost {len(lost)} of its releases, the newest: {newest.action} of {newest.product} "
            f"{newest.version} on {newest.target} at {newest.at:%Y-%m-%d %H:%M:%S}",
            where=where,
            todo="`retail doctor --repair` writes them again from the copy beside the ledger; nothing was released",
        )


def lost(known: Sequence[Release], log: Sequence[Release]) -> "list[Release]":
    """Those of the releases `known` that the rows `log` of a ledger do not have."""
    held = {release.release_id for release in log}
    return [release for release in known if release.release_id not in held]


class Journal:
    """The file of one lake; a lake that is no local folder has none, as its store keeps what it has answered for."""

    def __init__(self, lake: Lake) -> None:
        self.path = None if "://" in lake.uri else Path(lake.uri, "ops", NAME)

    def releases(self) -> "list[Release]":
        """Every release that was written, oldest first; a last line that a power cut has torn is left out."""
        return list(self._known().values())

    def refuse_lost(self, known: Sequence[Release], log: Sequence[Release]) -> None:
        """Raises ReleasesLost where the ledger, whose rows are `log`, is older than it was.

        `known` are the releases of this file, read before the ledger was: somebody may release at the same time.
        """
        if gone := lost(known, log):
            raise ReleasesLost(gone, str(self.path))

    def add(self, log: Sequence[Release]) -> None:
        """Writes those of the rows `log` that are not in the file yet, and waits until the disk has them."""
        known = self._known()
        new = [release for release in log if release.release_id not in known]
        if self.path is None or not new:
            return
        is_new = not self.path.exists()
        text = "".join(f"{release.model_dump_json()}\n" for release in new)
        with self.path.open("ab") as file:
            file.write((b"\n" if self._is_torn() else b"") + text.encode())
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            durable.sync(self.path.parent)

    def _known(self) -> dict[str, Release]:
        lines = self.path.read_bytes().split(b"\n") if self.path is not None and self.path.is_file() else []
        found: dict[str, Release] = {}
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:  # the line that was being written when the power went; UnicodeDecodeError is one, too
                continue
            release = release_of(row)
            found.setdefault(release.release_id, release)
        return found

    def _is_torn(self) -> bool:
        """Whether the file ends within a line."""
        content = self.path.read_bytes() if self.path is not None and self.path.is_file() else b""
        return bool(content) and not content.endswith(b"\n")
