"""What a store carries for its prices: the inputs of each, what is published, and the decisions behind it."""

from collections.abc import Mapping
from dataclasses import asdict

import pyarrow as pa

from retail_assets.features.store import FeatureStore
from retail_assets.pricing.decide.gold_inputs import FORECASTS, READS
from retail_assets.pricing.decide.price_inputs import CARRIED_INPUTS, InputBook
from retail_assets.pricing.publish.publication import PROPOSALS, PUBLICATIONS, published_prices
from retail_assets.pricing.publish.switch import TABLE as SWITCH
from retail_assets.resources.lake import Lake


class StoreTables:
    """Cut out of the centre's lake; see Product.store_tables."""

    BY_DAY = (("gold", CARRIED_INPUTS), ("decisions", "pricing"))

    def __init__(self, features: FeatureStore) -> None:
        self._lake = features.lake
        self._book: tuple[dict[str, int], InputBook] | None = None

    def sources(self) -> list[tuple[str, str]]:
        """The centre's tables that those of a store are cut from."""
        gold = [("gold", name) for name in dict.fromkeys([*READS, FORECASTS])]
        return [*gold, *(("ops", name) for name in (PUBLICATIONS, PROPOSALS, SWITCH))]

    def of(self, store_id: str, versions: Mapping[tuple[str, str], int | None]) -> dict[tuple[str, str], pa.Table]:
        """The tables of one store, without those that the centre does not have; `versions` are those of the sources."""
        book = self._inputs(versions)
        found = {} if book is None else {("gold", CARRIED_INPUTS): book_rows(book, store_id)}
        return found | dict(_published(self._lake, store_id))

    def _inputs(self, versions: Mapping[tuple[str, str], int | None]) -> InputBook | None:
        """The inputs of every store's prices, computed once for all stores."""
        if any(versions.get(("gold", name)) is None for name in READS):
            return None
        read = {name: v for (layer, name), v in versions.items() if layer == "gold" and v is not None}
        if self._book is None or self._book[0] != read:
            self._book = (read, InputBook.read(self._lake))
        return self._book[1]


def book_rows(book: InputBook, store_id: str) -> pa.Table:
    """The inputs of a store's prices with what they were made from, as InputBook.read finds them in a store."""
    import pyarrow.compute as pc

    rows = book.rows.filter(pc.equal(book.rows["store_id"], store_id))
    for name, value in asdict(book.made_from).items():
        rows = rows.append_column(name, pa.array([value] * rows.num_rows, pa.string()))
    return rows


def _published(lake: Lake, store_id: str) -> Mapping[tuple[str, str], pa.Table]:
    """The store's publications, the switch, and the published prices with the decisions that made them."""
    found = {}
    if lake.exists("ops", SWITCH):
        found["ops", SWITCH] = lake.query(f"select * from {lake.scan('ops', SWITCH)} order by all")
    if lake.exists("ops", PUBLICATIONS) and lake.exists("ops", PROPOSALS):
        scan = lake.scan("ops", PUBLICATIONS)
        found["ops", PUBLICATIONS] = lake.query(
            f"select * from {scan} where store_id = $store order by all", {"store": store_id}
        )
        prices = published_prices(lake, store_id)
        found["ops", PROPOSALS] = prices.drop_columns(["published_at", "published_by"])
        if prices.num_rows and lake.exists("decisions", "pricing"):
            with lake.connect() as connection:
                connection.register("prices", prices)
                found["decisions", "pricing"] = connection.execute(
                    f"""select d.* from {lake.scan("decisions", "pricing")} d
                        semi join prices p on p.decision_id = d.decision_id and p.business_date = d.business_date
                        where d.store_id = $store order by d.sku""",
                    {"store": store_id},
                ).to_arrow_table()
    return found
