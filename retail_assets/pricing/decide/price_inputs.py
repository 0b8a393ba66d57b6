"""The inputs of every listed store-SKU in memory: what a service decides from, the same rows as the batch."""

from dataclasses import dataclass, fields, replace
from datetime import date
from functools import cached_property

import pyarrow as pa

from retail_assets.pricing.decide.gold_inputs import NothingToPrice, gold_versions, read_inputs
from retail_assets.pricing.decide.inputs import INPUTS, LATER, DecisionInputs
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.decide.shared_targets import with_shared_targets
from retail_assets.pricing.response.model import PriceModel
from retail_assets.provenance.records import MadeFrom, made_from
from retail_assets.resources.lake import Lake

CARRIED_INPUTS = "price_inputs"
"""The gold table that only a store has: the rows of its book, computed at the centre."""


@dataclass(frozen=True)
class InputBook:
    """Inputs of one business date by store and SKU; read again when `is_stale`."""

    business_date: date
    versions: dict[str, int]
    rows: pa.Table
    made_from: MadeFrom = MadeFrom()

    @classmethod
    def read(cls, lake: Lake) -> "InputBook":
        """From the newest gold, or in a store from the inputs that were carried there.

        Raises NothingToPrice where there are no sales, LakeError where there is no gold.
        """
        if lake.exists("gold", CARRIED_INPUTS):
            return cls.carried(lake)
        found = read_inputs(lake, gold_versions(lake))
        return cls(found.business_date, found.versions, found.rows, made_from(lake, found.versions))

    @classmethod
    def carried(cls, lake: Lake) -> "InputBook":
        """The inputs that the centre computed for this store, and what they were made from there."""
        table = lake.open("gold", CARRIED_INPUTS)
        rows = table.to_pyarrow_table()
        if not rows.num_rows:
            raise NothingToPrice("no price inputs were carried to this store", todo="`retail stores` at the centre")
        rows = rows.sort_by([("store_id", "ascending"), ("sku", "ascending")])
        made = MadeFrom(**{f.name: rows[f.name][0].as_py() for f in fields(MadeFrom)})
        for name in sorted(LATER - {*rows.column_names}):  # carried by a centre from before the field
            rows = rows.append_column(name, pa.nulls(rows.num_rows, INPUTS.field(name).type))
        found = rows.select(INPUTS.names).cast(INPUTS)
        return cls(found["business_date"][0].as_py(), {CARRIED_INPUTS: table.version()}, found, made)

    def is_stale(self, lake: Lake) -> bool:
        """Whether a table it was read from has a newer Delta version."""
        if CARRIED_INPUTS in self.versions:
            return lake.version("gold", CARRIED_INPUTS) != self.versions[CARRIED_INPUTS]
        return gold_versions(lake) != self.versions

    def decided_by(self, model: PriceModel, rulebook: Rulebook) -> "InputBook":
        """The book with what items of a category share under this model and policy, as the batch decides them."""
        rows = with_shared_targets(model, rulebook, self.rows)
        return self if rows is self.rows else replace(self, rows=rows)

    def inputs_of(self, store_id: str, sku: str) -> DecisionInputs | None:
        """What is known of a store-SKU; None where it is not listed or has no price in its store's currency."""
        row = self.row_of(store_id, sku)
        return None if row is None else DecisionInputs(**self.rows.slice(row, 1).to_pylist()[0])

    def row_of(self, store_id: str, sku: str) -> int | None:
        """The row of a listed store-SKU in `rows`."""
        return self._index.get((store_id, sku))

    def lists(self, store_id: str, sku: str) -> bool:
        """Whether the store lists the SKU and has a price for it."""
        return (store_id, sku) in self._index

    def category_of(self, store_id: str, sku: str) -> str | None:
        """The category of a listed store-SKU."""
        row = self._index.get((store_id, sku))
        category: str | None = None if row is None else self.rows["category"][row].as_py()
        return category

    @cached_property
    def _index(self) -> dict[tuple[str, str], int]:
        keys = zip(self.rows["store_id"].to_pylist(), self.rows["sku"].to_pylist(), strict=True)
        return {key: row for row, key in enumerate(keys)}
