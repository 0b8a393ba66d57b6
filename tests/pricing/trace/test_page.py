"""The page stands alone, draws what it says, and never takes data for markup."""

import re
import xml.etree.ElementTree as ET

import pytest

from retail_assets.pricing.trace.charts import RULES, Scale, demand_chart, forecast_chart, margin_chart, trail_chart
from retail_assets.pricing.trace.document import Trace
from retail_assets.pricing.trace.page import page
from retail_assets.pricing.trace.words import text as text_of


def test_the_page_needs_nothing_from_outside(trace: Trace) -> None:
    text = page(trace)
    assert not re.search(r"(src|href)=|url\(|@import|https?://", text)
    assert "prefers-color-scheme: dark" in text
    assert f"<h1>{trace.price} {trace.currency}</h1>" in text
    assert "equal to the cent" in text
    for row in next(rows.rows for rows in trace.raw if rows.table == "price_list"):
        assert row["file"] in text


@pytest.mark.parametrize("chart", [trail_chart, demand_chart, margin_chart, forecast_chart])
def test_each_picture_is_well_formed_and_named(trace: Trace, chart: object) -> None:
    picture = ET.fromstring(chart(trace))  # type: ignore[operator]
    assert picture.attrib["aria-label"]
    assert len(list(picture.iter())) > 10


def test_the_trail_has_a_row_per_step(trace: Trace) -> None:
    rules = [e.text for e in ET.fromstring(trail_chart(trace)).iter("text") if e.attrib.get("class") == "rule"]
    assert rules == [RULES.get(line["rule"], line["rule"].replace("_", " ")) for line in trace.trail]
    assert RULES.keys() <= {line["rule"] for line in trace.trail}


def test_data_are_never_markup(trace: Trace) -> None:
    hostile = trace.model_copy(update={"product_name": "<script>alert(1)</script>", "words": ["a", "<b>bold</b>"]})
    text = page(hostile)
    assert "<script" not in text
    assert "<b>" not in text


def test_features_of_the_forecast_are_shown_or_why_they_are_not(trace: Trace) -> None:
    assert "units mean 28" in page(trace)
    told = trace.model_copy(update={"forecast_features": "gold/feat_store can no longer be read"})
    assert "gold/feat_store can no longer be read" in page(told)
    assert "gold/feat_store can no longer be read" in text_of(told)
    assert "What the forecast was made of" not in page(trace.model_copy(update={"forecast_features": None}))


def test_without_demand_there_is_no_curve(trace: Trace) -> None:
    unknown = trace.model_copy(update={"output": trace.output | {"units_before": None}, "gold": []})
    assert demand_chart(unknown) == margin_chart(unknown) == forecast_chart(unknown) == ""
    assert "No sales and no forecast" in page(unknown)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (3.99, 6.47), (0.0, 12345.0), (5.0, 5.0)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    ticks = Scale(low, high, 0, 100).ticks()
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)
    assert len(ticks) <= 6
