"""Which price is on the shelf, where no price list says so: candidates against what the next customers paid.

    RETAIL_REAL_DATA=FOLDER .venv/bin/python benchmarks/observed_price.py

The sample retailer has a price list, which is the truth: what the tills asked without promotions is compared with it.
Two real retailers are imported through their mappings, UCI Online Retail (quantity breaks, several customer groups) and
The Complete Journey (a price with and without the loyalty card); there the middle line of each store-SKU in the next 14
days is the truth. At each origin every candidate reads the lines before it. Window, half-life and the chance below
which an absent price is given up were chosen on the earlier origins; the later ones report. By revenue: `error` is the
mean of |ln(price / truth)|, `30 % dearer` the share priced more than 1.3 times too high, `same` the share at the very
price.
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from retail_assets.pricing.trace.observed import FEWEST_LINES, HALF_LIFE_DAYS, LEAST_CHANCE, WINDOW_DAYS
from retail_assets.resources.environments import PROJECT_ROOT, Home
from retail_assets.resources.lake import Lake
from retail_assets.sample.simulate import simulate
from retail_assets.sources.load import import_retailer, load_landing

REAL = ("online_retail", "completejourney")
SAMPLE_DAYS = 300
AHEAD = 14
ORIGINS, APART = 8, 28
EARLIER, LATER = slice(0, 4), slice(4, 8)

LINES = """
create temp table lines as
select store_id, sku, business_date as day, quantity::double as units,
       case when coalesce({price}, 0) >= 0.1 then round({price}, 2) else {price} end as price
from {scan} where quantity > 0 and coalesce({price}, 0) > 0 and promo_code is null
"""
PAID = """
create or replace temp table paid as
select store_id, sku, quantile_disc(price, 0.5) as paid, sum(price * units) as revenue
from lines where day >= date '{origin}' and day < date '{origin}' + {ahead} group by all
"""
LISTED = """
create or replace temp table paid as
select l.store_id, l.sku, any_value(p.list_price) as paid, sum(l.price * l.units) as revenue
from lines l join stores s using (store_id) join (
    select country, sku, arg_max(list_price, effective_on) as list_price from price_list
    where effective_on < date '{origin}' group by all) p on p.country = s.country and p.sku = l.sku
where l.day >= date '{origin}' and l.day < date '{origin}' + {ahead} group by all
"""
WEIGHTED = """
with seen as (
    select store_id, sku, price, count(*) as lines, max(day) as newest,
           sum(power(0.5, (date '{origin}' - 1 - day) / {half_life}.0)) as weight
    from lines where day < date '{origin}' and day >= date '{origin}' - {window} group by all
),
since as (
    select s.*, (select count(*) from lines l where l.store_id = s.store_id and l.sku = s.sku and l.day > s.newest
                 and l.day < date '{origin}') as lines_since,
           sum(lines) over (partition by store_id, sku) as all_lines
    from seen s
),
kept as (
    select *, sum(weight) over (partition by store_id, sku order by price) as up_to,
           sum(weight) over (partition by store_id, sku) as total
    from since
    where lines_since < {fewest} or power(1 - (lines + 0.5) / (all_lines - lines_since + 1), lines_since) >= {chance}
)
select store_id, sku, min(price) filter (2 * up_to >= total) as price from kept group by all
"""
SCORE = """
select sum(revenue * abs(ln(price / paid))) / sum(revenue),
       coalesce(sum(revenue) filter (price > 1.3 * paid), 0) / sum(revenue),
       coalesce(sum(revenue) filter (abs(price - paid) < 0.005), 0) / sum(revenue)
from ({candidate}) join paid using (store_id, sku)
"""


@dataclass(frozen=True)
class Candidate:
    """A way to read the shelf price off the lines before an origin, as SQL with `{origin}`."""

    name: str
    sql: str

    @classmethod
    def of_a_day(cls, name: str, statistic: str) -> "Candidate":
        """A statistic of the newest day with a sale."""
        newest = "with d as (select * from lines where day < date '{origin}' and day >= date '{origin}' - 42 "
        newest += "qualify day = max(day) over (partition by store_id, sku)) "
        return cls(name, newest + f"select store_id, sku, {statistic} as price from d group by all")

    @classmethod
    def weighted(cls, name: str, window: int, half_life: int, chance: float) -> "Candidate":
        """The weighted median of `window` days, without prices that are no longer asked."""
        sql = WEIGHTED.replace("{window}", str(window)).replace("{half_life}", str(half_life))
        return cls(name, sql.replace("{chance}", str(chance)).replace("{fewest}", str(FEWEST_LINES)))


CANDIDATES = (
    Candidate.of_a_day("dearest line of the newest day", "max(price)"),
    Candidate.of_a_day("commonest price of the newest day", "mode(price)"),
    Candidate.of_a_day("middle line of the newest day", "quantile_disc(price, 0.5)"),
    Candidate.weighted("middle line, 14 days", 14, 10_000, 0.0),
    Candidate.weighted("middle line, 42 days", 42, 10_000, 0.0),
    Candidate.weighted("middle line, 42 days, half-life 7", 42, 7, 0.0),
    Candidate.weighted("middle line, 42 days, half-life 14", 42, 14, 0.0),
    Candidate.weighted("the same, absent prices given up at 1 %", 42, 14, 0.01),
    Candidate.weighted("the same, absent prices given up at 5 %", 42, 14, 0.05),
    Candidate.weighted("the same, absent prices given up at 20 %", 42, 14, 0.20),
)
SHIPPED = Candidate.weighted("shipped", WINDOW_DAYS, HALF_LIFE_DAYS, LEAST_CHANCE)


Scores = dict[str, tuple[float, ...]]


def scores(connection: duckdb.DuckDBPyConnection, truth: str, origins: list[date]) -> Scores:
    """Error, share of revenue 30 % dearer and share at the very price of each candidate, the mean over `origins`."""
    found: dict[str, list[tuple[float, ...]]] = {}
    for origin in origins:
        connection.execute(truth.format(origin=origin, ahead=AHEAD))
        for candidate in (*CANDIDATES, SHIPPED):
            sql = SCORE.format(candidate=candidate.sql.replace("{origin}", str(origin)))
            row = connection.execute(sql).fetchall()[0]
            if row[0] is not None:  # the shop was shut for two weeks
                found.setdefault(candidate.name, []).append(row)
    return {name: tuple(sum(c) / len(c) for c in zip(*rows, strict=True)) for name, rows in found.items()}


def measure(lake: Lake, column: str, truth: str) -> None:
    """Prints every candidate for one price column, on the earlier and the later origins."""
    with lake.connect() as connection:
        for name in ("stores", "price_list"):
            connection.execute(f"create temp view {name} as select * from {lake.scan('bronze', name)}")
        connection.execute(LINES.format(scan=lake.scan("bronze", "pos_lines"), price=column))
        last = connection.execute("select max(day) from lines").fetchall()[0][0]
        newest = last - timedelta(days=AHEAD - 1)
        origins = [newest - timedelta(days=APART * back) for back in reversed(range(ORIGINS))]
        begun = time.process_time()
        early, late = (scores(connection, truth, origins[part]) for part in (EARLIER, LATER))
        print(f"{'':<42} {'earlier origins':>28}   {'later origins':>28}")
        print(f"{'':<42} " + "   ".join([f"{'error':>8} {'30 % dearer':>12} {'same':>6}"] * 2))
        for name in early:
            said = (f"{e:>8.4f} {dearer:>12.1%} {same:>6.1%}" for e, dearer, same in (early[name], late[name]))
            print(f"{name:<42} " + "   ".join(said))
        print(f"{time.process_time() - begun:.1f} CPU s\n")


def sample() -> None:
    """The sample retailer, whose price list tells."""
    with tempfile.TemporaryDirectory() as root:
        home = Home.at(Path(root))
        simulate(home.root, "demo", days=SAMPLE_DAYS)
        lake = Lake.at(home.lake)
        load_landing(lake, home)
        print("sample retailer, unit_price without promotions")
        measure(lake, "unit_price", LISTED)


def real(mapping: str, path: Path) -> None:
    """A retailer's files, imported into a home of their own."""
    with tempfile.TemporaryDirectory() as root:
        home = Home.at(Path(root))
        lake = Lake.at(home.lake)
        import_retailer(lake, home, PROJECT_ROOT / "configs" / "mappings" / f"{mapping}.yaml", path)
        for column in ("unit_price",) if mapping == "online_retail" else ("unit_price", "list_price"):
            print(f"{mapping}, {column}")
            measure(lake, column, PAID)


def main() -> None:
    """Measures the sample and, where they are, the real sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of the data sets (RETAIL_REAL_DATA if not given)")
    data = parser.parse_args().data or os.environ.get("RETAIL_REAL_DATA", "")
    sample()
    for mapping in REAL:
        if not data or not Path(data, mapping).is_dir():
            print(f"NOT MEASURED: there is no {Path(data, mapping)}; set RETAIL_REAL_DATA")
            continue
        real(mapping, Path(data, mapping))


if __name__ == "__main__":
    main()
