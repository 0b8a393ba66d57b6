"""When a version went live, where, and by whom: also on one store, as a canary, or asked beside the live one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from retail_assets.pricing.trace.models import ModelStory, Place, model_story
from retail_assets.pricing.trace.words import live_since
from retail_assets.releases.rows import Release
from retail_assets.resources.model_store import ModelStore

START = datetime(2026, 1, 1, tzinfo=UTC)
HERE = Place("S1", "DE")


def release(day: int, version: str, action: str = "promote", target: str = "cloud", **rest: Any) -> Release:
    """A row of the ledger."""
    at = START + timedelta(days=day)
    values = {"product": "pricing", "target": target, "version": version, "action": action, "reason": "r"} | rest
    return Release(at=at, by=f"by {day}", **values)


LOG = [
    release(0, "v1"),
    release(1, "v2", "canary", share=0.2),
    release(2, "v3", "pin", "store-S1"),
    release(3, "v4", "promote", "region-DE"),
    release(4, "v5", "promote", "store-S2"),
    release(5, "v6", "shadow"),
    release(6, "v2"),
    release(7, "v1", "rollback"),
    release(8, "v7", product="forecasting"),
]


def story(tmp_path: Path, version: str, day: float) -> ModelStory:
    """What a decision of that version and day is told."""
    return model_story(LOG, ModelStore.at(tmp_path), "pricing", version, START + timedelta(days=day), HERE)


@pytest.mark.parametrize(
    ("version", "day", "by", "target", "action", "replaced_by"),
    [
        ("v1", 0.5, "by 0", "cloud", "promote", "v2 (promote by by 6)"),
        ("v2", 1.5, "by 1", "cloud", "canary", "v1 (rollback by by 7)"),
        ("v2", 6.5, "by 6", "cloud", "promote", "v1 (rollback by by 7)"),
        ("v1", 7.5, "by 7", "cloud", "rollback", None),
        ("v3", 2.5, "by 2", "store-S1", "pin", None),
        ("v4", 3.5, "by 3", "region-DE", "promote", None),
        ("v6", 5.5, "by 5", "cloud", "shadow", "v2 (promote by by 6)"),
    ],
)
def test_the_release_that_answered_is_told_with_its_place(
    tmp_path: Path, version: str, day: float, by: str, target: str, action: str, replaced_by: str | None
) -> None:
    told = story(tmp_path, version, day)
    assert (told.released_by, told.target, told.action, told.replaced_by) == (by, target, action, replaced_by)


@pytest.mark.parametrize(("version", "day"), [("v1", -1), ("v5", 9), ("v7", 9), ("unknown", 9)])
def test_a_release_of_later_or_of_elsewhere_is_none_of_this_decision(tmp_path: Path, version: str, day: float) -> None:
    told = story(tmp_path, version, day)
    assert (told.live_since, told.target, told.replaced_at) == (None, None, None)
    assert "the model store has no pricing" in str(told.missing)


def test_words_say_where_a_version_was_live(tmp_path: Path) -> None:
    assert live_since(story(tmp_path, "v3", 3)) == "live on store-S1 since 2026-01-03 00:00 UTC by by 2"
    assert live_since(story(tmp_path, "v1", 1)) == "live since 2026-01-01 00:00 UTC by by 0"
    assert live_since(story(tmp_path, "v6", 5.5)).startswith("asked beside the live one since 2026-01-06")
