"""Prices as `retail prices` prints them: a summary and the first of them, or why there are none."""

import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.core.errors import RetailError
from retail_assets.pricing.publish.publication import HELD_BACK, PUBLICATIONS
from retail_assets.pricing.publish.waiting import batches
from retail_assets.releases.refused import explained
from retail_assets.resources.lake import Lake


def lines_of(prices: pa.Table, limit: int | None) -> list[str]:
    """A line per price; of more than one a summary first, and only the first `limit` of them."""
    shown = prices if limit is None else prices.slice(0, limit)
    lines = [_line(row) for row in shown.to_pylist()]
    if prices.num_rows == 1:
        return lines
    left = prices.num_rows - shown.num_rows
    return [_summary(prices), *lines, *([f"and {left:,} more: --all"] if left else [])]


def _summary(prices: pa.Table) -> str:
    stores, days = (pc.count_distinct(prices[name]).as_py() for name in ("store_id", "effective_from"))
    changed = pc.sum(pc.not_equal(prices["price"], prices["previous_price"])).as_py()
    last = pc.max(prices["effective_from"]).as_py()
    since = f"from {last}" if days == 1 else f"the newest from {last}"
    held = prices.num_rows - prices["held_back"].null_count
    return (
        f"{prices.num_rows:,} prices in {stores:,} store{'s' * (stores != 1)}, {since}: {changed:,} differ from the "
        f"price before" + (f", {held:,} held back" if held else "")
    )


def _line(row: dict[str, object]) -> str:
    said = f"{row['store_id']} {row['sku']}: {row['price']} {row['currency']} from {row['effective_from']}"
    if row["price"] != row["previous_price"]:
        said += f", before {row['previous_price']}"
    if row["held_back"] is not None:
        said += f", held back: {HELD_BACK[str(row['held_back'])]}"
    by = f", published by {row['published_by']}" if row.get("published_by") else ""
    return f"{said} (batch {row['batch_id']}, decision {row['decision_id']}{by})"


def nothing_published(lake: Lake, batch: str | None, store: str | None, sku: str | None) -> RetailError:
    """Why no price is shown, and what to do about it."""
    item = f"{store or 'any store'} {sku or ''}".rstrip()
    if batch is not None:
        return RetailError(f"batch {batch} has no price for {item}", todo="see `retail prices pending --all`")
    waiting = [found for found in batches(lake) if store in (None, *found.stores)]
    if waiting:
        newest = waiting[-1]
        return RetailError(
            f"no price is published for {item}: batch {newest.batch_id} is {newest.status}: {newest.reason}",
            todo="see what it would do: `retail prices pending`",
        )
    if not lake.exists("ops", PUBLICATIONS):
        none = RetailError(f"no price is published for {item}: none was decided", todo="`retail run` decides prices")
        return explained(lake, "pricing", none)
    return RetailError(f"no price is published for {item}", todo="see what was decided: `retail prices pending --all`")
