"""Bronze in the graph: materialised on a real ephemeral instance, with its checks and its sensor."""

import dagster as dg
import pytest

from retail_assets.resources.lake import Lake
from retail_assets.sources import quality
from retail_assets.sources.assets import ASSETS, SOURCES, bronze_key, quarantine_table
from retail_assets.sources.checks import CHECKS
from retail_assets.sources.sensors import listing_hash, new_landing_files_refresh
from retail_assets.sources.tables import LOADS
from tests.sources.landing import US_HEADER, Retailer, touch, us_line

WANTED = ["stores", "products", "pos_lines", "payments"]


def materialize(retailer: Retailer, *names: str, raise_on_error: bool = True) -> dg.ExecuteInProcessResult:
    """Runs the named sources with all of their checks."""
    keys = [bronze_key(name) for name in names]
    return dg.materialize(
        [*ASSETS, *CHECKS],
        selection=dg.AssetSelection.assets(*keys),
        resources={"lake": retailer.lake, "home": retailer.home},
        raise_on_error=raise_on_error,
    )


def checks(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    """Evaluations by (source, check)."""
    return {(e.asset_key.path[-1], e.check_name): e for e in result.get_asset_check_evaluations()}


def test_sources_load_and_their_checks_pass(retailer: Retailer) -> None:
    retailer.put_pos([us_line(), us_line(receipt=2)])
    result = materialize(retailer, *WANTED)
    (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == bronze_key("pos_lines")]
    metadata = event.materialization.metadata
    assert metadata["dagster/row_count"].value == 2
    assert metadata["status"].value == "loaded"
    found = checks(result)
    assert len([key for key in found if key[1] == "rows_add_up"]) == len(WANTED)
    assert all(evaluation.passed for evaluation in found.values())
    assert found["pos_lines", "rows_add_up"].blocking


def test_a_second_run_says_unchanged(retailer: Retailer) -> None:
    retailer.put_pos([us_line()])
    materialize(retailer, "pos_lines")
    result = materialize(retailer, "pos_lines")
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["status"].value == "unchanged"


def test_a_source_that_fails_does_not_take_others_with_it(retailer: Retailer, monkeypatch: pytest.MonkeyPatch) -> None:
    retailer.put_pos([us_line()])
    retailer.put("rates/rates_20251006_d20251006T160000Z.csv", "rate_date,currency,rate_to_usd\n2025-10-06,USD,1\n")
    monkeypatch.setattr("retail_assets.sources.assets.load_source", _failing_for("exchange_rates"))
    result = materialize(retailer, "pos_lines", "exchange_rates", raise_on_error=False)
    assert not result.success
    assert [event.asset_key.path[-1] for event in result.get_asset_materialization_events()] == ["pos_lines"]
    assert len(retailer.bronze()) == 1


def _failing_for(source: str) -> object:
    from retail_assets.sources.load import load_source

    def load(lake: Lake, root: object, contract: object) -> object:
        if getattr(contract, "source", None) == source:
            raise OSError("disk full")
        return load_source(lake, root, contract)  # type: ignore[arg-type]

    return load


def test_a_row_that_vanished_from_bronze_fails_the_blocking_check(retailer: Retailer) -> None:
    retailer.put_pos([us_line(), us_line(receipt=2)])
    materialize(retailer, "pos_lines")
    retailer.lake.open("bronze", "pos_lines").delete("line = 3")
    result = materialize(retailer, "pos_lines", raise_on_error=False)
    assert not checks(result)["pos_lines", "rows_add_up"].passed


def test_many_rejected_rows_and_new_columns_raise_warnings(retailer: Retailer) -> None:
    lines = [us_line(receipt=n, quantity="x" if n % 2 else "1") + ",9" for n in range(20)]
    retailer.put_pos(lines, header=US_HEADER + ",points")
    found = checks(materialize(retailer, "pos_lines"))
    share, columns = found["pos_lines", "quarantine_share_is_normal"], found["pos_lines", "no_unknown_columns"]
    assert (share.passed, share.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert share.metadata["share"].value == 0.5
    assert not columns.passed
    assert "new column points" in str(columns.metadata["changes"].value)


@pytest.mark.parametrize(("recent", "share"), [(98, 0.02), (97, 0.03)])
def test_the_limit_of_the_quarantine_share_is_two_percent(retailer: Retailer, recent: int, share: float) -> None:
    lines = [us_line(receipt=n, quantity="1" if n < recent else "x") for n in range(100)]
    retailer.put_pos(lines)
    retailer.load_pos()
    assert quality.recent_quarantine_shares(retailer.lake)["pos_lines"] == pytest.approx(share)
    assert (share <= quality.NORMAL_SHARE) == (recent == 98)


def test_old_deliveries_do_not_count_as_recent(retailer: Retailer) -> None:
    retailer.put_pos([us_line(quantity="x")])
    retailer.put_pos([us_line(receipt=2, time="10/20/2025 10:00:00 AM")], day="20251020", stamp="20251021T000000Z")
    retailer.load_pos()
    assert quality.recent_quarantine_shares(retailer.lake)["pos_lines"] == 0


def sell(retailer: Retailer, *days: int, store: str = "US-001") -> None:
    """One sale in `store` on each day of October 2025."""
    for day in days:
        line = us_line(receipt=day, time=f"10/{day:02d}/2025 10:00:00 AM", store=store)
        content = f"{US_HEADER}\n{line}\n"
        retailer.put(f"pos/{store}/pos_{store}_202510{day:02d}_d20251101T000000Z.csv", content)


def test_a_store_that_did_not_deliver_is_named(retailer: Retailer) -> None:
    sell(retailer, 1, 8, 15, 22, 29)
    sell(retailer, 1, 8, 15, 22, store="US-WEB")
    retailer.load_pos()
    assert quality.missing_deliveries(retailer.lake) == ["US-WEB 2025-10-29"]


def test_a_store_that_never_trades_on_a_weekday_is_not_missed(retailer: Retailer) -> None:
    sell(retailer, 1, 8, 15, 22, 29)
    sell(retailer, 2, 9, 16, 23, store="US-WEB")
    retailer.load_pos()
    assert quality.missing_deliveries(retailer.lake) == []


def test_a_closed_holiday_is_no_missing_delivery(retailer: Retailer) -> None:
    for day in ("20251127", "20251204", "20251211", "20251218"):
        when = f"{day[4:6]}/{day[6:]}/{day[:4]} 10:00:00 AM"
        retailer.put_pos([us_line(receipt=int(day[-4:]), time=when)], day=day, stamp="20260101T000000Z")
    line = us_line(receipt=9, time="12/25/2025 10:00:00 AM", store="US-WEB")
    retailer.put("pos/US-WEB/pos_US-WEB_20251225_d20251226T060000Z.csv", f"{US_HEADER}\n{line}\n")
    retailer.load_pos()
    assert quality.missing_deliveries(retailer.lake) == []


def test_quarantine_is_shown_with_an_example_per_reason(retailer: Retailer) -> None:
    assert quarantine_table(retailer.lake, "pos_lines") == "empty"
    retailer.put_pos([us_line(quantity="x"), us_line(receipt=2, quantity="y")])
    retailer.load_pos()
    assert "| not_a_decimal | 2 |" in quarantine_table(retailer.lake, "pos_lines")


def test_new_files_request_one_refresh(retailer: Retailer) -> None:
    instance = dg.DagsterInstance.ephemeral()

    def tick(cursor: str | None) -> dg.SensorResult | dg.SkipReason:
        context = dg.build_sensor_context(instance=instance, cursor=cursor, resources={"home": retailer.home})
        return new_landing_files_refresh(context)  # type: ignore[return-value]

    first = tick(None)
    assert isinstance(first, dg.SensorResult)
    assert [request.run_key for request in first.run_requests or []] == [f"landing-{first.cursor}"]
    assert isinstance(tick(first.cursor), dg.SkipReason)
    file = retailer.put_pos([us_line()])
    second = tick(first.cursor)
    assert isinstance(second, dg.SensorResult)
    touch(file, 5)
    third = tick(second.cursor)
    assert isinstance(third, dg.SensorResult)
    assert len({first.cursor, second.cursor, third.cursor}) == 3


def test_no_landing_is_no_request(retailer: Retailer) -> None:
    assert listing_hash(retailer.home.root / "nowhere") is None


def test_every_source_has_owner_grain_and_checks() -> None:
    for asset, spec in zip(ASSETS, SOURCES, strict=True):
        (description,) = asset.descriptions_by_key.values()
        assert spec.grain in description
        assert asset.owners_by_key[bronze_key(spec.name)] == [f"team:{spec.owner}"]
    assert {field.name for field in LOADS} >= {"rows_read", "rows_bronze", "rows_quarantined", "rows_duplicate"}
