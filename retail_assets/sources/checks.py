"""What must hold of bronze and quarantine, asked of the tables themselves."""

from collections.abc import Iterator

import dagster as dg

from retail_assets.resources.lake import Lake
from retail_assets.sources import quality
from retail_assets.sources.assets import SOURCES, bronze_key

ALL = [spec.name for spec in SOURCES]
WARN = dg.AssetCheckSeverity.WARN


def _selected(context: dg.AssetCheckExecutionContext) -> list[str]:
    return sorted({key.asset_key.path[-1] for key in context.selected_asset_check_keys})


def _rows_add_up(source: str) -> dg.AssetChecksDefinition:
    """One check per source: a source waits for the checks of those it refers to, so they cannot share a step."""

    @dg.asset_check(
        name="rows_add_up",
        asset=bronze_key(source),
        blocking=True,
        description="Rows read by all loads = rows in bronze + rows in quarantine + duplicates.",
    )
    def rows_add_up(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        sums = quality.sums(lake, [source])[source]
        return dg.AssetCheckResult(passed=sums.add_up, metadata=sums.model_dump())

    return rows_add_up


@dg.multi_asset_check(
    name="bronze_quarantine_share_is_normal",
    specs=[
        dg.AssetCheckSpec(
            "quarantine_share_is_normal",
            asset=bronze_key(source),
            description="Of the rows delivered in the newest week at most 2 % are in quarantine.",
        )
        for source in ALL
    ],
    can_subset=True,
)
def quarantine_share_is_normal(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.AssetCheckResult]:
    """A jump means that a sender changed something the contract does not know."""
    shares = quality.recent_quarantine_shares(lake)
    for source in _selected(context):
        share = shares.get(source, 0.0)
        yield dg.AssetCheckResult(
            check_name="quarantine_share_is_normal",
            asset_key=bronze_key(source),
            passed=share <= quality.NORMAL_SHARE,
            severity=WARN,
            metadata={"share": share, "allowed": quality.NORMAL_SHARE},
        )


@dg.multi_asset_check(
    name="bronze_rows_of_every_feed",
    specs=[
        dg.AssetCheckSpec(
            "every_feed_has_rows",
            asset=bronze_key(source),
            description="Of every feed that was read at least one row is in bronze.",
        )
        for source in ALL
    ],
    can_subset=True,
)
def every_feed_has_rows(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.AssetCheckResult]:
    """A feed that is in quarantine as a whole is a mistake of its configuration, not of its rows."""
    found = quality.empty_feeds(lake)
    for source in _selected(context):
        empty = [feed for feed in found if feed.source == source]
        yield dg.AssetCheckResult(
            check_name="every_feed_has_rows",
            asset_key=bronze_key(source),
            passed=not empty,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"feeds": dg.MetadataValue.json([str(feed) for feed in empty])},
        )


@dg.multi_asset_check(
    name="bronze_no_unknown_columns",
    specs=[
        dg.AssetCheckSpec(
            "no_unknown_columns",
            asset=bronze_key(source),
            description="No file of the newest week brought a new, renamed or missing column for the first time.",
        )
        for source in ALL
    ],
    can_subset=True,
)
def no_unknown_columns(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.AssetCheckResult]:
    """Schema changes are reported once, where they first appear."""
    recent = quality.recent_schema_changes(lake)
    for source in _selected(context):
        changes = recent.get(source, [])
        yield dg.AssetCheckResult(
            check_name="no_unknown_columns",
            asset_key=bronze_key(source),
            passed=not changes,
            severity=WARN,
            metadata={"changes": dg.MetadataValue.json(changes)},
        )


@dg.asset_check(asset=bronze_key("pos_lines"), additional_deps=[bronze_key("stores")])
def every_store_delivered(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    """Every store has sales on each of the newest three business dates on whose weekday it usually trades."""
    missing = quality.missing_deliveries(lake)
    return dg.AssetCheckResult(passed=not missing, severity=WARN, metadata={"missing": ", ".join(missing) or "none"})


@dg.asset_check(asset=bronze_key("pos_lines"), additional_deps=[bronze_key("payments")])
def clocks_agree_with_payments(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    """The tills of a store and the payment processor agree about the time of the same receipts to half an hour."""
    skewed = quality.skewed_clocks(lake)
    return dg.AssetCheckResult(passed=not skewed, severity=WARN, metadata={"skewed": dg.MetadataValue.json(skewed)})


CHECKS = [
    *(_rows_add_up(source) for source in ALL),
    quarantine_share_is_normal,
    every_feed_has_rows,
    no_unknown_columns,
    every_store_delivered,
    clocks_agree_with_payments,
]
