"""One store beside its centre, in this process, and the segments that it sends."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from retail_assets.decisions.rows import decode, encode
from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake
from retail_assets.stores.bundle import Bundle
from retail_assets.stores.centre import Tokens, folder_of
from retail_assets.stores.copy import StoreCopy, Superseded
from retail_assets.stores.link import Link
from tests.services.centre import environment_of


class Place:
    """One store of the tiny retailer beside its centre, in this process."""

    def __init__(self, centre: Home, url: str, root: Path, token: str | None = None) -> None:
        self.centre, self.url = centre, url
        self.store_id = Lake.at(centre.lake).open("gold", "dim_store").to_pyarrow_table()["store_id"][0].as_py()
        self.target = f"store-{self.store_id}"
        self.token = token or Tokens(folder_of(environment_of(centre))).issue(self.target)
        self.home = Home.at(root)

    def environment(self) -> Environment:
        """Of the store."""
        return environment_of(self.home, self.url)

    def link(self) -> Link:
        """A line of its own."""
        return Link(self.url, self.target, self.token, self.home.root / "store")

    def bundle(self, link: Link) -> Bundle:
        """What the centre wants now."""
        found = link.bundle(None, wait_s=0)
        assert found is not None
        return found

    def copied(self) -> StoreCopy:
        """The copy, brought up to date."""
        link = self.link()
        copy = StoreCopy(self.environment(), link)
        for _ in range(20):
            try:
                copy.take(self.bundle(link))
            except Superseded:
                continue
            return copy
        raise AssertionError("the centre never came to rest")


def segment(store_id: str, ids: list[str]) -> pa.Table:
    """Decisions of a store as rows."""
    now = datetime.now(UTC)
    row = {"at": now, "product": "pricing", "store_id": store_id, "sku": "S", "mode": "service",
           "business_date": now.date()}  # fmt: skip
    return decode(b"".join(encode(row | {"decision_id": one}) for one in ids))
