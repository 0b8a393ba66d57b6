"""The pages that the product makes, in a real Chromium that reaches no other host: each is whole all the same."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import uvicorn

from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake
from retail_assets.serving.processes.openapi import application
from retail_assets.serving.processes.products import products
from tests.browser.chromium import CHROMIUM, FLAGS, OUTPUT
from tests.services.harness import eventually, free_port

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="CHROMIUM IS NOT INSTALLED: the browser tests did not run"),
]


@pytest.fixture(scope="module")
def page() -> Iterator["Page"]:
    """A page that notes each request to another host in `page.elsewhere`, and lets none through."""
    from playwright.sync_api import sync_playwright

    OUTPUT.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


@pytest.fixture
def elsewhere(page: "Page") -> Iterator[list[str]]:
    """The addresses of other hosts that the page asked for; none is reached."""
    asked: list[str] = []

    def seen(route: object) -> None:
        url = route.request.url  # type: ignore[attr-defined]
        here = urlsplit(url).hostname in ("127.0.0.1", None)
        if not here:
            asked.append(url)
        route.continue_() if here else route.abort()  # type: ignore[attr-defined]

    page.route("**/*", seen)
    yield asked
    page.unroute("**/*")


@pytest.mark.parametrize("product", list(products()))
def test_the_docs_of_a_service_need_nobody_else(page: "Page", elsewhere: list[str], product: str) -> None:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(application(product), host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert eventually(lambda: server.started, within=30)
        page.goto(f"http://127.0.0.1:{port}/docs")
        page.wait_for_selector(".opblock")
        paths = {text.replace("\u200b", "") for text in page.locator(".opblock-summary-path").all_inner_texts()}
        assert paths == set(application(product).openapi()["paths"])
        page.screenshot(path=str(OUTPUT / f"docs-{product}.png"))
    finally:
        server.should_exit = True
        thread.join()
    assert elsewhere == []


def test_the_pages_of_a_price_and_a_forecast_need_nobody_else(
    page: "Page", elsewhere: list[str], tiny_home: Path, tmp_path: Path
) -> None:
    from retail_assets.forecasting.explain.explanation import explain
    from retail_assets.forecasting.explain.page import page as explained
    from retail_assets.pricing.trace.page import page as traced
    from retail_assets.pricing.trace.trace import trace_price

    home = Home.at(tiny_home)
    environment = Environment(name="test", home=home, lake=Lake.at(home.lake))
    forecasts = environment.lake.scan("gold", "forecasts")
    newest = environment.lake.query(f"select store_id, sku from {forecasts} order by all limit 1").to_pylist()[0]
    made = {
        "price": traced(trace_price(environment, **newest)),
        "forecast": explained(explain(environment, newest["store_id"], newest["sku"])),
    }
    for name, text in made.items():
        file = tmp_path / f"{name}.html"
        file.write_text(text)
        page.goto(file.as_uri())
        page.wait_for_selector("section h2")
        assert page.locator("svg[role=img]").count() > 0, name
        page.screenshot(path=str(OUTPUT / f"page-{name}.png"))
    assert elsewhere == []
