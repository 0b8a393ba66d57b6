"""The forecasting service over real HTTP: it answers what the batch wrote to gold/forecasts, and refuses the rest."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bento.forecasting.schemas import MAX_HORIZON, ForecastAnswer
from retail_assets.forecasting.answers import ForecastDesk
from retail_assets.forecasting.baseline.naive import NAIVE, SeasonalNaive
from retail_assets.forecasting.training import FEATURE_TABLE
from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from retail_assets.serving import runtime
from retail_assets.serving.service_app import NoAnswer
from tests.feature_gold import running_redis
from tests.services.harness import Served, eventually
from tests.services.releases import live_version, promote

SAMPLE = 25
LEVELS = ("q05", "q10", "q25", "q50", "q75", "q90", "q95")


def batch(home: Home) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Rows of gold/forecasts of the newest origin, per store and SKU, for a spread of series."""
    lake = Lake.at(home.lake)
    table = lake.scan("gold", "forecasts")
    rows = lake.query(
        f"""select * from {table} where origin_date = (select max(origin_date) from {table})
            and (store_id, sku) in (select (store_id, sku) from (select distinct store_id, sku from {table})
                                    order by hash(store_id || sku) limit {SAMPLE})
            order by store_id, sku, target_date"""
    ).to_pylist()
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["store_id"], row["sku"]), []).append(row)
    return found


@pytest.fixture(scope="session")
def batch_forecasts(served_home: Home) -> dict[tuple[str, str], list[dict[str, Any]]]:
    return batch(served_home)


@pytest.fixture(scope="session")
def question(batch_forecasts: dict[tuple[str, str], list[dict[str, Any]]]) -> dict[str, Any]:
    store_id, sku = next(iter(batch_forecasts))
    return {"store_id": store_id, "sku": sku}


def test_forecasts_equal_the_batch_of_the_same_origin(
    forecasting: Served, served_home: Home, batch_forecasts: dict[tuple[str, str], list[dict[str, Any]]]
) -> None:
    assert len(batch_forecasts) == SAMPLE
    for (store_id, sku), rows in batch_forecasts.items():
        response = forecasting.client.post("/forecast", json={"store_id": store_id, "sku": sku})
        answer = ForecastAnswer.model_validate_json(response.content)
        assert not answer.fallback
        assert answer.model_version == rows[0]["model_version"] == live_version(served_home, "forecasting")
        assert (answer.origin_date, answer.rung) == (rows[0]["origin_date"], rows[0]["rung"])
        assert [day.date for day in answer.days] == [row["target_date"] for row in rows]
        assert [day.horizon for day in answer.days] == [row["horizon"] for row in rows]
        for day, row in zip(answer.days, rows, strict=True):
            expected = {name: row[name] for name in LEVELS}
            assert day.mean == pytest.approx(row["mean"], rel=1e-12)
            assert day.quantiles == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("horizon", [1, 7, MAX_HORIZON])
def test_a_shorter_horizon_is_the_beginning_of_a_longer_one(
    forecasting: Served, question: dict[str, Any], horizon: int
) -> None:
    longest = forecasting.client.post("/forecast", json=question).json()["days"]
    days = forecasting.client.post("/forecast", json=question | {"horizon": horizon}).json()["days"]
    assert days == longest[:horizon]


def test_the_age_of_the_features_is_told(forecasting: Served, question: dict[str, Any]) -> None:
    answer = ForecastAnswer.model_validate(forecasting.client.post("/forecast", json=question).json())
    assert answer.features_at is not None and answer.feature_age_s is not None
    assert 0 <= answer.feature_age_s < timedelta(days=7).total_seconds()
    assert answer.decision_id[14] == "7"
    assert abs(datetime.now(UTC) - answer.decided_at) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"horizon": 0}, "horizon"),
        ({"horizon": MAX_HORIZON + 1}, "horizon"),
        ({"horizon": 7.5}, "horizon"),
        ({"horizon": "7"}, "horizon"),
        ({"sku": None}, "sku"),
        ({"promotion": 0.5}, "promotion"),
    ],
)
def test_a_broken_request_is_422_and_names_the_field(
    forecasting: Served, question: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    response = forecasting.client.post("/forecast", json=question | change)
    assert response.status_code == 422
    assert [problem["loc"] for problem in response.json()["detail"]] == [["body", field]]


@pytest.mark.parametrize("field", ["store_id", "sku"])
def test_an_unknown_store_or_sku_is_404_and_named(forecasting: Served, question: dict[str, Any], field: str) -> None:
    response = forecasting.client.post("/forecast", json=question | {field: "ZZ-404"})
    assert (response.status_code, response.json()["unknown"]) == (404, {field: "ZZ-404"})


def test_each_answer_is_a_row_that_tells_what_it_was_made_from(
    forecasting: Served, served_home: Home, question: dict[str, Any]
) -> None:
    answer = forecasting.client.post("/forecast", json=question | {"horizon": 3}).json()
    lake = Lake.at(served_home.lake)
    sql = f"select * from {{}} where decision_id = '{answer['decision_id']}'"

    def rows() -> list[dict[str, Any]]:
        if not lake.exists("decisions", "forecasting"):
            return []
        return lake.query(sql.format(lake.scan("decisions", "forecasting"))).to_pylist()

    assert eventually(lambda: bool(rows()), within=30, every=0.5)
    (row,) = rows()
    assert (row["store_id"], row["sku"], row["mode"]) == (question["store_id"], question["sku"], "service")
    output, inputs = json.loads(row["output"]), json.loads(row["inputs"])
    assert [day[1] for day in output["days"]] == [day["mean"] for day in answer["days"]]
    assert output["rung"] == answer["rung"] == "own history"
    assert inputs["features"]["units_mean_28"] is not None
    assert set(inputs["features_at"]) == {"store_product_demand", "store_activity", "product_demand"}


def test_metrics_and_version(forecasting: Served, served_home: Home, question: dict[str, Any]) -> None:
    forecasting.client.post("/forecast", json=question)
    metrics, live = forecasting.metrics(), live_version(served_home, "forecasting")
    assert metrics[f'retail_model_info{{product="forecasting",target="cloud",version="{live}"}}'] == 1
    made = f'retail_decisions_total{{arm="champion",product="forecasting",version="{live}"}}'
    assert metrics[made] >= 1
    assert forecasting.client.get("/version").json()["version"] == live


class TestFallback:
    """What may not be believed is not used: the batch forecast answers instead, and says so."""

    @pytest.fixture
    def desk(self, tiny_copy: Home) -> ForecastDesk:
        desk = ForecastDesk(Environment(name="test", home=tiny_copy, lake=Lake.at(tiny_copy.lake)))
        desk.runtime.start()
        return desk

    def test_stale_features_fall_back_to_the_batch_forecast(self, desk: ForecastDesk, tiny_copy: Home) -> None:
        (store_id, sku), rows = next(iter(batch(tiny_copy).items()))
        assert desk.clock.known_at is not None
        desk.clock.known_at += timedelta(days=30)
        answer = ForecastAnswer.model_validate(desk.forecast(store_id, sku, 7))
        desk.runtime.close()
        assert answer.fallback and answer.fallback_reason is not None
        assert answer.fallback_reason.startswith("stale: features of store_product_demand")
        assert [day.mean for day in answer.days] == [row["mean"] for row in rows[:7]]

    def test_a_feature_store_that_is_gone_is_not_missed(self, desk: ForecastDesk, tiny_copy: Home) -> None:
        (store_id, sku), rows = next(iter(batch(tiny_copy).items()))
        for file in tiny_copy.features.iterdir():
            file.unlink()
        answer = ForecastAnswer.model_validate(desk.forecast(store_id, sku, 1))
        desk.runtime.close()
        assert not answer.fallback
        assert answer.days[0].mean == pytest.approx(rows[0]["mean"], rel=1e-12)

    def test_a_key_without_features_falls_back(self, desk: ForecastDesk, tiny_copy: Home) -> None:
        (store_id, sku), rows = next(iter(batch(tiny_copy).items()))
        lake, key = Lake.at(tiny_copy.lake), f"store_id = '{store_id}' and sku = '{sku}'"
        lake.open("gold", FEATURE_TABLE).delete(key)
        lake.open("gold", "forecasts").update(updates={"rung": "'analogues'"}, predicate=key)
        desk.vectors.poll()
        answer = ForecastAnswer.model_validate(desk.forecast(store_id, sku, 1))
        desk.runtime.close()
        assert answer.fallback_reason is not None and answer.fallback_reason.startswith("missing")
        assert (answer.days[0].mean, answer.rung) == (rows[0]["mean"], "analogues")
        assert 'retail_fallbacks_total{product="forecasting",why="missing"} 1.0' in desk.runtime.metrics.text()

    def test_without_a_batch_forecast_there_is_no_answer(self, desk: ForecastDesk, tiny_copy: Home) -> None:
        store_id, sku = next(iter(batch(tiny_copy)))
        Lake.at(tiny_copy.lake).open("gold", "forecasts").delete()
        assert desk.clock.known_at is not None
        desk.clock.known_at += timedelta(days=30)
        naive = ForecastAnswer.model_validate(desk.forecast(store_id, sku, 7))
        desk._naive = SeasonalNaive(Lake.at(tiny_copy.lake))
        with pytest.raises(NoAnswer, match="no batch forecast or sales to fall back to"):
            desk.forecast(store_id, sku, 7)
        desk.runtime.close()
        assert naive.fallback_reason is not None and naive.fallback_reason.endswith("a seasonal naive forecast")
        assert (naive.model_version, len(naive.days)) == (NAIVE, 7)

    def test_gold_that_is_away_is_answered_from_memory_with_its_age(
        self, desk: ForecastDesk, tiny_copy: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store_id, sku = next(iter(batch(tiny_copy)))
        before = desk.forecast(store_id, sku, 7)
        shutil.move(tiny_copy.lake / "gold", tiny_copy.root / "away")
        monkeypatch.setattr(runtime, "UNREACHED_AFTER_S", -1.0)
        during = desk.forecast(store_id, sku, 7)
        assert desk.clock.known_at is not None
        desk.clock.known_at += timedelta(days=30)
        with pytest.raises(NoAnswer, match="stale"):
            desk._naive = SeasonalNaive(Lake.at(tiny_copy.lake))
            desk.forecast(store_id, sku, 7)
        desk.runtime.close()
        assert (during["days"], during["fallback"]) == (before["days"], False)
        assert before["cache_age_s"] is None and during["cache_age_s"] >= 0

    def test_an_online_store_that_hangs_is_not_missed(
        self, tiny_copy: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A real Redis that takes every connection and answers nothing."""
        import redis

        (store_id, sku), rows = next(iter(batch(tiny_copy).items()))
        with running_redis(tmp_path) as connection:
            host, port = connection.split(",")[0].split(":")
            redis.Redis(host, int(port)).client_pause(3_600_000)
            monkeypatch.setenv("RETAIL_REDIS", connection)
            desk = ForecastDesk(Environment(name="test", home=tiny_copy, lake=Lake.at(tiny_copy.lake)))
            desk.runtime.start()
            answers = [desk.forecast(store_id, sku, 7) for _ in range(3)]
            desk.runtime.close()
        assert {answer["fallback"] for answer in answers} == {False}
        assert all([day["mean"] for day in a["days"]] == [row["mean"] for row in rows[:7]] for a in answers)

    def test_a_late_question_gets_what_the_same_weekdays_sold(self, desk: ForecastDesk, tiny_copy: Home) -> None:
        store_id, sku = next(iter(batch(tiny_copy)))
        answer = ForecastAnswer.model_validate(desk.forecast(store_id, sku, 14, late=True))
        desk.runtime.close()
        lake, newest = Lake.at(tiny_copy.lake), answer.origin_date
        sold = lake.query(
            f"""select business_date, gross_units, coalesce(is_stocked_out, false) as out
                from {lake.scan("gold", "fct_sales_daily")}
                where store_id = '{store_id}' and sku = '{sku}' and business_date > date '{newest}' - 28"""
        ).to_pylist()
        for day in answer.days:
            same = [row for row in sold if row["business_date"].weekday() == day.date.weekday()]
            units = sum(row["gross_units"] for row in same if not row["out"])
            days = max(4 - sum(row["out"] for row in same), 1)
            assert day.mean == pytest.approx(units / days, rel=1e-5)
            assert day.quantiles == {}
        assert answer.fallback and 'why="busy"} 1.0' in desk.runtime.metrics.text()


def test_a_model_that_does_not_fit_this_code_is_refused(tiny_copy: Home) -> None:
    store, good = ModelStore.at(tiny_copy.models), live_version(tiny_copy, "forecasting")
    manifest, folder = store.manifest("forecasting", good), store.path("forecasting", good)
    files = {name: (folder / name).read_bytes() for name in manifest.files}
    spec = json.loads(files["spec.json"])
    files["spec.json"] = json.dumps(spec | {"features": spec["features"][:-1]}).encode()
    desk = ForecastDesk(Environment(name="test", home=tiny_copy, lake=Lake.at(tiny_copy.lake)))
    desk.runtime.start()
    promote(tiny_copy, "forecasting", store.save("forecasting", files, manifest))
    desk.runtime.live.poll()
    version = desk.runtime.version()
    desk.runtime.close()
    assert version["version"] == good
    assert "its trees ask for 34 other columns than spec.json names" in version["refused"]["reason"]
