"""The demo as a person sees it: progress per stage, then a summary of what came out."""

from collections import Counter, defaultdict
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from retail_assets.commands.check_status import CheckStatus
from retail_assets.commands.refresh import Progress as StageProgress
from retail_assets.commands.refresh import RefreshSummary, refresh
from retail_assets.commands.status import MartStatus, ModelStatus, PriceStatus, SourceStatus, Status
from retail_assets.core.registry import products
from retail_assets.core.terminal import marked, print_table
from retail_assets.pricing.publish.waiting import told
from retail_assets.resources.environments import Environment
from retail_assets.resources.home_lock import alone
from retail_assets.sample.simulate import SampleSummary
from retail_assets.sources.report import CLOCK_CHANGES, LoadReport, ReplayReport
from retail_assets.warehouse.build import BuildReport

STAGES = {
    "bronze": "landing -> bronze",
    "warehouse": "dbt models",
    "gold": "gold tables",
    "features": "features",
    "forecasting": "forecasts",
    "planning": "plans",
    "pricing": "prices",
    "serving": "releases",
    "lineage": "upkeep",
}

MANAGER = "sample manager"
SHOWN_HELD = 5


def run(environment: Environment, scale: str, seed: int, console: Console) -> None:
    """Simulates the retailer, refreshes the whole graph and, as its manager, approves its first prices."""
    simulate(environment, scale, seed, None, console)
    refresh_with_progress(environment, console)
    approve_first_prices(environment, console)


def approve_first_prices(environment: Environment, console: Console) -> None:
    """What a person does with the first batch of a home, done by the sample's manager, who does not exist."""
    from retail_assets.pricing.publish.approval import settle
    from retail_assets.pricing.publish.first_batches import FIRST
    from retail_assets.pricing.publish.price_files import write_price_files
    from retail_assets.pricing.publish.waiting import batches

    lake = environment.lake
    for batch in batches(lake):
        if batch.status == "pending" and batch.reason.startswith(FIRST):
            console.print(marked("[bold]Prices wait for a person[/], as the first ones always do:"))
            console.print("\n".join(told(batch)), highlight=False)
            settle(lake, "approve", batch.batch_id, None, by=MANAGER, reason="the sample retailer's first prices")
            console.print(f"The demo approves them as the {MANAGER}; yours wait for you.")
    write_price_files(lake, environment.home)


def _progress(console: Console, clock: ProgressColumn) -> Progress:
    return Progress(
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description:<20}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        clock,
        console=console,
    )


def simulate(environment: Environment, scale: str, seed: int, days: int | None, console: Console) -> SampleSummary:
    """Writes the sample retailer's landing files with a progress bar over its days."""
    from retail_assets.sample.simulate import simulate as simulate_days

    with alone(environment.home), _progress(console, TimeElapsedColumn()) as progress:
        task = progress.add_task("sample retailer", total=None)
        summary = simulate_days(
            environment.home.root,
            scale=scale,
            seed=seed,
            days=days,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
        progress.update(
            task, completed=summary.days, total=summary.days
        )  # files that are there already are not written
    return summary


def import_with_progress(
    environment: Environment, mapping: Path, path: Path, console: Console, into_same_home: bool = False
) -> LoadReport:
    """Loads a retailer's files through `mapping` with one bar per source over its files."""
    from retail_assets.sources.load import import_retailer

    with _progress(console, TimeElapsedColumn()) as progress:
        tasks: dict[str, TaskID] = {}

        def on_batch(source: str, done: int, total: int) -> None:
            if source not in tasks:
                tasks[source] = progress.add_task(source, total=total)
            progress.update(tasks[source], completed=done, total=total)

        return import_retailer(
            environment.lake, environment.home, mapping, path, progress=on_batch, into_same_home=into_same_home
        )


def refresh_with_progress(environment: Environment, console: Console) -> RefreshSummary:
    """Refreshes the graph with one bar and the seconds worked per stage; raises RefreshFailed when a step fails."""
    from retail_assets.definitions import defs
    from retail_assets.resources.dagster import jobs

    graph = defs.resolve_asset_graph()
    keys = jobs.refresh.selection.resolve(graph) & graph.materializable_asset_keys
    totals = Counter(key.path[0] for key in keys)
    worked: defaultdict[str, float] = defaultdict(float)
    with _progress(console, TextColumn("{task.fields[seconds]:6.1f} s")) as progress:
        tasks = {s: progress.add_task(STAGES.get(s, s), total=totals[s], seconds=0.0) for s in _order(totals)}

        def on_progress(done: StageProgress) -> None:
            worked[done.stage] += done.seconds
            progress.update(tasks[done.stage], advance=done.assets, seconds=worked[done.stage])

        return refresh(environment, on_progress)


def _order(totals: Counter[str]) -> list[str]:
    return [stage for stage in STAGES if stage in totals] + sorted(set(totals) - set(STAGES))


def show(status: Status, console: Console) -> None:
    """Prints the summary: rows in, quarantined and why, marts, models, prices, one example, what to open next."""
    console.print(marked("[bold]{}[/] ({})", status.home, status.environment))
    if not status.sources:
        console.print("This home is empty. Start with `retail demo`, or `retail import MAPPING PATH`.")
        return
    _show_sources(status.sources, console)
    for held in status.held[:SHOWN_HELD]:
        console.print(marked("[yellow]Waits for the rest of its day:[/] {}", held))
    if len(status.held) > SHOWN_HELD:
        console.print(f"  and {len(status.held) - SHOWN_HELD:,} more")
    _show_marts(status.marts, console)
    _show_models(status.models, console)
    for refusal in status.refused:
        console.print(marked("[bold red]Refused:[/] {}", refusal.what))
        console.print(marked("  to do: {}", refusal.todo))
    if status.prices:
        _show_prices(status.prices, console)
    for batch in status.waiting:
        console.print(marked("[bold yellow]Prices wait for a person:[/]"))
        console.print("\n".join(told(batch)), highlight=False)
    _show_checks(status.checks, console)
    todo = "\nNext: [bold]make dev[/], then open http://127.0.0.1:3000 for the graph, the checks and the plots."
    console.print(marked(todo))


def _show_sources(sources: list[SourceStatus], console: Console) -> None:
    counts = ("files", "read", "bronze", "quarantined", "duplicate")
    rows = [
        (
            s.source,
            *(f"{n:,}" for n in (s.files, s.read, s.bronze, s.quarantined, s.duplicate)),
            ", ".join(f"{reason} {count:,}" for reason, count in s.reasons.items()),
        )
        for s in sources
    ]
    columns = ("source", *counts, "why quarantined")
    print_table(console, columns, rows, title="Rows in", numbers=counts, long=["why quarantined"])
    for s in sources:
        for file, reason in s.refused_files.items():
            console.print(marked("[red]Refused:[/] {} ({}): {}", file, s.source, reason))
        for file, reason in s.passed_over.items():
            console.print(marked("[yellow]Passed over:[/] {} ({}): {}", file, s.source, reason))


def _show_marts(marts: list[MartStatus], console: Console) -> None:
    rows = [(mart.mart, f"{mart.rows:,}", str(mart.version), mart.newest or "") for mart in marts]
    print_table(console, ("mart", "rows", "version", "newest day"), rows, title="Gold", numbers=("rows", "version"))


def _show_models(models: list[ModelStatus], console: Console) -> None:
    if not models:
        console.print("No model is live yet.", style="bold")
        return
    rows = [(f"{m.product} @ {m.target}", m.version, m.live_since[:16].replace("T", " "), _headline(m)) for m in models]
    columns = ("product", "live version", "since (UTC)", "on held-back days")
    print_table(console, columns, rows, title="Models", long=["on held-back days"])
    for m in models:
        if m.refused:
            told = "[bold red]Refused:[/] {} {} is released and may not answer, the last good version does: {}"
            console.print(marked(told, m.product, m.version, m.refused))


def _headline(model: ModelStatus) -> str:
    lines = []
    for headline in products()[model.product].headlines if model.product in products() else ():
        if (
            not {headline.metric, *headline.baselines.values()} <= model.metrics.keys()
        ):  # of a version that is unreadable
            continue
        against = ", ".join(f"{name} {model.metrics[key]:.3f}" for name, key in headline.baselines.items())
        told = f"{headline.label} {model.metrics[headline.metric]:.3f}"
        lines.append(told + (f" (baselines: {against})" if against else ""))
    return "\n".join(lines)


def _show_checks(checks: list[CheckStatus], console: Console) -> None:
    for check in checks:
        colour = "red" if check.severity == "error" else "yellow"
        stops = ", what stands behind it stays as it was" if check.blocking and check.severity == "error" else ""
        failed = Text(f"Check failed ({check.severity}{stops}):", style=colour)
        console.print(Text.assemble(failed, f" {check.asset}: {check.check}"))
        if check.promise:
            console.print(f"  should hold: {check.promise}", highlight=False)
        if check.found:
            console.print(marked("  found: {}", check.found))


def _show_prices(prices: PriceStatus, console: Console) -> None:
    console.print(f"Prices of {prices.business_date}: {prices.decided:,} decided, {prices.changed:,} changed.")
    if prices.example:
        example = prices.example
        shown = ("sku", "store_id", "previous_price", "price", "currency", "model_version")
        told = "For example {} in {}: {} -> [bold]{} {}[/] (model {})"
        console.print(marked(told, *(example[name] for name in shown)))
        console.print(example["reasons"], highlight=False)


def show_sample(summary: SampleSummary, console: Console) -> None:
    """Prints what the simulator wrote, per kind of file."""
    title = f"{summary.days} days, {summary.first_day} to {summary.last_day}, {summary.faults} planted faults"
    rows = [(source, f"{files:,}", f"{summary.rows[source]:,}") for source, files in summary.files.items()]
    print_table(console, ("source", "files", "rows"), rows, title=title, numbers=("files", "rows"))


def show_load(report: LoadReport, console: Console) -> None:
    """Prints what a load read, kept, refused and recognised, and the changes of layout it saw."""
    _show_sources(
        [
            SourceStatus(
                source=source.source,
                files=source.files,
                read=source.rows_read,
                bronze=source.rows_bronze,
                quarantined=source.rows_quarantined,
                duplicate=source.rows_duplicate,
                reasons=source.quarantined_by_reason,
            )
            for source in report.sources
        ],
        console,
    )
    for source in report.sources:
        for change in source.schema_changes:
            console.print(marked("[yellow]{}[/]: {} ({})", source.source, change.change, change.file))
        for kind, rows in source.clock_changes.items():
            times = "1 time is" if rows == 1 else f"{rows:,} times are"
            console.print(marked("[yellow]{}[/]: {} {}", source.source, times, CLOCK_CHANGES[kind]))
        for name, why in source.not_read.items():
            told = "[bold red]{}[/]: {} could not be read ({}); the next import tries it again"
            console.print(marked(told, source.source, name, why))
        for name, why in source.no_files.items():
            console.print(marked("[yellow]{}[/]: passed over: {} is {}", source.source, name, why))
    if report.overlap is not None:
        console.print(marked("[yellow]pos_lines[/]: {}", report.overlap))
    for skipped in report.skipped:
        console.print(marked("left out: {}: {}", ", ".join(skipped.files), skipped.reason))
    for name, rows in report.waiting.items():
        console.print(
            f"{name}: nothing new; {rows:,} rows wait in quarantine, `retail replay {name}` tries them by a corrected "
            "mapping"
        )
    if not report.empty_feeds:
        console.print(marked("Next: [bold]retail run[/]"))


def show_replay(report: ReplayReport, console: Console) -> None:
    """Prints how many quarantined rows passed, and why the others stay."""
    console.print(
        f"{report.source}: {report.rows_tried:,} rows tried, {report.rows_moved:,} moved to bronze, "
        f"{report.rows_duplicate:,} already there, {report.rows_left:,} left"
    )
    for reason, rows in report.left_by_reason.items():
        console.print(f"  {reason} {rows:,}")
    for by in report.judged_by:
        console.print(marked("judged by {}", by))
    for note in report.notes:
        console.print(marked("[yellow]note[/]: {}", note))
    if report.rows_moved:
        console.print(marked("{} days changed. Next: [bold]retail run[/]", len(report.business_dates)))


def show_build(report: BuildReport, console: Console) -> None:
    """Prints which days were rebuilt and how many rows each mart published."""
    seconds = report.build_seconds + report.publish_seconds
    console.print(f"{report.mode}: {report.reason}; {len(report.days)} days in {seconds:.1f} s")
    for published in report.marts:
        console.print(f"  {published.mart}: {published.status}, {published.rows:,} rows written", highlight=False)
