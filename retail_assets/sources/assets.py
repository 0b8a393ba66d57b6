"""Bronze in the graph: one asset per source, so that a failing source does not hold up the others."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import dagster as dg

from retail_assets.core.markdown import Markdown, bullets, code, shown, table
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sources.config import load_contracts
from retail_assets.sources.contract import Contract
from retail_assets.sources.load import load_source
from retail_assets.sources.quality import empty_feeds
from retail_assets.sources.report import NothingLoaded, SourceReport
from retail_assets.sources.tables import bronze_schema, ensure_bronze


@dataclass(frozen=True)
class SourceSpec:
    """What the graph says about a source before any file is opened; a test compares it with configs/sources.

    Without a row of a source that is `needed` nothing after it can work.
    """

    name: str
    grain: str
    owner: str
    fresh_within_hours: int | None = None
    after: tuple[str, ...] = ()
    needed: bool = False


SOURCES = (
    SourceSpec("stores", "one delivery of one store", "store-operations", needed=True),
    SourceSpec("products", "one delivery of one item in one country", "data-platform", needed=True),
    SourceSpec("customers", "one delivery of one customer", "store-operations", after=("stores",)),
    SourceSpec("exchange_rates", "one currency and day", "data-platform", 48),
    SourceSpec("pos_lines", "one line of one receipt", "store-operations", 36, ("products", "stores"), needed=True),
    SourceSpec("click_events", "one event", "store-operations", 36, ("products", "stores")),
    SourceSpec("payments", "one payment", "store-operations", 48, ("stores",)),
    SourceSpec("chargebacks", "one chargeback", "store-operations"),
    SourceSpec("competitor_prices", "one competitor, item and day", "pricing", 216, ("products",)),
    SourceSpec("stock_levels", "one store, item and day", "store-operations", 48, ("products", "stores")),
    SourceSpec("price_list", "one country, item and day from which the price holds", "pricing", after=("products",)),
    SourceSpec("promotions", "one promotion of one item in one country", "pricing", after=("products",)),
    SourceSpec("weather", "one store and day", "forecasting", 48, ("stores",)),
)


def bronze_key(source: str) -> dg.AssetKey:
    """The asset key of a source's bronze table."""
    return dg.AssetKey(["bronze", source])


def _freshness(hours: int | None) -> dg.FreshnessPolicy | None:
    if hours is None:
        return None
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=hours), warn_window=timedelta(hours=hours) * 3 / 4
    )


def _bronze_asset(spec: SourceSpec) -> dg.AssetsDefinition:
    @dg.asset(
        key=bronze_key(spec.name),
        deps=[bronze_key(source) for source in spec.after],
        group_name="sources",
        owners=[f"team:{spec.owner}"],
        kinds={"delta", "duckdb"},
        code_version="1",
        freshness_policy=_freshness(spec.fresh_within_hours),
        description=f"New landing files of {spec.name}, typed and checked against configs/sources/{spec.name}.yaml; "
        f"what breaks the contract is in quarantine/{spec.name} with its reasons. Grain: {spec.grain}.",
    )
    def bronze(lake: dg.ResourceParam[Lake], home: dg.ResourceParam[Home]) -> dg.MaterializeResult:
        contracts = load_contracts()
        ensure_bronze(lake, contracts)
        report = load_source(lake, home.landing, contracts[spec.name])
        if spec.needed and lake.open("bronze", spec.name).count() == 0 and (empty := empty_feeds(lake, spec.name)):
            raise NothingLoaded(empty)
        return dg.MaterializeResult(metadata=_metadata(lake, contracts[spec.name], report))

    return bronze


def _metadata(lake: Lake, contract: Contract, report: SourceReport) -> dict[str, Any]:
    schema = bronze_schema(contract)
    changes = [Markdown(f"{code(change.file)}: {shown(change.change)}") for change in report.schema_changes]
    return {
        "status": "loaded" if report.files else "unchanged",
        "dagster/row_count": lake.open("bronze", contract.source).count(),
        "dagster/column_schema": dg.TableSchema(
            columns=[dg.TableColumn(field.name, str(field.type)) for field in schema]
        ),
        "delta_version": report.delta_version,
        "files": report.files,
        "rows_read": report.rows_read,
        "rows_bronze": report.rows_bronze,
        "rows_quarantined": report.rows_quarantined,
        "rows_duplicate": report.rows_duplicate,
        "business_dates": len(report.business_dates),
        **{f"times_{change}": rows for change, rows in report.clock_changes.items()},
        "not_read": dg.MetadataValue.md(
            bullets(f"{n}: {why}" for n, why in (report.not_read | report.no_files).items())
        ),
        "schema_changes": dg.MetadataValue.md(bullets(changes)),
        "quarantine": dg.MetadataValue.md(quarantine_table(lake, contract.source)),
    }


def quarantine_table(lake: Lake, source: str) -> str:
    """Markdown: every reason in a source's quarantine with its count and one row as it came."""
    found = lake.query(
        "SELECT split_part(reason, ':', 1) AS kind, count(*) AS rows, any_value(reason) AS reason, "
        "any_value(file || ':' || line) AS place, any_value(left(raw, 120)) AS raw "
        f"FROM (SELECT unnest(reasons) AS reason, * FROM {lake.scan('quarantine', source)}) "
        "GROUP BY 1 ORDER BY 2 DESC, 1"
    ).to_pylist()
    if not found:
        return "empty"
    head = ("reason", "rows", "for example", "where", "the row as it came")
    rows = ((row["kind"], row["rows"], row["reason"], row["place"], code(row["raw"])) for row in found)
    return table(head, rows)


ASSETS = [_bronze_asset(spec) for spec in SOURCES]
