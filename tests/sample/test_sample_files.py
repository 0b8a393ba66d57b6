"""What the files say must agree with itself and with the dialect of the country, and must not betray the truth."""

import json
import re
from datetime import UTC, date, datetime

import pandas as pd
import pytest

from retail_assets.resources.environments import Home
from tests.sample.sample_files import clean_pos, csv_table, faulty_files, pos_rows, sql, tree, truth

CARD_NUMBER = re.compile(rb"(?<!\d)(?:\d[ -]?){12,18}\d(?!\d)")


@pytest.fixture(scope="module")
def pos(tiny: Home) -> pd.DataFrame:
    return clean_pos(tiny)


@pytest.fixture(scope="module")
def payments(tiny: Home) -> pd.DataFrame:
    return sql(f"select distinct * from '{tiny.landing}/payments/*.parquet'")


def test_payment_is_the_sum_of_its_receipt(pos: pd.DataFrame, payments: pd.DataFrame) -> None:
    paid = pos[pos["payment_id"] != ""]
    totals = (paid["quantity"] * paid["unit_price"]).groupby(paid["payment_id"]).sum().round(2)
    amounts = payments.set_index("payment_id")["amount"].astype(float)
    common = totals.index.intersection(amounts.index)
    assert len(common) > 0.9 * len(amounts)
    assert (totals[common] - amounts[common]).abs().max() < 0.005


def test_every_payment_on_a_line_exists_once(pos: pd.DataFrame, payments: pd.DataFrame) -> None:
    late = set(pos["payment_id"]) - {""} - set(payments["payment_id"])
    assert not late
    assert payments["payment_id"].is_unique and payments["receipt_id"].is_unique
    assert (payments["amount"] > 0).all()


def test_receipts_are_whole(pos: pd.DataFrame) -> None:
    """Lines count from 1, one time and one customer per receipt, and the key (receipt, line) is unique."""
    groups = pos.groupby("receipt_id")
    assert (groups["line_no"].apply(lambda s: sorted(s.astype(int)) == list(range(1, len(s) + 1)))).all()
    facts = ["sold_at", "customer_id", "store_id"]
    assert (groups[facts].first() == groups[facts].last()).all(axis=None)
    assert len(pos[["receipt_id", *facts]].drop_duplicates()) == groups.ngroups


def test_prices_are_paid_prices(pos: pd.DataFrame) -> None:
    sales = pos[pos["quantity"] > 0]
    plain = sales[sales["promo_code"] == ""]
    reduced = sales[sales["promo_code"] != ""]
    assert (plain["unit_price"] == plain["list_price"]).all()
    assert (reduced["unit_price"] < reduced["list_price"]).all()
    assert (sales["unit_price"] > 0).all()


def test_returns_take_back_earlier_sales(tiny: Home, pos: pd.DataFrame) -> None:
    returned = pos[pos["quantity"] < 0].astype({"line_no": "int32"})
    assert len(returned) > 20
    assert (returned["payment_id"] == "").all()
    links = truth(tiny, "returns")
    found = returned.merge(links, on=["receipt_id", "line_no"])
    assert len(found) == len(returned)
    sales = pos.astype({"line_no": "int32"}).rename(
        columns={"receipt_id": "sold_receipt_id", "line_no": "sold_line_no"}
    )
    pairs = found.merge(sales, on=["sold_receipt_id", "sold_line_no"], suffixes=("", "_sold"))
    assert len(pairs) > 0.9 * len(found)
    assert (pairs["sku"] == pairs["sku_sold"]).all() and (pairs["unit_price"] == pairs["unit_price_sold"]).all()
    assert (pairs["business_date"] > pairs["business_date_sold"]).all()
    assert (-pairs["quantity"] <= pairs["quantity_sold"]).all()


def test_sold_units_agree_with_truth(tiny: Home, pos: pd.DataFrame) -> None:
    sales = pos[pos["quantity"] > 0]
    files = sales[["store_id", "business_date"]].drop_duplicates()
    demand = truth(tiny, "demand").astype({"store_id": str, "sku": str, "business_date": "datetime64[ns]"})
    expected = demand.merge(files).query("sold > 0").set_index(["store_id", "sku", "business_date"])["sold"]
    found = sales.groupby(["store_id", "sku", "business_date"])["quantity"].sum()
    pd.testing.assert_series_equal(
        found.sort_index(), expected.sort_index().astype(float), check_names=False, check_dtype=False
    )


@pytest.mark.parametrize(
    ("store", "header", "pattern", "price"),
    [
        ("US-001", "store_id,receipt_id,line_no,sold_at,sku,quantity,unit_price,list_price,promo_code,customer_id,"
         "payment_id,currency", "%m/%d/%Y %I:%M:%S %p", r"\d+\.\d\d"),
        ("UK-001", "store,receipt,line,date_time,product_code,qty,price,rrp,promo,customer,payment,ccy",
         "%d/%m/%Y %H:%M:%S", r"\d+\.\d\d"),
        ("DE-001", "Filiale;Bon;Position;Zeitpunkt;Artikel;Menge;Preis;Listenpreis;Aktion;Kunde;Zahlung;Waehrung",
         "%d.%m.%Y %H:%M:%S", r"\d+,\d\d"),
    ],
)  # fmt: skip
def test_dialect(tiny: Home, store: str, header: str, pattern: str, price: str) -> None:
    path = sorted((tiny.landing / "pos" / store).iterdir())[3]
    assert path.read_text().splitlines()[0] == header
    day = path.name.split("_")[2]
    rows = pos_rows(path)
    assert len(rows) > 10
    for row in rows:
        assert len(row) == 12
        assert datetime.strptime(row[3], pattern).replace(tzinfo=UTC).strftime("%Y%m%d") == day
        assert re.fullmatch(price, row[6]) and re.fullmatch(price, row[7])


def test_promo_texts_with_a_delimiter_are_quoted(tiny: Home) -> None:
    texts = {"US": b'"WEEKEND, 2 FOR 1 ', "UK": b'"BUY MORE, SAVE MORE ', "DE": b'"SPAR; WOCHENENDE '}
    for code, text in texts.items():
        assert any(text in p.read_bytes() for p in tiny.landing.glob(f"promotions/promotions_{code}_*.csv")), code
    assert any(text in p.read_bytes() for p in tiny.landing.glob("pos/*/*.csv") for text in texts.values())


def test_promo_codes_on_lines_are_announced(tiny: Home, pos: pd.DataFrame) -> None:
    promotions = csv_table(tiny, "promotions/*.csv", parse_dates=["starts_on", "ends_on", "announced_on"])
    assert promotions["promo_code"].is_unique
    sales = pos[(pos["promo_code"] != "") & (pos["quantity"] > 0)]
    joined = sales.merge(promotions, on=["promo_code", "sku"], how="left")
    assert joined["starts_on"].notna().all()
    assert joined["business_date"].between(joined["starts_on"], joined["ends_on"]).all()
    ahead = (promotions["starts_on"] - promotions["announced_on"]).dt.days
    assert set(ahead) <= {3, 35}


def test_references_are_delivered_before_they_are_used(tiny: Home, pos: pd.DataFrame) -> None:
    known_skus = {
        r["sku"] for p in tiny.landing.glob("catalogue/products_US_*.json") for r in json.loads(p.read_text())
    }
    customers = {
        json.loads(line)["customer_id"]: path.name.split("_")[1]
        for path in tiny.landing.glob("customers/*.jsonl")
        for line in path.read_text().splitlines()
    }
    stores = set(csv_table(tiny, "stores/*.csv")["store_id"])
    assert len(customers) == 500
    assert set(pos["sku"]) <= known_skus and set(pos["store_id"]) == stores
    shown = pos[pos["customer_id"] != ""]
    assert (shown["customer_id"].map(customers) <= shown["business_date"].dt.strftime("%Y%m%d")).all()


def test_catalogue_uses_the_colour_word_and_language_of_the_country(tiny: Home) -> None:
    for code, field in (("US", "color"), ("UK", "colour"), ("DE", "Farbe")):
        records = json.loads(next(tiny.landing.glob(f"catalogue/products_{code}_20251005_*.json")).read_text())
        assert {"color", "colour", "Farbe"} & set(records[0]) == {field}
        assert any(record[field] for record in records)
    german = next(tiny.landing.glob("catalogue/products_DE_20251005_*.json")).read_text()
    assert "Eiscreme" in german and "Tiefkühlpizza" in german and "schwarz" in german


def test_list_prices_stay_above_cost_and_change(tiny: Home) -> None:
    prices = csv_table(tiny, "prices/*.csv")
    assert (prices["list_price"] > prices["unit_cost"]).all()
    changes = prices.groupby(["country", "sku"])["list_price"].nunique()
    assert (changes > 1).mean() > 0.5
    assert not prices.duplicated(["country", "sku", "effective_on"]).any()


def test_stock_has_one_row_per_listed_series_and_day(tiny: Home) -> None:
    skip = faulty_files(tiny)
    frames = [
        pd.read_csv(p, sep=";" if "_DE_" in p.name else ",")
        for p in tiny.landing.glob("stock/*.csv")
        if f"stock/{p.name}" not in skip
    ]
    stock = pd.concat(frames, ignore_index=True)
    assert not stock.duplicated(["store_id", "sku", "counted_on"]).any()
    assert (stock["on_hand"] >= 0).all() and (stock["on_hand"] == 0).any()
    demand = truth(tiny, "demand").astype({"store_id": str, "sku": str})
    demand["counted_on"] = demand["business_date"].astype(str)
    joined = stock.merge(demand, on=["store_id", "sku", "counted_on"], suffixes=("", "_truth"))
    assert len(joined) == len(stock)
    assert (joined["on_hand"] == joined["on_hand_truth"]).all()


def test_german_stores_close_on_sundays_and_holidays(tiny: Home) -> None:
    days = {date.fromisoformat(p.name.split("_")[2]) for p in tiny.landing.glob("pos/DE-001/*.csv")}
    assert days and all(day.weekday() < 6 for day in days)
    assert date(2025, 12, 26) not in days and date(2025, 12, 27) in days
    web = {p.name.split("_")[2] for p in tiny.landing.glob("pos/DE-WEB/*.csv")}
    assert len(web) == 90


def test_clicks_lead_to_web_receipts(tiny: Home, pos: pd.DataFrame) -> None:
    """Every line sold online was viewed, put into the cart and bought, in this order, by the same customer."""
    path = sorted((tiny.landing / "clicks" / "US-WEB").iterdir())[5]
    events = pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
    day = pd.Timestamp(path.name.split("_")[2])
    sold = pos[(pos["store_id"] == "US-WEB") & (pos["business_date"] == day) & (pos["quantity"] > 0)]
    bought = events[events["event_type"] == "purchase"]
    assert sorted(bought["customer_id"] + bought["sku"]) == sorted(sold["customer_id"] + sold["sku"])
    first = events.pivot_table(index=["session_id", "sku"], columns="event_type", values="occurred_at", aggfunc="min")
    done = first.dropna(subset=["purchase"])
    assert (done["view"] <= done["add_to_cart"]).all() and (done["add_to_cart"] <= done["purchase"]).all()
    assert events["event_id"].is_unique and events["occurred_at"].is_monotonic_increasing
    assert {"view", "search", "add_to_cart", "purchase"} == set(events["event_type"])
    assert events["customer_id"].isna().any()
    assert (events["sku"].isna() == (events["event_type"] == "search")).all()
    assert (events["query"].notna() == (events["event_type"] == "search")).all()


def test_no_card_number_anywhere(tiny: Home) -> None:
    for name, payload in tree(tiny.landing).items():
        if not name.endswith(".parquet"):
            assert not CARD_NUMBER.search(payload), name
    text = sql(f"select * from '{tiny.landing}/payments/*.parquet'").to_csv(index=False).encode()
    assert not CARD_NUMBER.search(text)


def test_card_number_pattern_would_find_one() -> None:
    assert CARD_NUMBER.search(b",4111111111111111,") and CARD_NUMBER.search(b"4111-1111-1111-1111")


def test_truth_is_not_in_landing(tiny: Home) -> None:
    words = re.compile(rb"is_fraud|elasticity|mean_demand|fraud_kind|taste|true_demand|account_takeover")
    for name, payload in tree(tiny.landing).items():
        assert not words.search(payload), name
    assert not any(name.startswith("truth") for name in tree(tiny.landing))


def test_instants_are_utc_and_on_the_local_day(payments: pd.DataFrame) -> None:
    zones = {"US": "America/New_York", "UK": "Europe/London", "DE": "Europe/Berlin"}
    for code, zone in zones.items():
        mine = payments[payments["store_id"].str.startswith(code)]
        local = mine["paid_at"].dt.tz_convert(zone).dt.strftime("%Y%m%d")
        assert (local == mine["receipt_id"].str.extract(r"-(\d{8})-")[0]).all()


def test_rates_and_weather_cover_every_day(tiny: Home) -> None:
    rates = csv_table(tiny, "rates/*.csv")
    assert (rates.groupby("rate_date").size() == 3).all() and rates["rate_date"].nunique() == 90
    assert (rates.loc[rates["currency"] == "USD", "rate_to_usd"] == 1).all()
    weather = [json.loads(p.read_text()) for p in tiny.landing.glob("weather/*.json")]
    assert len(weather) == 90 and all(len(day) == 6 for day in weather)
    assert all(row["temp_min_c"] < row["temp_max_c"] and row["precipitation_mm"] >= 0 for d in weather for row in d)
