"""Small shops cut from real retailers and the sample: homes with gold, to see what gates and limits ask of them."""

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import duckdb

from retail_assets.resources.environments import PROJECT_ROOT, Home
from retail_assets.resources.lake import Lake
from retail_assets.sample.simulate import simulate
from retail_assets.sources.load import import_retailer, load_landing
from retail_assets.warehouse.build import build_warehouse

MAPPINGS = PROJECT_ROOT / "configs" / "mappings"
GROCERS = (367, 406, 427, 422)  # stores of The Complete Journey
WALMARTS = {
    "m5_hobbies": ("CA_1", "HOBBIES_2", 500),
    "m5_foods": ("TX_2", "FOODS_1", 30),
    "m5_corner": ("WI_3", "FOODS_3", 8),
}
GIFTS = {"gifts": 10_000, "gifts_100": 100}
SEEDS = (1, 2, 3)


def build(data: Path, folder: Path, only: Collection[str] | None = None) -> Iterator[Home]:
    """Builds every shop, or those of `only`, below `folder` from the data sets in `data`, and yields its home."""
    for name, write, mapping in _plans(data):
        if only and name not in only:
            continue
        home = Home.at(folder / name)
        done = home.root / ".built"
        if not done.exists():
            shutil.rmtree(home.root, ignore_errors=True)
            files = home.root / "files"
            files.mkdir(parents=True)
            lake = Lake.at(home.lake)
            if mapping is None:
                simulate(home.root, "tiny", seed=int(name[-1]), days=240)
                load_landing(lake, home)
            else:
                with duckdb.connect() as connection:
                    for file, sql in write.items():
                        kind = "(format csv, header)" if file.endswith(".csv") else "(format parquet)"
                        connection.execute(f"copy ({sql}) to '{files / file}' {kind}")
                import_retailer(lake, home, MAPPINGS / f"{mapping}.yaml", files)
            build_warehouse(lake, home)
            done.touch()
        yield home


def _plans(data: Path) -> Iterator[tuple[str, dict[str, str], str | None]]:
    """Name, files by the query that writes them, and mapping of each shop."""
    journey, gifts, m5 = data / "completejourney", data / "online_retail", data / "m5"
    for store in GROCERS:
        sales = f"select * from '{journey}/transactions.parquet' where store_id = {store}"
        files = {"transactions.parquet": sales}
        files |= {f"{n}.parquet": f"select * from '{journey}/{n}.parquet'" for n in ("products", "demographics")}
        yield f"grocer_{store}", files, "completejourney"
    for name, items in GIFTS.items():
        most = f"select StockCode from '{gifts}/transactions.parquet' group by 1 order by count(*) desc limit {items}"
        sales = f"select * from '{gifts}/transactions.parquet' where StockCode in ({most})"
        yield name, {"transactions.parquet": sales}, "online_retail"
    for name, (store, department, items) in WALMARTS.items():
        chosen = f"select item_id from '{m5}/series_ids.parquet' where dept_id = '{department}' group by 1 order by 1"
        sales = f"""select row_number() over () as id, date, store_id as store_nbr, item_id as item_nbr,
                    quantity_sold as unit_sales, 'False' as onpromotion from '{m5}/sales_train.parquet'
                    where store_id = '{store}' and item_id in ({chosen} limit {items})"""
        stores = f"select '{store}' as store_nbr, 'x' as city, 'x' as state, 'A' as type, 1 as cluster"
        goods = f"select item_id as item_nbr, '{department}' as family, 1 as class, 0 as perishable from ({chosen})"
        yield name, {"train.csv": sales, "stores.csv": stores, "items.csv": goods}, "favorita"
    yield from ((f"sample_{seed}", {}, None) for seed in SEEDS)
