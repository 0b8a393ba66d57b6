"""`retail forecast explain`: the real command on a real home, sums that are equal, and a page for a planner."""

import json
import re
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path
from subprocess import CompletedProcess

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.forecasting.explain.contributions import GROUPS
from retail_assets.forecasting.explain.decomposition_rows import TABLE
from retail_assets.forecasting.explain.explanation import DayAhead, ExplainError, Explanation, explain, mismatches
from retail_assets.forecasting.explain.page import page
from retail_assets.forecasting.explain.words import sentences, shown, weekly
from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
Retail = Callable[..., CompletedProcess[str]]


def environment(root: Path) -> Environment:
    home = Home.at(root)
    return Environment(name="test", home=home, lake=Lake.at(home.lake))


@pytest.fixture(scope="module")
def key(tiny_home: Path) -> tuple[str, str]:
    """The store-SKU with the largest forecast."""
    lake = environment(tiny_home).lake
    rows = lake.query(
        f"select store_id, sku from {lake.scan('gold', 'forecasts')} group by all order by sum(mean) desc, 1, 2 limit 1"
    ).to_pylist()
    return rows[0]["store_id"], rows[0]["sku"]


@pytest.fixture(scope="module")
def found(tiny_home: Path, key: tuple[str, str]) -> Explanation:
    return explain(environment(tiny_home), *key)


def test_the_reasons_are_those_of_the_stored_forecast(tiny_home: Path, found: Explanation) -> None:
    lake = environment(tiny_home).lake
    stored = lake.query(
        f"""select target_date, mean from {lake.scan("gold", "forecasts")}
            where store_id = '{found.store_id}' and sku = '{found.sku}' order by 1"""
    ).to_pylist()
    assert found.is_reproduced and [day.day for day in found.days] == [row["target_date"] for row in stored]
    for day, row in zip(found.days, stored, strict=True):
        assert abs(float(day.mean) - row["mean"]) < 1e-6 and day.q05 <= day.q95


def test_every_sum_is_equal_and_both_models_tell_one_story(tiny_home: Path, found: Explanation) -> None:
    assert mismatches(found) == []
    for day in found.days:
        assert tuple(day.reasons) == GROUPS and sum(day.reasons.values()) == day.mean
    whole = found.department
    assert whole is not None and whole.note is None and whole.series > 1
    lake = environment(tiny_home).lake
    summed = lake.query(
        f"""select f.target_date, sum(f.mean) as units from {lake.scan("gold", "forecasts")} f
            join {lake.scan("gold", "dim_product")} p using (sku)
            where f.store_id = '{found.store_id}' and p.department = '{whole.product_group}' group by 1 order by 1"""
    ).to_pylist()
    for day, row in zip(whole.days, summed, strict=True):
        assert day.prophet is not None and day.prophet_alone is not None
        assert sum(day.skus.values()) == sum(day.prophet.values()) == day.total
        assert abs(float(day.total) - row["units"]) < 1e-5
    assert sum((day.prophet["other"] for day in whole.days if day.prophet), Decimal(0)) == pytest.approx(0, abs=1e-3)


def test_a_sum_that_is_wrong_is_named(found: Explanation) -> None:
    day = found.days[0]
    wrong = day.model_copy(update={"reasons": day.reasons | {"level": day.reasons["level"] + 1}})
    assert mismatches(found.model_copy(update={"days": [wrong, *found.days[1:]]})) == [f"the reasons of {day.day}"]


def test_the_command_prints_words_json_and_a_page(
    tiny_home: Path, key: tuple[str, str], retail: Retail, tmp_path: Path
) -> None:
    file = tmp_path / "why.html"
    done = retail(tiny_home, "forecast", "explain", "--store", key[0], "--sku", key[1], "--html", str(file), "--json")
    told = json.loads(done.stdout)
    assert (told["store_id"], told["sku"]) == key and len(told["days"]) == 28
    for day in told["days"]:
        assert sum(map(Decimal, day["reasons"].values())) == Decimal(day["mean"])
    html = file.read_text()
    assert html.startswith("<!doctype html>") and "Prophet, scaled to it" in html
    assert not re.search(r"https?://|<script|<link|src=", html)
    words = retail(tiny_home, "forecast", "explain", "--store", key[0], "--sku", key[1]).stdout
    assert "units are expected from" in words and "gives the same forecast" in words and "week from" in words


@pytest.mark.parametrize(
    ("store", "sku", "said"),
    [("nowhere", None, "no SKU"), (None, "SKU-nothing", "is not in gold/dim_product")],
)
def test_an_unknown_key_is_named(
    tiny_home: Path, key: tuple[str, str], store: str | None, sku: str | None, said: str
) -> None:
    with pytest.raises(ExplainError, match=said):
        explain(environment(tiny_home), store or key[0], sku or key[1])


def test_a_home_without_forecasts_says_what_to_do(home: Home) -> None:
    lake = Lake.at(home.lake)
    lake.overwrite("gold", "dim_product", pa.table({"sku": ["A"], "name": ["a"], "department": ["d"]}))
    with pytest.raises(ExplainError, match="retail run"):
        explain(Environment(name="test", home=home, lake=lake), "S", "A")


def test_a_view_of_other_forecasts_is_not_passed_off_as_theirs(tiny_copy: Home, key: tuple[str, str]) -> None:
    lake = Lake.at(tiny_copy.lake)
    components = lake.open("gold", TABLE).to_pyarrow_table().to_pandas()
    ahead = components["bottom_up"].notna()
    components.loc[ahead, "bottom_up"] += 5
    schema = lake.open("gold", TABLE).to_pyarrow_table().schema
    lake.overwrite("gold", TABLE, pa.Table.from_pandas(components, schema=schema, preserve_index=False))
    told = explain(Environment(name="test", home=tiny_copy, lake=lake), *key)
    assert told.department is not None and "other forecasts" in str(told.department.note)
    assert all(day.prophet is None for day in told.department.days) and mismatches(told) == []
    assert "Prophet, scaled to it" not in page(told)


def test_a_department_that_prophet_has_not_reached_says_so(tiny_copy: Home, key: tuple[str, str]) -> None:
    lake = Lake.at(tiny_copy.lake)
    where = Environment(name="test", home=tiny_copy, lake=lake)
    whole = explain(where, *key).department
    assert whole is not None
    rows = lake.open("gold", TABLE).to_pyarrow_table()
    own = pc.and_(pc.equal(rows["place"], whole.place), pc.equal(rows["product_group"], whole.product_group))
    lake.overwrite("gold", TABLE, rows.filter(pc.invert(own)), metadata={"fresh": "17", "series": "1234"})
    told = explain(where, *key)
    said = "Prophet's view of the department is not there yet (17 of 1,234 series are done, the largest first)"
    assert told.department is not None and str(told.department.note).startswith(said)
    assert any(said in sentence for sentence in sentences(told)) and said in unescape(page(told))
    assert told.department.history == [] and all(day.prophet is None for day in told.department.days)


def test_a_sku_that_has_not_sold_yet_is_told_as_level(tiny_copy: Home, key: tuple[str, str]) -> None:
    """Its forecast rests on other SKUs; the others of its department are explained as before."""
    lake = Lake.at(tiny_copy.lake)
    for layer, name in (("gold", "dim_product"), ("gold", "forecasts")):
        table = lake.open(layer, name).to_pyarrow_table()
        rows = table.filter(pc.equal(table["sku"], key[1])).to_pylist()
        new = [row | {"sku": "SKU-NEW"} for row in rows if name == "dim_product" or row["store_id"] == key[0]]
        made_from = lake.open(layer, name).history(1)[0]
        both = pa.concat_tables([table, pa.Table.from_pylist(new, schema=table.schema)])
        lake.overwrite(layer, name, both, metadata={k: str(made_from[k]) for k in ("gold",) if k in made_from})
    where = Environment(name="test", home=tiny_copy, lake=lake)
    new, old = explain(where, key[0], "SKU-NEW"), explain(where, *key)
    assert mismatches(new) == mismatches(old) == [] and old.is_reproduced
    assert new.total == new.total_of("level") == old.total and new.recent_mean is None
    assert any("has not sold here yet" in said for said in sentences(new)) and page(new)


def test_a_model_that_answers_otherwise_is_called_out(found: Explanation) -> None:
    other = found.model_copy(update={"is_reproduced": False})
    assert any("not exact" in said for said in sentences(other))


def test_names_cannot_break_the_page(found: Explanation) -> None:
    named = found.model_copy(update={"product_name": "<script>alert(1)</script>", "department": None})
    assert "<script" not in page(named) and "&lt;script" in page(named)


def test_a_planned_promotion_and_a_holiday_are_told() -> None:
    first = date(2026, 3, 2)
    days = [
        DayAhead(day=first + timedelta(days=n), mean=Decimal(2), q05=0.0, q95=4.0,
                 reasons=dict.fromkeys(GROUPS, Decimal(0)) | {"level": Decimal("1.5"), "promotion": Decimal("0.5")},
                 discount=0.25 if n in (3, 4) else 0.0, holiday="Easter Monday" if n == 6 else None)
        for n in range(7)
    ]  # fmt: skip
    told = Explanation(
        store_id="S", sku="A", product_name=None, department_name=None, category=None, origin=first,
        model_version="v", is_reproduced=True, recent_mean=1.0, history=[], days=days, department=None,
    )  # fmt: skip
    said = " ".join(sentences(told))
    assert "up to 25% is planned on 2 days from 05 Mar" in said and "Easter Monday (08 Mar)" in said
    assert "Promotion and price add 3.5 units (+25% of the forecast)" in said
    assert weekly(told) == [["2026-03-02", "10.5", "0.0", "0.0", "3.5", "0.0", "14.0"]]
    assert "25% off" in page(told)


@given(st.lists(st.decimals(-1000, 1000, places=6), min_size=1, max_size=8), st.integers(0, 3))
def test_rounded_numbers_still_add_up(values: list[Decimal], places: int) -> None:
    total = sum(values, Decimal(0))
    made = shown(values, total, places)
    step = Decimal(1).scaleb(-places)
    assert sum(made) == total.quantize(step)
    assert all(abs(a - b) <= step for a, b in zip(made, values, strict=True))


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="CHROMIUM IS NOT INSTALLED: the page was not looked at")
def test_a_browser_draws_the_page_without_asking_for_anything(found: Explanation, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    file = tmp_path / "why.html"
    file.write_text(page(found), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 1100, "height": 900})
        asked: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(file.as_uri())
        drawn = tab.locator("svg[role=img]")
        assert drawn.count() >= 5
        assert all((box := drawn.nth(at).bounding_box()) and box["width"] > 200 for at in range(drawn.count()))
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        browser.close()
    assert asked == [file.as_uri()]
