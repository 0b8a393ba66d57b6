"""Numbers that documents take from configs/ or the code, and words that decisions are told in, are those of today."""

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
import yaml

from retail_assets.forecasting.views_config import ViewsConfig
from retail_assets.planning.orders import _reasons
from retail_assets.pricing.commands import SHOWN
from retail_assets.pricing.config import load_config
from retail_assets.pricing.decide.columns import COST_SOURCES
from retail_assets.pricing.decide.decision_trace import EXPLORES, LEARNT_BACK, STATEMENTS, rules_of
from retail_assets.pricing.decide.policy import PRICE_TIERS, REASONS
from retail_assets.pricing.trace.observed import HALF_LIFE_DAYS, WINDOW_DAYS
from retail_assets.releases.canary_watch import WATCH_EVERY_S
from retail_assets.releases.gates import ReleaseConfig
from retail_assets.resources.environments import CENTRE, DASK, KEYS, PRICING_URL, PROJECT_ROOT, STORE_TOKEN, WORKERS
from retail_assets.resources.lake import DECISIONS_KEPT_DAYS, KEPT_DAYS
from retail_assets.serving.config import ServingConfig

DOCS = PROJECT_ROOT / "docs"
VIEWS, LOAD = ViewsConfig.load(), ServingConfig.load_file().load
PRICING, FORECASTING = (ReleaseConfig.load().verdicts[name] for name in ("pricing", "forecasting"))
SAID = {
    "decide-prices.md": (
        f"the first {SHOWN} prices",
        f"after\n  {HALF_LIFE_DAYS} days",
        f"the last {'six' if WINDOW_DAYS == 42 else WINDOW_DAYS / 7} weeks",
    ),
    "explain-a-forecast.md": (
        f"`budget_seconds` (`configs/forecast_views.yaml`, {VIEWS.decomposition.budget_seconds:g} by default)",
        f"fast from {VIEWS.tiers.fast_from} on and slow below {VIEWS.tiers.slow_below}",
        f"due after {VIEWS.tiers.fast_days}\n  days, slow ones after {VIEWS.tiers.slow_days}",
        f"{VIEWS.tiers.full_share:.0%}".replace("%", " %") + " of all series",
        f"the last {VIEWS.tiers.refresh_days} days",
        f"by more than a factor of {VIEWS.decomposition.largest_rescaling:g}",
    ),
    "release.md": (
        f"surely more than {PRICING.error_rate:.0%}".replace("%", " %"),
        f"PSI is {PRICING.psi} beyond",
        f"more than {PRICING.value_high:.0%}".replace("%", " %"),
        f"units of a forecast: {FORECASTING.value_high:.0%}".replace("%", " %"),
        f"{PRICING.slower_ms:g} ms",
        f"after {PRICING.promote_answers:,} answers over {PRICING.promote_hours:g} hours",
        f"Every {WATCH_EVERY_S:g} seconds",
    ),
    "serve.md": (
        f"over {LOAD.body_bytes // 1024} KiB",
        f"At most {LOAD.active} requests",
        f"it waited {LOAD.late_s * 1000:g} ms",
        f"After {LOAD.shed_s * 1000:g} ms",
        f"given up after {LOAD.deadline_s:g} s, a trace after {LOAD.slow_deadline_s:g}",
    ),
    "trace-a-price.md": (f"{KEPT_DAYS} days for gold and bronze, {DECISIONS_KEPT_DAYS} days",),
}


@pytest.mark.parametrize(("document", "said"), [(name, each) for name, many in SAID.items() for each in many])
def test_a_number_of_a_setting_is_the_one_that_ships(document: str, said: str) -> None:
    assert said in (DOCS / document).read_text()


def test_the_exploration_that_is_shown_is_the_one_that_ships() -> None:
    (block,) = re.findall(r"```yaml\n(exploration:.*?)```", (DOCS / "learn-prices.md").read_text(), re.DOTALL)
    shipped = yaml.safe_load((PROJECT_ROOT / "configs" / "pricing.yaml").read_text())
    assert yaml.safe_load(block) == {"exploration": shipped["exploration"]}


def pattern(template: str) -> str:
    """A sentence of a trail as a regular expression: any value in each of its places, any space between words."""
    parts = re.split(r"(\{\w+:\w\})", template)
    said = [r"\S+?" if part.startswith("{") else re.escape(part).replace(r"\ ", r"\s+") for part in parts]
    return "".join(said)


@pytest.mark.parametrize(
    ("document", "template"),
    [
        ("learn-prices.md", EXPLORES),
        ("learn-prices.md", LEARNT_BACK),
        ("decide-prices.md", STATEMENTS["price_in_force"][3]),
    ],
)
def test_a_sentence_of_a_trail_reads_as_the_trail_says_it(document: str, template: str) -> None:
    quoted = re.sub(r"(?<=\S)\n> ", " ", (DOCS / document).read_text())
    assert re.search(f"> {pattern(template)}", quoted)


def test_an_order_is_told_as_proposals_tell_it() -> None:
    order = {"expected_units": 12.3, "protection_days": 5, "service_level": 0.95, "needed_units": 19}
    order |= {"on_hand": 6, "on_order": 4, "proposed_cases": 2, "case_pack": 6}
    (said,) = _reasons(pd.DataFrame([order]), pd.Series([9.0]))
    quoted = re.sub(r"(?<=\S)\n> ", " ", (DOCS / "plan-with-forecasts.md").read_text())
    assert f"> {said}\n" in quoted


def named(text: str, names: Mapping[str, str] | set[str] | tuple[str, ...]) -> list[str]:
    return [name for name in names if name and f"`{name}`" not in text]


def test_everything_that_keeps_a_price_is_explained() -> None:
    text = (DOCS / "decide-prices.md").read_text()
    assert named(text, tuple(REASONS)) == []
    assert named(text, PRICE_TIERS) == []
    assert named(text, rules_of(load_config().policy)[2:-1]) == []
    assert "assumed_cost" in COST_SOURCES and "`assumed_cost`" in text


def test_guardrails_are_listed_in_their_order() -> None:
    listed = re.findall(r"^\d\. `(\w+)`", (DOCS / "decide-prices.md").read_text(), re.MULTILINE)
    assert listed == list(rules_of(load_config().policy)[2:-1])


def test_every_variable_that_is_read_stands_in_the_architecture() -> None:
    text = (DOCS / "architecture.md").read_text()
    code = [p.read_text() for room in ("retail_assets", "bento") for p in (PROJECT_ROOT / room).rglob("*.py")]
    read = {name for one in code for name in re.findall(r"environ(?:\.get\(|\[)\"(RETAIL_\w+)\"", one)}
    read |= {CENTRE, STORE_TOKEN, KEYS, WORKERS, PRICING_URL, DASK}
    assert "RETAIL_HOME" in read
    assert named(text, read) == []


def test_every_setting_of_a_batch_is_in_one_of_the_tables() -> None:
    text = (DOCS / "decide-prices.md").read_text()
    publication = load_config().publication
    assert named(text, set(type(publication.breaker.limits).model_fields)) == []
    assert named(text, set(type(publication.paid).model_fields)) == []


def test_documents_name_no_machine() -> None:
    for document in [PROJECT_ROOT / "README.md", *sorted(DOCS.glob("*.md"))]:
        assert re.findall(r"(?<![\w.])/(?:tmp|work|root|home)/\S*", Path(document).read_text()) == [], document.name
