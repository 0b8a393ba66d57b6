"""The feature marts against a reference that counts day by day, and a rebuilt day against a full rebuild."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
import yaml

from retail_assets.resources.duck import EXTENSIONS
from retail_assets.resources.environments import PROJECT_ROOT

DBT = PROJECT_ROOT / "dbt_project"
FIRST, DAYS = date(2026, 1, 1), 150
ZONES = {"S1": "America/New_York", "S2": "Europe/Berlin", "S3": None}
MARTS = ("feat_store_product_daily", "feat_store", "feat_product", "feat_customer_daily", "feat_payment_token_daily")
TOUCHED = [FIRST + timedelta(days=n) for n in (70, 71, 90)]

TABLES = """
create schema marts; create schema staging; create schema intermediate;
create table marts.dim_store(store_id varchar, time_zone varchar, day_ends varchar);
create table marts.fct_sales_daily(store_id varchar, sku varchar, business_date date, gross_units double,
    returned_units double, gross_amount decimal(18,2), receipts integer, on_promotion boolean, discount_share double,
    list_price decimal(12,4), unit_cost decimal(12,4), competitor_price decimal(12,4), on_hand integer,
    is_stocked_out boolean, last_delivered_at timestamp);
create table staging.stg_weather(store_id varchar, business_date date, temp_max_c double, precipitation_mm double,
    delivered_at timestamp);
create table marts.fct_baskets(receipt_id varchar, store_id varchar, business_date date, customer_id varchar,
    units double, net_amount_reporting decimal(18,2), promo_lines integer, lines integer, is_return boolean);
create table marts.fct_sessions(session_id varchar, store_id varchar, business_date date, customer_id varchar,
    carts integer);
create table intermediate.int_pos_lines(receipt_id varchar, store_id varchar, business_date date, customer_id varchar,
    delivered_at timestamp);
create table staging.stg_click_events(session_id varchar, store_id varchar, business_date date, customer_id varchar,
    delivered_at timestamp);
create table marts.fct_payments(payment_id varchar, store_id varchar, business_date date, card_token varchar,
    amount decimal(12,2), amount_reporting decimal(18,2), is_online boolean, device_id varchar, ip_country varchar);
create table staging.stg_payments(payment_id varchar, business_date date, delivered_at timestamp);
create table staging.stg_chargebacks(payment_id varchar, reported_on date, delivered_at timestamp);
"""


def end_of(day: date, zone: str | None) -> datetime:
    """The end of a local day as naive UTC."""
    local = datetime.combine(day + timedelta(days=1), datetime.min.time(), ZoneInfo(zone or "UTC"))
    return local.astimezone(UTC).replace(tzinfo=None)


def sales(seed: int, sparse: float) -> list[tuple]:
    """Facts of 3 stores and 6 SKUs with closed days, gaps, stock-outs, returns and late files."""
    chance, rows = random.Random(seed), []
    for store, zone in ZONES.items():
        for number in range(DAYS):
            day = FIRST + timedelta(days=number)
            if chance.random() < 0.06 or (store == "S2" and day.isoweekday() == 7):
                continue
            late = timedelta(hours=chance.choice([5, 5, 5, 5, 60]))
            for sku in range(6):
                if chance.random() < (0.95 if sku < 2 else sparse):
                    rows.append(fact(chance, store, f"P{sku}", day, end_of(day, zone) + late))
    return rows


def fact(chance: random.Random, store: str, sku: str, day: date, delivered: datetime) -> tuple:
    units = chance.choice([0, 0, 1, 2, 3, 0.345, 7])
    on_hand = chance.choice([None, 0, 4, 20])
    price = chance.choice([None, 2.5, 3.0])
    return (
        store, sku, day, units, chance.choice([0, 0, 1]), round(units * 2.5, 2), int(units > 0),
        chance.random() < 0.2, None, price, 1.1, chance.choice([None, 2.8]), on_hand, on_hand == 0, delivered,
    )  # fmt: skip


def events(seed: int) -> dict[str, list[tuple]]:
    """Baskets, sessions, payments and chargebacks of 4 customers and 4 tokens, with their deliveries."""
    chance = random.Random(seed)
    found: dict[str, list[tuple]] = {name: [] for name in (
        "marts.fct_baskets", "intermediate.int_pos_lines", "marts.fct_sessions", "staging.stg_click_events",
        "marts.fct_payments", "staging.stg_payments", "staging.stg_chargebacks",
    )}  # fmt: skip
    for number in range(500):
        store = chance.choice(list(ZONES))
        day = FIRST + timedelta(days=chance.randrange(DAYS))
        delivered = end_of(day, ZONES[store]) + timedelta(hours=chance.choice([3, 30]))
        who, key = f"C{chance.randrange(4)}", f"{number}"
        units, amount = chance.choice([-1, 1, 2.5]), chance.randrange(100, 9000) / 100
        basket = (key, store, day, who, units, amount, chance.randrange(2), 2, units < 0)
        found["marts.fct_baskets"].append(basket)
        found["intermediate.int_pos_lines"] += [(key, store, day, who, delivered)] * 2
        found["marts.fct_sessions"].append((key, store, day, who, chance.randrange(2)))
        found["staging.stg_click_events"].append((key, store, day, who, delivered))
        device, country = f"d{chance.randrange(3)}", chance.choice(["US", "DE"])
        paid = (key, store, day, f"T{chance.randrange(4)}", amount, amount, chance.random() < 0.5, device, country)
        found["marts.fct_payments"].append(paid)
        found["staging.stg_payments"].append((key, day, delivered))
        if chance.random() < 0.2:
            reported = day + timedelta(days=chance.randrange(1, 50))
            found["staging.stg_chargebacks"].append((key, reported, end_of(reported, None)))
    return found


def fill(path: Path, facts: list[tuple], others: dict[str, list[tuple]]) -> None:
    """A DuckDB file with what the feature marts read."""
    with duckdb.connect(str(path)) as db:
        db.execute(TABLES)
        weather = [(s, d, 12.3, 0.5, end_of(d, None)) for s, d in sorted({(row[0], row[2]) for row in facts})]
        tables = {
            "marts.dim_store": [(store, zone, None) for store, zone in ZONES.items()],
            "marts.fct_sales_daily": facts,
            "staging.stg_weather": weather,
        }
        for name, rows in (tables | others).items():
            marks = ", ".join("?" * len(rows[0]))
            db.executemany(f"insert into {name} values ({marks})", rows)


def compiled(path: Path, target: Path, days: dict[str, list[str]]) -> dict[str, str]:
    """The SQL of each feature mart as dbt compiles it for the DuckDB file; `days` as a run gets them."""
    command = [sys.executable, "-m", "dbt.cli.main", "--quiet", "compile", "--select", "feat_*"]
    command += ["--project-dir", str(DBT), "--profiles-dir", str(DBT), "--target-path", str(target)]
    places = {"RETAIL_WAREHOUSE_FILE": str(path), "DBT_LOG_PATH": str(target)}
    places["RETAIL_DUCKDB_EXTENSIONS"] = str(EXTENSIONS)
    done = subprocess.run(
        [*command, "--vars", json.dumps({"days": days})], env=os.environ | places, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    folder = target / "compiled" / "retail" / "models" / "marts"
    return {mart: (folder / f"{mart}.sql").read_text() for mart in MARTS}


def build(path: Path, sql: dict[str, str], finish: str) -> None:
    """Runs the compiled marts on a file: `create table marts.{mart} as` or `insert into marts.{mart}`."""
    with duckdb.connect(str(path)) as db:
        db.execute("SET TimeZone = 'UTC'; SET threads = 2")
        for mart, text in sql.items():
            db.execute(finish.format(mart=mart) + text)


def read(path: Path, mart: str) -> list[tuple]:
    with duckdb.connect(str(path), read_only=True) as db:
        return db.execute(f"select * from marts.{mart} order by all").fetchall()


@pytest.fixture(scope="module")
def whole_sql(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The marts as a full build runs them, for any file named retail.duckdb."""
    folder = tmp_path_factory.mktemp("compiled")
    return compiled(folder / "retail.duckdb", folder / "target", {})


def built(folder: Path, sql: dict[str, str], facts: list[tuple], others: dict[str, list[tuple]]) -> Path:
    """A warehouse file whose feature marts were built whole."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "retail.duckdb"
    fill(path, facts, others)
    build(path, sql, "create table marts.{mart} as ")
    return path


@pytest.fixture(scope="module")
def full(whole_sql: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse that the other tests look at."""
    return built(tmp_path_factory.mktemp("marts"), whole_sql, sales(1, 0.15), events(1))


@pytest.fixture(scope="module")
def rows(full: Path) -> list[dict[str, Any]]:
    """feat_store_product_daily as dictionaries."""
    with duckdb.connect(str(full), read_only=True) as db:
        return db.execute("select * from marts.feat_store_product_daily order by all").to_arrow_table().to_pylist()


Facts = dict[tuple[str, str, date], tuple]


@pytest.fixture(scope="module")
def facts() -> Facts:
    return {row[:3]: row for row in sales(1, 0.15)}


def window(
    facts: Facts, row: dict[str, Any], length: int
) -> Callable[[], list[tuple[date, float, bool, tuple | None]]]:
    """(day, units, stocked out, fact) of the trading days in the window, from the first day the product was seen."""
    store, sku, last = row["store_id"], row["sku"], row["business_date"]
    open_days = {day for s, _, day in facts if s == store}
    within = [last - timedelta(days=n) for n in range(55, -1, -1)]
    first = min(day for day in within if (store, sku, day) in facts)
    counted = [d for d in within[-length:] if d in open_days and d >= first]
    found = [facts.get((store, sku, day)) for day in counted]
    return lambda: [(d, f[3] if f else 0.0, bool(f and f[13]), f) for d, f in zip(counted, found, strict=True)]


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def test_demand_is_the_mean_over_trading_days_in_stock(rows: list[dict[str, Any]], facts: Facts) -> None:
    for row in random.Random(3).sample(rows, 250):
        for length in (7, 28, 56):
            days = window(facts, row, length)()
            expected = mean([units for _, units, out, _ in days if not out])
            assert row[f"units_mean_{length}"] == pytest.approx(expected, abs=1e-9), (row["store_id"], length)
        for number, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), start=1):
            days = [d for d in window(facts, row, 56)() if d[0].isoweekday() == number]
            expected = mean([units for _, units, out, _ in days if not out])
            assert row[f"units_{name}_mean_8"] == pytest.approx(expected, abs=1e-9)
            if row["business_date"].isoweekday() == number:
                assert row["units_weekday_mean_8"] == row[f"units_{name}_mean_8"]


def test_shares_prices_and_spread_are_those_of_the_window(rows: list[dict[str, Any]], facts: Facts) -> None:
    for row in random.Random(4).sample(rows, 250):
        days = window(facts, row, 28)()
        demand = [units for _, units, out, _ in days if not out]
        seen = [fact for _, _, _, fact in days if fact]
        assert row["nonzero_share_28"] == pytest.approx(mean([float(u > 0) for u in demand]))
        assert row["stockout_share_28"] == pytest.approx(mean([float(out) for _, _, out, _ in days]))
        assert row["promo_share_28"] == pytest.approx(sum(f[7] for f in seen) / len(days))
        sold = sum(f[3] for f in seen)
        paid = pytest.approx(float(sum(f[5] for f in seen)) / sold) if sold else None
        assert row["unit_price_mean_28"] == paid
        if len(demand) > 1:
            average = sum(demand) / len(demand)
            variance = sum((u - average) ** 2 for u in demand) / (len(demand) - 1)
            assert row["units_std_28"] == pytest.approx(variance**0.5, abs=1e-6)


def test_lags_count_from_the_day_that_is_forecast_first(rows: list[dict[str, Any]], facts: Facts) -> None:
    for row in random.Random(5).sample(rows, 250):
        key = (row["store_id"], row["sku"])
        for lag in (1, 7, 14, 28):
            day = row["business_date"] - timedelta(days=lag - 1)
            within = [row["business_date"] - timedelta(days=n) for n in range(56)]
            known = lag == 1 or any((*key, d) in facts and d <= day for d in within)
            fact = facts.get((*key, day))
            assert row[f"units_lag_{lag}"] == ((fact[3] if fact else 0.0) if known else None)
        sold = [n for n in range(56) if (f := facts.get((*key, row["business_date"] - timedelta(days=n)))) and f[3] > 0]
        assert row["days_since_sale"] == min(sold, default=56)


def test_a_row_is_there_when_the_product_is_seen_or_was_seen_often(rows: list[dict[str, Any]], facts: Facts) -> None:
    found = {(r["store_id"], r["sku"], r["business_date"]) for r in rows}
    expected = set(facts)
    for store, day in {(s, d) for s, _, d in facts}:
        for sku in (f"P{n}" for n in range(6)):
            if sum((store, sku, day - timedelta(days=n)) in facts for n in range(56)) >= 4:
                expected.add((store, sku, day))
    assert found == expected


def test_a_row_is_known_when_the_last_file_of_its_windows_was_there(rows: list[dict[str, Any]], facts: Facts) -> None:
    for row in random.Random(6).sample(rows, 250):
        assert row["event_timestamp"] == end_of(row["business_date"], ZONES[row["store_id"]])
        own = [f for _, _, _, f in window(facts, row, 56)() if f]
        assert row["created_timestamp"] >= max(f[14] for f in own)
        if facts.get((row["store_id"], row["sku"], row["business_date"])):
            assert row["created_timestamp"] == max(f[14] for f in own)


def test_history_that_is_loaded_at_once_counts_as_known_in_its_time(whole_sql: dict[str, str], tmp_path: Path) -> None:
    loaded = datetime(2026, 11, 1)  # noqa: DTZ001 (naive UTC, as in the warehouse)
    path = built(tmp_path, whole_sql, [(*fact[:-1], loaded) for fact in sales(2, 0.5)], events(2))
    with duckdb.connect(str(path), read_only=True) as db:
        late = "select count(*) from marts.feat_store_product_daily where created_timestamp > event_timestamp"
        assert db.execute(late).fetchall() == [(0,)]


def test_a_chargeback_counts_from_the_day_it_was_reported(full: Path) -> None:
    with duckdb.connect(str(full), read_only=True) as db:
        expected = """
            select t.card_token, t.business_date, count(c.payment_id)
            from marts.feat_payment_token_daily t
            left join (
                select p.card_token, c.payment_id, c.reported_on
                from staging.stg_chargebacks c join marts.fct_payments p using (payment_id)
            ) c on c.card_token = t.card_token and c.reported_on between t.business_date - 89 and t.business_date
            group by all order by all"""
        found = (
            "select card_token, business_date, token_chargebacks_90 from marts.feat_payment_token_daily order by all"
        )
        assert db.execute(found).fetchall() == db.execute(expected).fetchall()
        assert db.execute("select max(token_chargebacks_90) > 1 from marts.feat_payment_token_daily").fetchall() == [
            (True,)
        ]


def test_windows_of_customers_and_tokens_are_plain_sums(full: Path) -> None:
    with duckdb.connect(str(full), read_only=True) as db:
        for days in (7, 28, 90):
            wrong = f"""
                select t.customer_id, t.business_date, any_value(customer_spend_{days}) as found,
                    sum(b.net_amount_reporting)::double as expected
                from marts.feat_customer_daily t
                left join marts.fct_baskets b on b.customer_id = t.customer_id
                    and b.business_date between t.business_date - {days - 1} and t.business_date
                group by all having abs(found - coalesce(expected, 0)) > 1e-9"""
            assert db.execute(wrong).fetchall() == []
            wrong = f"""
                select t.card_token, t.business_date, any_value(token_payments_{days}) as found, count(*) as expected
                from marts.feat_payment_token_daily t
                join marts.fct_payments p on p.card_token = t.card_token
                    and p.business_date between t.business_date - {days - 1} and t.business_date
                group by all having found <> expected"""
            assert db.execute(wrong).fetchall() == []


def test_days_that_are_rebuilt_are_those_of_a_full_rebuild(
    full: Path, whole_sql: dict[str, str], tmp_path: Path
) -> None:
    """Some days change; only the days that their windows reach are rebuilt, and everything equals a full build."""
    chance = random.Random(9)
    kept = [f for f in sales(1, 0.15) if f[2] not in TOUCHED or chance.random() < 0.6]
    late = [(f"P{n}", day) for n in (3, 4, 5) for day in TOUCHED]
    added = [fact(chance, "S1", sku, day, end_of(day, None) + timedelta(days=3)) for sku, day in late]
    after = list({f[:3]: f for f in kept + added}.values())
    whole = built(tmp_path / "whole", whole_sql, after, events(1))
    partly = tmp_path / "retail.duckdb"
    fill(partly, after, events(1))
    days = {mart: _reached(_days_after(mart)) for mart in MARTS}
    with duckdb.connect(str(partly)) as db:
        db.execute(f"attach '{full}' as old (read_only)")
        for mart in MARTS:
            untouched = "not list_contains(?, business_date::varchar)"
            db.execute(f"create table marts.{mart} as from old.marts.{mart} where {untouched}", [days[mart]])
    build(partly, compiled(partly, tmp_path / "target", days), "insert into marts.{mart} ")
    for mart in MARTS:
        assert read(partly, mart) == read(whole, mart), mart
    assert read(full, MARTS[0]) != read(whole, MARTS[0])


def _reached(after: int) -> list[str]:
    days = {day + timedelta(days=n) for day in TOUCHED for n in range(after + 1)}
    return sorted(day.isoformat() for day in days)


def _days_after(mart: str) -> int:
    """How far a changed day reaches, as the model tells the warehouse."""
    (model,) = yaml.safe_load((DBT / "models" / "marts" / f"{mart}.yml").read_text())["models"]
    return int(model["config"]["meta"]["days_after"])
