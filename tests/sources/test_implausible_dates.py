"""A date decades off opens business days that nobody has; every source whose day comes from a column refuses it."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sources.config import SOURCES_DIR, load_contracts
from retail_assets.sources.load import import_retailer, load_source
from tests.sources.landing import Retailer
from tests.sources.test_mapping_mistakes import ROW, mapped, write

TODAY = datetime.now(UTC).date()
DATED = {name for name, contract in load_contracts().items() if contract.business_date.column != "delivered_at"}
STAMPED = "_d20251007T030000Z"
FILES = {  # source -> file and its rows, with the date to be filled in
    "chargebacks": ("chargebacks/c{stamp}.csv", "payment_id,reported_on,reason\nP{n},{day},x\n"),
    "exchange_rates": ("rates/r{stamp}.csv", "rate_date,currency,rate_to_usd\n{day},USD,1\n"),
    "competitor_prices": (
        "competitor_prices/c{stamp}.csv",
        "country,competitor,sku,observed_on,price,currency\nUS,x,SKU-00001,{day},1,USD\n",
    ),
    "stock_levels": ("stock/stock_US_{stamp}.csv", "store_id,sku,counted_on,on_hand\nUS-001,SKU-00001,{day},1\n"),
    "price_list": (
        "prices/p{stamp}.csv",
        "country,sku,effective_on,list_price,unit_cost,currency\nUS,SKU-00001,{day},2,1,USD\n",
    ),
    "promotions": (
        "promotions/p{stamp}.csv",
        "promo_code,country,sku,starts_on,ends_on,announced_on\nP{n},US,SKU-00001,{day},{day},{day}\n",
    ),
    "weather": ("weather/w{stamp}.json", '{{"store_id":"US-001","observed_on":"{day}"}}\n'),
    "click_events": (
        "clicks/US-WEB/c{stamp}.jsonl",
        '{{"event_id":"E{n}","session_id":"S","store_id":"US-WEB","event_type":"search",'
        '"occurred_at":"{day}T12:00:00Z"}}\n',
    ),
}


def test_every_dated_source_is_tried_below() -> None:
    assert {*FILES, "pos_lines", "payments"} == DATED


def test_a_date_far_off_is_quarantined_in_every_source(retailer: Retailer) -> None:
    days = ["2048-03-01", "1989-12-31", "1990-01-01", "2025-10-06", "0024-03-01"]
    for name, content in FILES.values():
        header = content.splitlines()[0] + "\n" if content.count("\n") > 1 else ""
        rows = [content.removeprefix(header).format(n=n, day=day) for n, day in enumerate(days)]
        retailer.put(name.format(stamp=STAMPED), header + "".join(rows))
    loaded = retailer.load()
    for source in FILES:
        report = loaded.source(source)
        assert (report.rows_bronze, report.quarantined_by_reason["implausible_date"]) == (2, 3), source
        reasons = [reason for _, found in retailer.reasons(source) for reason in found if "implausible_date" in reason]
        last = "2028-10-07" if source in ("price_list", "promotions") else "2025-10-09"
        assert reasons[0].startswith(f"implausible_date: 2048-03-01 is after {last}, "), source
        assert reasons[1] == "implausible_date: 1989-12-31 is before 1990-01-01"
        assert [row["business_date"].year for row in retailer.bronze(source)] == [1990, 2025]


@pytest.mark.parametrize(("ahead", "good"), [(1, True), (2, True), (4, False)])
def test_a_file_without_a_stamp_is_measured_by_the_day_of_the_load(retailer: Retailer, ahead: int, good: bool) -> None:
    day = TODAY + timedelta(days=ahead)
    retailer.put("weather/weather.json", f'{{"store_id":"US-001","observed_on":"{day}"}}\n')
    assert retailer.load_only("weather").rows_bronze == good


def test_a_promotion_may_not_run_for_decades(retailer: Retailer) -> None:
    header = "promo_code,country,sku,starts_on,ends_on,announced_on\n"
    rows = ["P1,US,SKU-00001,2025-10-06,2048-10-06,2025-10-01\n", "P2,US,SKU-00001,2027-10-06,2027-10-09,2025-10-01\n"]
    retailer.put("promotions/p_d20251007T030000Z.csv", header + "".join(rows))
    report = retailer.load_only("promotions")
    assert (report.rows_bronze, report.quarantined_by_reason) == (1, {"implausible_period": 1})


OLD = {"time": "1987-05-01 10:00"}
FUTURE = {"time": "2048-03-01 10:00", "receipt": "2"}


@pytest.mark.parametrize(
    ("line", "kept"),
    [("", 1), ("    not_before: 1980-01-01\n", 2), ("    skip_rules: [implausible_date]\n", 3)],
)
def test_a_mapping_may_reach_further_back(tmp_path: Path, home: Home, lake: Lake, line: str, kept: int) -> None:
    write(tmp_path, ROW | {"receipt": "3"}, ROW | OLD, ROW | FUTURE)
    days = "delivered_at: business_day_end\n    timestamps: local"
    mapping, _ = mapped(tmp_path, "    timestamps: local\n", f"{line}    {days}\n")
    lines = import_retailer(lake, home, mapping, tmp_path).source("pos_lines")
    assert (lines.rows_bronze, lines.rows_quarantined) == (kept, 3 - kept)


def test_the_bounds_of_a_source_are_in_its_contract(retailer: Retailer, tmp_path: Path) -> None:
    configs = Path(shutil.copytree(SOURCES_DIR, tmp_path / "sources"))
    contract = configs / "weather.yaml"
    bounds = "{from: observed_on, not_before: 1980-01-01, days_ahead: 10}"
    contract.write_text(contract.read_text().replace("{from: observed_on}", bounds))
    days = ("1985-06-01", "2025-10-17", "2025-10-18")
    rows = [f'{{"store_id":"US-001","observed_on":"{day}"}}\n' for day in days]
    retailer.put("weather/w_d20251007T030000Z.json", "".join(rows))
    report = load_source(retailer.lake, retailer.home.landing, load_contracts(configs)["weather"])
    assert (report.rows_bronze, report.rows_quarantined) == (2, 1)


def test_somebody_who_joins_next_year_has_not_joined(retailer: Retailer) -> None:
    people = [{"customer_id": f"C-{day}", "country": "US", "joined_on": day} for day in ("2025-10-01", "2026-10-01")]
    retailer.put(f"customers/customers{STAMPED}.jsonl", "".join(json.dumps(one) + "\n" for one in people))
    report = retailer.load_only("customers")
    assert (report.rows_bronze, report.quarantined_by_reason) == (1, {"implausible_date": 1})
