"""The Dagster UI in a real Chromium on a completed home: the lineage page, an asset with its checks, a plot.

Screenshots are kept in test-output/ to be looked at.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from retail_assets.resources.dagster.instance import SETTINGS
from retail_assets.resources.environments import PROJECT_ROOT, Home
from tests.browser.chromium import CHROMIUM, FLAGS, OUTPUT

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="CHROMIUM IS NOT INSTALLED: the browser tests did not run"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def ui(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Dagster webserver on a copy of the completed tiny home."""
    root = tmp_path_factory.mktemp("ui") / "home"
    shutil.copytree(tiny_home, root)
    home = Home.at(root)
    shutil.copyfile(SETTINGS, home.dagster / "dagster.yaml")
    port = free_port()
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "retail_assets.serving.processes.dagster_ui",
            "-w",
            "workspace.yaml",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
        ],
        cwd=PROJECT_ROOT,
        env=os.environ | {"DAGSTER_HOME": str(home.dagster), "RETAIL_HOME": str(home.root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_up(server, f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _wait_until_up(server: "subprocess.Popen[bytes]", address: str) -> None:
    for _ in range(300):
        try:
            if httpx.get(f"{address}/server_info", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        try:
            raise AssertionError(f"the webserver ended with {server.wait(timeout=0.3)}")
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError("the webserver did not answer within 90 s")


@pytest.fixture(scope="module")
def page(ui: str) -> Iterator["Page"]:  # noqa: F821
    """One browser page, large enough to read a screenshot."""
    from playwright.sync_api import sync_playwright

    OUTPUT.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def shoot(page: "Page", name: str) -> None:  # type: ignore[name-defined]  # noqa: F821
    page.screenshot(path=str(OUTPUT / f"{name}.png"))


def test_the_lineage_page_shows_every_stage(page: "Page", ui: str) -> None:  # type: ignore[name-defined]  # noqa: F821
    page.goto(f"{ui}/asset-groups")
    page.get_by_text("forecasting", exact=True).first.wait_for()
    shoot(page, "lineage")
    shown = page.inner_text("body")
    for group in ("sources", "warehouse", "gold", "features", "forecasting", "pricing", "serving"):
        assert group in shown, f"group {group} is not on the lineage page"


def test_an_asset_shows_its_checks_as_passed(page: "Page", ui: str) -> None:  # type: ignore[name-defined]  # noqa: F821
    page.goto(f"{ui}/assets/pricing/price_decisions?view=checks")
    page.get_by_text("margin_floor_holds").first.wait_for()
    shoot(page, "checks")
    assert "Passed" in page.inner_text("body") or "Succeeded" in page.inner_text("body")


def test_the_backtest_report_shows_a_plot(page: "Page", ui: str) -> None:  # type: ignore[name-defined]  # noqa: F821
    page.goto(f"{ui}/assets/forecasting/backtest_report")
    page.get_by_text("[Show Markdown]").last.click()
    plot = page.locator("img[src^='data:image/png']").first
    plot.wait_for()
    page.wait_for_timeout(600)  # the dialog fades in
    shoot(page, "plot")
    assert plot.evaluate("image => image.naturalWidth") > 300
