"""What a home holds right now, as data: the same figures the demo's summary prints."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from retail_assets.commands.check_status import CheckStatus, failed_checks
from retail_assets.pricing.publish.waiting import WaitingBatch, batches
from retail_assets.releases.ledger import Ledger
from retail_assets.releases.refused import RefusedVersion, standing
from retail_assets.resources.environments import Environment
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_proof import why_refused
from retail_assets.resources.model_store import ModelStore, ModelStoreError
from retail_assets.sources.config import load_contracts
from retail_assets.sources.discover import listing
from retail_assets.sources.held_days import held_days
from retail_assets.sources.requarantined import WHOLE
from retail_assets.sources.state import MOVES, State


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceStatus(_Frozen):
    """Rows of one source since the home exists; `read = bronze + quarantined + duplicate`.

    `refused_files` are those of which no row could be read, `passed_over` what lies in landing and is no file that may
    be read (a pipe, a link out of the folder, a file of somebody else), each with the reason.
    """

    source: str
    files: int
    read: int
    bronze: int
    quarantined: int
    duplicate: int
    reasons: dict[str, int]
    refused_files: dict[str, str] = {}
    passed_over: dict[str, str] = {}


_NOTHING = dict.fromkeys(("files", "read", "bronze", "quarantined", "duplicate"), 0)


class MartStatus(_Frozen):
    """One gold table: its rows, its Delta version and the newest business date in it."""

    mart: str
    rows: int
    version: int
    newest: str | None


class ModelStatus(_Frozen):
    """One live model version and its metrics next to those of its baselines.

    `refused` says why it may not be loaded, as far as is known: then the last good version before it answers.
    """

    product: str
    target: str
    version: str
    live_since: str
    by: str
    reason: str
    metrics: dict[str, float]
    refused: str | None = None


class PriceStatus(_Frozen):
    """The price decisions of the newest day."""

    business_date: str
    decided: int
    changed: int
    example: dict[str, Any] | None


class Status(_Frozen):
    """Everything `retail status` prints.

    `refused` are versions that the gates kept from going live, `checks` what failed in the newest refresh, `waiting`
    the batches of prices that wait for a person, `held` the rows whose date is ahead of their store.
    """

    environment: str
    home: str
    sources: list[SourceStatus]
    held: list[str]
    marts: list[MartStatus]
    models: list[ModelStatus]
    refused: list[RefusedVersion]
    prices: PriceStatus | None
    waiting: list[WaitingBatch]
    checks: list[CheckStatus]


def status(environment: Environment) -> Status:
    """Reads the lake, the ledger and the model store; an empty home gives empty lists, never an error."""
    lake = environment.lake
    return Status(
        environment=environment.name,
        home=str(environment.home.root),
        sources=source_status(lake, environment.home.landing),
        held=[str(day) for day in held_days(lake) if day.is_ahead],
        marts=mart_status(lake),
        models=model_status(lake, ModelStore.at(environment.home.models)),
        refused=standing(lake),
        prices=price_status(lake),
        waiting=batches(lake),
        checks=failed_checks(environment),
    )


def source_status(lake: Lake, landing: Path | None = None) -> list[SourceStatus]:
    """Counts per source from the ledger of loads and the quarantine, in the order of their size.

    With `landing` also what lies there now and is passed over.
    """
    if not lake.exists("ops", "loads"):
        return []
    rows = lake.query(
        f"""select source, count(distinct file) filter (status not in {MOVES}) files, sum(rows_read)::bigint "read",
                   sum(rows_bronze)::bigint bronze,
                   sum(rows_quarantined)::bigint quarantined, sum(rows_duplicate)::bigint duplicate
            from {lake.scan("ops", "loads")} group by source order by "read" desc, source"""
    ).to_pylist()
    over = {} if landing is None or not landing.is_dir() else _passed_over(landing)
    return [
        SourceStatus(
            **row,
            passed_over=over.pop(row["source"], {}),
            reasons=_quarantine_reasons(lake, row["source"]),
            refused_files=_refused_files(lake, row["source"]),
        )
        for row in [*rows, *(_NOTHING | {"source": source} for source in over if source not in _loaded(rows))]
    ]


def _loaded(rows: Sequence[Mapping[str, Any]]) -> set[str]:
    return {row["source"] for row in rows}


def _passed_over(landing: Path) -> dict[str, dict[str, str]]:
    """By source what stands where its files should and cannot be read; the sources that have such."""
    found = {}
    for name, contract in load_contracts().items():
        there = listing(landing, name, contract.feeds, State())
        if said := there.no_files | there.not_read:
            found[name] = said
    return found


def _refused_files(lake: Lake, source: str) -> dict[str, str]:
    if not lake.exists("quarantine", source):
        return {}
    whole = ", ".join(f"'{reason}'" for reason in WHOLE)
    rows = lake.query(
        f"""select q.file, min(q.reason) as reason
            from (select load_id, file, unnest(reasons) as reason from {lake.scan("quarantine", source)}) q
            join {lake.scan("ops", "loads")} l on l.load_id = q.load_id and l.status = 'committed'
            where split_part(q.reason, ':', 1) in ({whole}) or (l.layout = '{{}}' and q.reason like 'truncated%')
            group by 1 order by 1"""
    )
    return dict(zip(rows["file"].to_pylist(), rows["reason"].to_pylist(), strict=True))


def _quarantine_reasons(lake: Lake, source: str) -> dict[str, int]:
    if not lake.exists("quarantine", source):
        return {}
    rows = lake.query(
        f"""select split_part(reason, ':', 1) as reason, count(*) as rows
            from (select unnest(reasons) as reason from {lake.scan("quarantine", source)})
            group by 1 order by 2 desc, 1"""
    )
    return dict(zip(rows["reason"].to_pylist(), rows["rows"].to_pylist(), strict=True))


def mart_status(lake: Lake) -> list[MartStatus]:
    """Rows and newest business date of each gold table, from Delta's own statistics where they suffice."""
    found = []
    for mart in lake.tables("gold"):
        table = lake.open("gold", mart)
        dated = "business_date" in [field.name for field in table.schema().fields]
        newest = max((str(p["business_date"]) for p in table.partitions()), default=None) if dated else None
        found.append(MartStatus(mart=mart, rows=table.count(), version=table.version(), newest=newest))
    return found


def model_status(lake: Lake, models: ModelStore) -> list[ModelStatus]:
    """Every live release with the metrics of its manifest."""
    return [
        ModelStatus(
            product=release.product,
            target=release.target,
            version=release.version,
            live_since=release.at.isoformat(),
            by=release.by,
            reason=release.reason,
            metrics=_metrics(models, release.product, release.version),
            refused=why_refused(models, release.product, release.version),
        )
        for release in Ledger(lake).live_all()
    ]


def _metrics(models: ModelStore, product: str, version: str) -> dict[str, float]:
    """The metrics of a stored version; none of one whose manifest cannot be read, which `refused` names."""
    try:
        return models.manifest(product, version).metrics
    except ModelStoreError:
        return {}


def price_status(lake: Lake) -> PriceStatus | None:
    """The newest day: how many prices were decided, how many changed, and the largest raise as an example.

    A day that was decided again counts once, as it was decided last.
    """
    if not lake.exists("decisions", "pricing"):
        return None
    batches = f"{lake.scan('decisions', 'pricing')} where mode = 'batch'"
    decisions = f"""(select * from {batches} and business_date = (select max(business_date) from {batches})
        qualify row_number() over (partition by store_id, sku order by "at" desc, decision_id) = 1)"""
    totals = lake.query(
        f"""select business_date::varchar as business_date, count(*)::bigint as decided,
                   count(*) filter (price <> previous_price)::bigint as changed
            from {decisions} group by 1"""
    ).to_pylist()
    if not totals:
        return None
    example = lake.query(
        f"""select * from {decisions}
            order by price <> previous_price desc, abs(price - previous_price) / nullif(previous_price, 0) desc,
                     store_id, sku limit 1"""
    ).to_pylist()
    return PriceStatus(**totals[0], example=_readable(example[0]) if example else None)


def _readable(decision: dict[str, Any]) -> dict[str, Any]:
    from retail_assets.pricing.decide.explain import explain

    return {
        "decision_id": decision["decision_id"],
        "store_id": decision["store_id"],
        "sku": decision["sku"],
        "price": str(decision["price"]),
        "previous_price": str(decision["previous_price"]),
        "currency": decision["currency"],
        "model_version": decision["model_version"],
        "reasons": explain(decision),
    }
