"""What the retailer sees of its market, as the product reads it: gold tables for training, inputs for decisions."""

from collections import deque
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.closed_loop.market import Day, Market
from retail_assets.pricing.decide.inputs import INPUTS
from retail_assets.resources.lake import Lake
from retail_assets.sample.arrays import Bools, Floats, Ints

REFERENCE_DAYS, RECENT_DAYS, WEEK = 180, 28, 7
PRICES = pa.decimal128(12, 4)


class Records:
    """Sales as they come in, one market's; nothing here knows the truth."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self._sales: list[pa.Table] = []
        self._listed: deque[Ints] = deque(maxlen=REFERENCE_DAYS)
        self._sold: deque[tuple[Ints, Bools]] = deque(maxlen=RECENT_DAYS)
        self.last: Day | None = None
        world = market.world
        self._names = {
            "store_id": np.array(world.shops.ids),
            "sku": np.array(world.skus.ids),
            "category": np.array(list(world.config.categories))[world.skus.category],
            "department": np.array(list(world.config.departments))[world.skus.department],
            "country": np.array(world.codes)[market.country],
            "currency": np.array([c.currency for c in world.config.countries.values()])[market.country],
        }

    def copy(self, market: Market) -> "Records":
        """The same records of a market that goes its own way from here."""
        other = Records(market)
        other._sales, other.last = list(self._sales), self.last
        other._listed, other._sold = self._listed.copy(), self._sold.copy()
        return other

    def add(self, day: Day) -> None:
        """Takes in one day as the marts would have it: a row per store-SKU that was on sale."""
        store, sku = np.nonzero(day.sellable)
        sold, rival = day.sold[store, sku], day.rival[store, sku]
        empty = day.on_hand[store, sku] <= 0
        codes = np.array([*self.market.book.codes, ""], dtype=object)[day.promo[store, sku]]
        promoted = day.promo[store, sku] >= 0
        table = {
            "store_id": self._names["store_id"][store],
            "sku": self._names["sku"][sku],
            "business_date": pa.array([self.market.date_of(day.number)] * len(store), pa.date32()),
            "gross_units": sold.astype(float),
            "unit_price": _money(day.paid[store, sku], sold > 0),
            "list_price": _money(day.listed[store, sku]),
            "on_promotion": promoted,
            "promo_code": pa.array(codes, pa.string(), mask=~promoted),
            "on_hand": day.on_hand[store, sku].astype(np.int32),
            "is_stocked_out": empty,
            "competitor_price": _money(np.nan_to_num(rival), ~np.isnan(rival)),
        }
        self._sales.append(pa.table(table))
        self._listed.append(day.listed)
        self._sold.append((day.sold, day.sellable & ((day.on_hand > 0) | (day.sold > 0))))
        self.last = day

    def write_gold(self, lake: Lake) -> dict[str, int]:
        """Writes the gold tables that training reads and returns their versions."""
        names, book = self._names, self.market.book
        sku = names["sku"]
        tables = {
            "fct_sales_daily": pa.concat_tables(self._sales),
            "dim_store": pa.table(
                {
                    "store_id": names["store_id"],
                    "country": names["country"],
                    "channel": ["store"] * len(names["store_id"]),
                }
            ),
            "dim_product": pa.table({"sku": sku, "category": names["category"], "department": names["department"]}),
            "dim_promotion": pa.table(
                {
                    "promo_code": pa.array(book.codes, pa.string()),
                    "country": np.array(self.market.world.codes)[book.country],
                    "sku": sku[book.sku],
                    "discount_pct": pa.array(book.percent.astype(float)).cast(pa.decimal128(5, 2)),
                }
            ),
        }
        for name, table in tables.items():
            lake.overwrite("gold", name, table)
        return {name: lake.open("gold", name).version() for name in tables}

    def inputs(self) -> tuple[pa.Table, Ints, Ints]:
        """Inputs of tomorrow's decisions (schema INPUTS), and the store and SKU index of each row."""
        day = self.last
        assert day is not None, "no day has been recorded yet"
        market, tomorrow = self.market, day.number + 1
        store, sku = np.nonzero(market.ranged(tomorrow))
        reference = np.mean(np.stack(self._listed), axis=0).round().astype(np.int64)
        rival = day.rival[store, sku]
        today = pa.array([market.date_of(day.number)] * len(store), pa.date32())
        columns = {
            "store_id": self._names["store_id"][store],
            "sku": self._names["sku"][sku],
            "country": self._names["country"][store],
            "currency": self._names["currency"][store],
            "department": self._names["department"][sku],
            "category": self._names["category"][sku],
            "business_date": today,
            "costs_delivered": np.ones(len(store), dtype=bool),
            "on_promotion": market.promoted(tomorrow)[store, sku],
            "previous_price": day.listed[store, sku],
            "week_price": self._listed[-WEEK][store, sku],
            "unit_cost": market.cost[store, sku],
            "competitor_price": pa.array(np.nan_to_num(rival).astype(np.int64), mask=np.isnan(rival)),
            "reference_price": reference[store, sku],
            "base_demand": self.recent_units()[store, sku],
            "base_demand_source": np.full(len(store), "recent_mean"),
            "on_hand": day.on_hand[store, sku],
        }
        absent = {n: pa.nulls(len(store), INPUTS.field(n).type) for n in INPUTS.names if n not in columns}
        return pa.table(columns | absent).select(INPUTS.names).cast(INPUTS), store, sku

    def recent_units(self) -> Floats:
        """Units per day with stock over the last RECENT_DAYS days, (store, SKU)."""
        units = np.sum([sold for sold, _ in self._sold], axis=0)
        days = np.sum([on_sale for _, on_sale in self._sold], axis=0)
        return np.asarray(units / np.maximum(days, 1))

    def until(self) -> date:
        """The newest recorded date."""
        assert self.last is not None, "no day has been recorded yet"
        return self.market.date_of(self.last.number)


def _money(minor: npt.NDArray[np.int64] | Floats, known: Bools | None = None) -> pa.Array:
    mask = None if known is None else ~known
    return pa.array(np.asarray(minor) / 100, mask=mask).cast(PRICES, safe=False)
