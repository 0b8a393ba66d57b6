"""A planner moves a price: the changed curve is the elasticity's, on the days asked about and no other."""

import json
from datetime import date, timedelta
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from retail_assets.planning.read import UnknownForecast
from retail_assets.planning.what_if import Change, WhatIfError, promotion_display, what_if
from retail_assets.planning.what_if_view import answer_document, save_plot, show_answer, totals
from retail_assets.pricing.response.model import PriceModel
from retail_assets.resources.lake import Lake
from tests.planning.small_plan import ORIGIN, SKUS, STORES, write_plan

SKU, STORE = "SKU-00001", "US-001"
FIRST, LAST = ORIGIN + timedelta(days=8), ORIGIN + timedelta(days=14)
DISPLAY, ELASTICITY = 1.4, -2.0


@pytest.fixture(scope="module")
def model() -> PriceModel:
    """Elasticity -2 (-2.5 to -1.5) for each SKU, category and the chain."""
    categories = tuple(sorted(set(SKUS.values())))
    row = [ELASTICITY, 0.25, -2.5, -1.5, -1.8, 0.9]
    table = np.tile(row, (len(SKUS) + len(categories) + 1, 1))
    return PriceModel("p1", str(ORIGIN), tuple(sorted(SKUS)), categories, table, pa.table({}))


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The small plan with prices of 10 and a promotion of 20 % on three days of the forecast."""
    lake = write_plan(Lake.at(tmp_path_factory.mktemp("what_if") / "lake"))
    prices = [
        {"store_id": s, "sku": k, "valid_from": date(2026, 1, 1), "valid_to": None, "list_price": 10.0,
         "unit_cost": 6.0, "currency": "USD"} for s in STORES for k in SKUS if k != "SKU-00006"
    ]  # fmt: skip
    lake.overwrite("gold", "fct_price_history", pa.Table.from_pylist(prices, schema=pa.schema([
        ("store_id", pa.string()), ("sku", pa.string()), ("valid_from", pa.date32()), ("valid_to", pa.date32()),
        ("list_price", pa.float64()), ("unit_cost", pa.float64()), ("currency", pa.string())])))  # fmt: skip
    planned = [
        {"country": "US", "sku": SKU, "starts_on": ORIGIN + timedelta(days=20), "ends_on": ORIGIN + timedelta(days=22),
         "discount_pct": 20.0, "announced_on": ORIGIN - timedelta(days=9)},
        {"country": "US", "sku": SKU, "starts_on": ORIGIN + timedelta(days=24), "ends_on": ORIGIN + timedelta(days=25),
         "discount_pct": 50.0, "announced_on": ORIGIN + timedelta(days=1)},
    ]  # fmt: skip
    lake.overwrite("gold", "dim_promotion", pa.Table.from_pylist(planned + _past()))
    lake.overwrite("gold", "fct_sales_daily", pa.Table.from_pandas(_year(), preserve_index=False), ["business_date"])
    return lake


def _past() -> list[dict[str, object]]:
    return [
        {"country": country, "sku": sku, "starts_on": day, "ends_on": day + timedelta(days=6), "discount_pct": 25.0,
         "announced_on": day - timedelta(days=30)}
        for country in ("US", "DE") for sku in SKUS for day in (date(2025, 10, 6), date(2026, 2, 2), date(2026, 4, 6))
    ]  # fmt: skip


def _year() -> pd.DataFrame:
    """A year of sales whose promotions of 25 % lift by the price effect times DISPLAY; full shelves sell out."""
    chance = np.random.default_rng(4)
    days = pd.date_range(ORIGIN - timedelta(days=330), ORIGIN)
    rows = pd.MultiIndex.from_product([sorted(STORES), sorted(SKUS), days], names=["store_id", "sku", "day"])
    frame = rows.to_frame(index=False)
    day = frame["day"].dt.date
    promoted = np.zeros(len(frame), dtype=bool)
    for first in (date(2025, 10, 6), date(2026, 2, 2), date(2026, 4, 6)):
        promoted |= ((day >= first) & (day < first + timedelta(days=7))).to_numpy()
    mean = 6.0 * np.where(frame["day"].dt.weekday >= 5, 1.5, 1.0)
    demand = chance.poisson(mean * np.where(promoted, DISPLAY * 0.75**ELASTICITY, 1.0))
    shelf = chance.integers(12, 60, len(frame))
    return frame.assign(
        business_date=day, gross_units=np.minimum(demand, shelf).astype(float), is_stocked_out=demand >= shelf,
        on_promotion=promoted, unit_price=np.where(promoted, 7.5, 10.0),
    ).drop(columns="day")  # fmt: skip


def test_a_price_changes_the_days_asked_by_the_elasticity_and_no_other(priced: Lake, model: PriceModel) -> None:
    found = what_if(priced, model, STORE, SKU, Change(FIRST, LAST, price=8.0))
    days = found.days.set_index("target_date")
    inside = (days.index >= FIRST) & (days.index <= LAST)
    ratio = days["changed"] / days["planned"]
    assert ratio[inside].to_numpy() == pytest.approx(0.8**ELASTICITY)
    assert (ratio[~inside] == 1.0).all() and found.display == 1.0
    assert (days["low"] / days["planned"])[inside].to_numpy() == pytest.approx(0.8**-1.5)
    assert (days["high"] / days["planned"])[inside].to_numpy() == pytest.approx(0.8**-2.5)
    assert (days["changed_price"][inside] == 8.0).all() and (days["q95"] >= days["q50"]).all()


def test_a_promotion_adds_its_display_and_one_that_ends_loses_it(priced: Lake, model: PriceModel) -> None:
    found = what_if(priced, model, STORE, SKU, Change(FIRST, LAST, discount=0.25))
    assert found.display == pytest.approx(DISPLAY, rel=0.05), "learnt from a year of promotions, sold-out days included"
    days = found.days.set_index("target_date")
    assert days.loc[FIRST, "changed"] / days.loc[FIRST, "planned"] == pytest.approx(found.display * 0.75**ELASTICITY)
    planned = ORIGIN + timedelta(days=20)
    assert days.loc[planned, "planned_price"] == 8.0 and days.loc[ORIGIN + timedelta(days=24), "planned_price"] == 10.0
    ended = what_if(priced, model, STORE, SKU, Change(planned, planned, discount=0.0)).days.set_index("target_date")
    back = ended.loc[planned, "planned"] / ended.loc[planned, "changed"]
    assert back == pytest.approx(found.display * 0.8**ELASTICITY)


@settings(max_examples=12)
@given(price=st.floats(1.0, 50.0))
def test_a_dearer_price_never_sells_more(price: float, priced: Lake, model: PriceModel) -> None:
    days = what_if(priced, model, STORE, SKU, Change(FIRST, LAST, price=price)).days
    assert ((days["changed"] <= days["planned"] + 1e-9) | (days["changed_price"] <= days["planned_price"])).all()
    assert (days["low"] <= days["changed"] + 1e-9).all() and (days["changed"] <= days["high"] + 1e-9).all()


def test_the_display_of_a_category_nobody_promoted_is_none(priced: Lake, model: PriceModel) -> None:
    assert promotion_display(priced, model, "no such category", ORIGIN) == 1.0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"price": 0.0}, "is no price"),
        ({"price": float("nan")}, "is no price"),
        ({"discount": 1.0}, "give 0 to 94 %"),
        ({"discount": -0.1}, "give 0 to 94 %"),
        ({}, "give either a price or a promotion"),
        ({"price": 1.0, "discount": 0.1}, "give either a price or a promotion"),
    ],
)
def test_an_impossible_change_is_refused(change: dict[str, float], says: str) -> None:
    with pytest.raises(WhatIfError, match=says):
        Change(FIRST, LAST, **change)


def test_days_that_are_not_forecast_and_items_without_a_price_are_named(priced: Lake, model: PriceModel) -> None:
    with pytest.raises(WhatIfError, match="stay within 2026-06-08 to 2026-07-05"):
        what_if(priced, model, STORE, SKU, Change(FIRST, FIRST + timedelta(days=60), price=8.0))
    with pytest.raises(WhatIfError, match="before it begins"):
        Change(LAST, FIRST, price=8.0)
    with pytest.raises(WhatIfError, match="no list price"):
        what_if(priced, model, STORE, "SKU-00006", Change(FIRST, LAST, price=8.0))
    with pytest.raises(UnknownForecast, match="there is no sku"):
        what_if(priced, model, STORE, "SKU-9", Change(FIRST, LAST, price=8.0))


def test_the_answer_is_a_table_a_document_and_a_plot(priced: Lake, model: PriceModel, tmp_path: Path) -> None:
    found = what_if(priced, model, STORE, SKU, Change(FIRST, LAST, price=3.0))
    said = StringIO()
    show_answer(found, Console(file=said, width=160))
    for words in ("revenue in ", "elasticity -2.00 (95 %: -2.50 to -1.50)", "the answer is an extrapolation"):
        assert words in said.getvalue()
    document = json.loads(json.dumps(answer_document(found)))
    assert document["totals"] == totals(found) and len(document["days"]) == 28
    save_plot(found, tmp_path / "plots" / "a.png")
    save_plot(found, tmp_path / "plots" / "a.html")
    assert (tmp_path / "plots" / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert "data:image/png;base64," in (tmp_path / "plots" / "a.html").read_text()
    with pytest.raises(WhatIfError, match="use .png or .html"):
        save_plot(found, tmp_path / "a.gif")
