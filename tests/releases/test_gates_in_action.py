"""A version goes live when it proved itself and nobody decided otherwise; else the old one stays."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from retail_assets.core.gates import Gate
from retail_assets.releases import evidence as fitness
from retail_assets.releases.assets import comparison_table, decision_table, newest_decisions
from retail_assets.releases.checks import release_checks
from retail_assets.releases.gates import ReleaseConfig, ReleaseConfigError, release_if_passed
from retail_assets.releases.ledger import Ledger
from retail_assets.releases.policy import decide
from retail_assets.releases.rows import Release
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore, ModelStoreError
from tests.releases.stored import materialise_releases, saved

GATES = [Gate(metric="wape", better="lower", floor=0.5, baseline="wape_baseline", live_gain=0.0)]
GOOD, BETTER, WORSE = (
    {"wape": wape, "wape_baseline": 0.45} for wape in (0.4, 0.3, 0.42)
)  # fmt: skip


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(tmp_path / "lake")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore.at(tmp_path / "models")


def release(store: ModelStore, lake: Lake, version: str, gates: list[Gate] = GATES) -> str:
    return release_if_passed("forecasting", version, store, Ledger(lake), gates, by="test").outcome


def row(version: str, action: str, previous: str | None, hour: int) -> Release:
    return Release.model_validate(
        {"product": "p", "version": version, "action": action, "by": "ann", "reason": "odd prices",
         "previous": previous, "at": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour)}
    )  # fmt: skip


def test_the_first_version_goes_live_with_its_gate_report(store: ModelStore, lake: Lake) -> None:
    version = saved(store, GOOD)
    assert release(store, lake, version) == "promote"
    live = Ledger(lake).live("forecasting")
    assert live is not None and live.version == version and live.previous is None
    assert json.loads(live.gate_report or "")["passed"] is True


def test_the_same_version_is_released_once(store: ModelStore, lake: Lake) -> None:
    version = saved(store, GOOD)
    assert [release(store, lake, version), release(store, lake, version)] == ["promote", "already live"]
    assert len(Ledger(lake).log()) == 1


def test_better_replaces_and_worse_does_not(store: ModelStore, lake: Lake) -> None:
    first, worse, better = saved(store, GOOD, 1), saved(store, WORSE, 2), saved(store, BETTER, 3)
    assert [release(store, lake, v) for v in (first, worse, better)] == ["promote", "rejected", "promote"]
    assert [r.version for r in Ledger(lake).log()] == [first, better]


def test_a_first_version_that_loses_to_its_baseline_leaves_nothing_live(store: ModelStore, lake: Lake) -> None:
    version = saved(store, {"wape": 0.46, "wape_baseline": 0.45})
    decision = release_if_passed("forecasting", version, store, Ledger(lake), GATES, by="test")
    assert decision.outcome == "rejected" and "baseline" in decision.reasons[0] and not decision.passed
    assert Ledger(lake).log() == []


def test_changed_bytes_never_go_live(store: ModelStore, lake: Lake) -> None:
    version = saved(store, GOOD)
    (store.home / "models" / "forecasting" / version / "model.json").write_bytes(b"[]")
    with pytest.raises(ModelStoreError, match="was changed"):
        release(store, lake, version)
    assert Ledger(lake).log() == []


def test_what_a_person_rolled_back_from_does_not_come_back_by_itself(store: ModelStore, lake: Lake) -> None:
    first, second, third = saved(store, GOOD, 1), saved(store, BETTER, 2), saved(store, BETTER, 3)
    release(store, lake, first)
    release(store, lake, second)
    Ledger(lake).rollback("forecasting", by="ann", reason="odd prices")
    decision = release_if_passed("forecasting", second, store, Ledger(lake), GATES, by="test")
    assert decision.outcome == "withheld" and decision.reasons == ("ann rolled back from it: odd prices",)
    assert release(store, lake, third) == "promote"


def test_what_a_person_released_another_in_place_of_does_not_come_back_by_itself() -> None:
    log = [row("a", "promote", None, 0), row("b", "promote", "a", 1), row("a", "promote", "b", 2)]
    decision = decide("p", "b", BETTER, GOOD, GATES, log)
    assert decision.outcome == "withheld" and "released a in its place" in decision.reasons[0]
    assert decide("p", "a", GOOD, GOOD, GATES, log).outcome == "already live"
    assert decide("p", "c", BETTER, GOOD, GATES, log).outcome == "promote"


def test_a_pinned_target_stays_where_it_is() -> None:
    log = [row("a", "promote", None, 0), row("b", "pin", "a", 1)]
    decision = decide("p", "c", BETTER, GOOD, GATES, log)
    assert decision.outcome == "withheld" and "pinned to b" in decision.reasons[0]


def test_another_target_and_another_product_are_other_matters() -> None:
    log = [row("a", "promote", None, 0), row("b", "pin", "a", 1)]
    assert decide("p", "c", GOOD, None, GATES, log, target="store-238").outcome == "promote"
    assert decide("q", "c", GOOD, None, GATES, log).outcome == "promote"


def test_a_version_whose_canary_runs_waits_for_the_verdict_and_others_do_not() -> None:
    log = [row("a", "promote", None, 0), row("b", "canary", "a", 1)]
    decision = decide("p", "b", BETTER, GOOD, GATES, log)
    assert (decision.outcome, decision.live) == ("withheld", "a") and "its canary runs" in decision.reasons[0]
    assert decide("p", "c", BETTER, GOOD, GATES, log).outcome == "promote"


def test_a_version_whose_canary_was_withdrawn_does_not_come_back_by_itself() -> None:
    log = [row("a", "promote", None, 0), row("b", "canary", "a", 1), row("a", "withdraw", "a", 2)]
    decision = decide("p", "b", BETTER, GOOD, GATES, log)
    assert decision.outcome == "withheld" and decision.reasons == ("ann withdrew its canary: odd prices",)
    assert decide("p", "c", BETTER, GOOD, GATES, log).outcome == "promote"


def test_a_canary_that_another_one_replaced_may_be_promoted() -> None:
    log = [row("a", "promote", None, 0), row("b", "canary", "a", 1), row("c", "canary", "a", 2)]
    assert decide("p", "b", BETTER, GOOD, GATES, log).outcome == "promote"
    shadowed = [row("a", "promote", None, 0), row("b", "shadow", "a", 1), row("a", "withdraw", "a", 2)]
    assert decide("p", "b", BETTER, GOOD, GATES, shadowed).outcome == "promote"


def test_the_shipped_gates_are_read_and_mistakes_are_named(tmp_path: Path) -> None:
    config = ReleaseConfig.load()
    assert config.gates("forecasting") and config.gates("pricing")
    with pytest.raises(ReleaseConfigError, match="there is no product 'recommender'"):
        config.gates("recommender")
    file = tmp_path / "releases.yaml"
    file.write_text("forecasting: [{metric: wape, better: sideways, floor: 1}]\npricing: []\n")
    with pytest.raises(ReleaseConfigError, match="better"):
        ReleaseConfig.load(file)


@pytest.fixture
def stated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts are those that a manifest states among its metrics: these versions are no models that answer."""
    monkeypatch.setattr(fitness, "facts", lambda *_: {})


def proven(**changes: float) -> dict[str, float]:
    good = {
        "wape_median": 0.6, "wape_baseline": 0.7, "rmse": 1.0, "rmse_baseline": 1.2, "rmse_ratio/all": 0.83,
        "wape_ratio/all": 0.86, "absolute_bias": 0.02, "calibration_gap": 0.01, "harm/country=US": -4.0,
        "rmse_ratio_error/all": 0.01, "wape_ratio_error/all": 0.01, "rmse_ratio/country=US": 0.9,
        "rmse_ratio_error/country=US": 0.02, "absolute_bias_error": 0.01, "calibration_gap_error": 0.005,
        "answer_ms": 2.0, "size_mb": 0.5, "data_age_days": 0.0,
        "manifest/rows": 1.0, "reproducible/bytes": 1.0,
    }  # fmt: skip
    return good | changes


@pytest.mark.parametrize(
    ("metrics", "outcome"),
    [
        (proven(), "promote"),
        (proven(absolute_bias=0.3), "rejected"),
        (proven(absolute_bias=0.3, absolute_bias_error=0.05), "promote"),  # of few units: it may be chance
        (proven(calibration_gap=0.08), "rejected"),
        (proven(calibration_gap=0.08, calibration_gap_error=0.03), "promote"),
        (proven(rmse=1.3), "rejected"),
        ({k: v for k, v in proven().items() if k != "calibration_gap"}, "rejected"),
        (proven(**{"harm/country=US": 3.1}), "rejected"),
        (proven(rmse=1.2), "rejected"),
        (proven(**{"rmse": 1.19, "rmse_ratio/all": 0.992, "rmse_ratio_error/all": 0.2}), "promote"),  # better is enough
        (proven(**{"rmse_ratio/country=US": 1.2}), "rejected"),
        (proven(**{"rmse_ratio/country=US": 1.2, "rmse_ratio_error/country=US": 0.2}), "promote"),
        (proven(answer_ms=51.0), "rejected"),
        (proven(answer_ms=50.0), "promote"),
        (proven(size_mb=201.0), "rejected"),
        (proven(data_age_days=15.0), "rejected"),
        (proven(data_age_days=float("nan")), "rejected"),
        (proven(**{"manifest/rows": 0.0}), "rejected"),
        (proven(**{"reproducible/bytes": 0.0}), "rejected"),
    ],
)
def test_the_shipped_gates_of_forecasting(
    metrics: dict[str, float], outcome: str, store: ModelStore, lake: Lake, stated: None
) -> None:
    assert release(store, lake, saved(store, metrics), ReleaseConfig.load().gates("forecasting")) == outcome


@pytest.mark.parametrize(
    ("worse", "outcome"),
    [
        (
            {"wape_ratio/all": 0.791, "rmse_ratio/all": 0.942},
            "promote",
        ),  # of a web shop, a week later: its weeks are noisy
        ({"wape_ratio/all": 0.95}, "rejected"),
        ({"rmse_ratio/all": 1.0}, "rejected"),
    ],
)
def test_a_harder_month_is_no_worse_model(
    worse: dict[str, float], outcome: str, store: ModelStore, lake: Lake, stated: None
) -> None:
    errors = {"wape_ratio_error/all": 0.016, "rmse_ratio_error/all": 0.025}
    gates = ReleaseConfig.load().gates("forecasting")
    easy = proven(**{"wape_ratio/all": 0.655, "rmse_ratio/all": 0.83}, **errors)
    assert release(store, lake, saved(store, easy, 1), gates) == "promote"
    assert release(store, lake, saved(store, proven(**errors, **worse), 2), gates) == outcome


def test_the_asset_releases_what_passed_and_the_check_shows_what_did_not(
    store: ModelStore, lake: Lake, stated: None
) -> None:
    good = saved(store, proven(), 1)
    materialise_releases(lake, store)
    first = {r.check_name: r.passed for r in release_checks(lake=lake, model_store=store)}
    assert first == {"newest_versions_are_live": True, "live_versions_are_intact": True}
    saved(store, proven(wape_median=0.9, rmse=2.0), 2)
    made = materialise_releases(lake, store)
    assert "rejected" in str(made.metadata["decisions"].value)
    second = {r.check_name: r.passed for r in release_checks(lake=lake, model_store=store)}
    assert second == {"newest_versions_are_live": False, "live_versions_are_intact": True}
    assert [r.version for r in Ledger(lake).live_all()] == [good]


def test_the_check_finds_a_live_model_that_was_changed(store: ModelStore, lake: Lake, stated: None) -> None:
    version = saved(store, proven())
    materialise_releases(lake, store)
    (store.home / "models" / "forecasting" / version / "model.json").write_bytes(b"[]")
    found = {r.check_name: r for r in release_checks(lake=lake, model_store=store)}
    assert not found["live_versions_are_intact"].passed


def test_without_any_model_nothing_is_released(store: ModelStore, lake: Lake) -> None:
    materialise_releases(lake, store)
    assert newest_decisions(lake, store) == [] and Ledger(lake).log() == []


def test_the_tables_show_every_number(store: ModelStore, lake: Lake) -> None:
    saved(store, proven(wape_median=0.9))
    decisions = newest_decisions(lake, store)
    assert "wape_median fails against its baseline: 0.9, must be better than 0.7" in decision_table(decisions)
    assert "| forecasting | wape_median | baseline | 0.9 | 0.7 |  | **no** |" in comparison_table(decisions)
