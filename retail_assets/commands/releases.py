"""What answers where, and changing it: `retail models`, `promote`, `shadow`, `rollback`, `pin`, `releases` and more.

Each change says first what it will do and asks; `--yes` answers for scripts.
"""

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from retail_assets.core.terminal import By, Json, Yes, as_instant, console, errors, marked, print_json, print_table, who
from retail_assets.resources.environments import Environment, current

if TYPE_CHECKING:
    from retail_assets.releases.changes import Change, Desk, Difference
    from retail_assets.releases.rows import Release

CLOUD = "cloud"
SHARE = re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)%?")
LEAST_SHARE = 0.0001  # one store of ten thousand
SAID = {
    **dict.fromkeys(
        ("promote", "rollback", "pin", "unpin", "follow"), "{product} on {target} answers with {version} ({action})."
    ),
    "canary": "{product} on {target} answers with {version} in {share} of the stores.",
    "shadow": "{product} {version} is asked on {target} beside {previous}; nobody gets its answers.",
    "withdraw": "{product} on {target} has no canary and no shadow; {version} answers.",
}

Product = Annotated[str, typer.Argument(help="forecasting or pricing.")]
Target = Annotated[str, typer.Option(help="cloud, region-<country>, segment-<name> or store-<store id>.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept in the ledger.")]
At = Annotated[
    datetime | None, typer.Option(parser=as_instant, metavar="INSTANT", help="As it was at this instant (UTC).")
]

app = typer.Typer()
releases_app = typer.Typer(help="The release ledger: every change of what is live, and what versions differ in.")


app.add_typer(releases_app, name="releases", no_args_is_help=True)


@app.command()
def models(
    at: At = None,
    target: Annotated[str | None, typer.Option(help="What this target answers with, wherever it was released.")] = None,
    as_json: Json = False,
) -> None:
    """Which model versions are live, since when and by whom: now, or at any instant before."""
    desk = _desk(current())
    live = desk.ledger.live_all(at)
    live = sorted([*live, *desk.ledger.trials(at)], key=lambda r: (r.product, r.target))
    if target:
        answers = [desk.routed(product, target, at) for product in desk.config.products()]
        live = [release for release in answers if release is not None]
    if as_json:
        print_json([r.model_dump(mode="json") for r in live])
    else:
        show_releases(live, console, "No model is live yet." if not at else "No model was live then.")
        for refused in () if at else desk.refused(live):
            errors.print(marked("[red]{}[/]", refused))


@app.command()
def promote(
    product: Product,
    version: Annotated[str, typer.Argument(help="A stored version, the beginning of one, or `newest`.")],
    target: Target = CLOUD,
    reason: Reason = "",
    by: By = None,
    canary: Annotated[
        str | None, typer.Option(help="Only in this share of the stores, e.g. 5%; they are always the same stores.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Release it although the gates refuse it. Say why with --reason.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Make a version live on a target, or in a share of its stores, if it passes the gates."""
    if force and not reason:
        raise typer.BadParameter("say why: --force needs --reason", param_hint="--reason")
    share, desk = _share(canary), _desk(current())
    plan = desk.canary(product, version, target, share) if share else desk.promote(product, version, target)
    _change(plan, desk, by, reason or f"{plan.action} by hand", yes, force, as_json)


@app.command()
def shadow(
    product: Product,
    version: Annotated[str, typer.Argument(help="A stored version, the beginning of one, or `newest`.")],
    target: Target = CLOUD,
    reason: Reason = "shadow by hand",
    by: By = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Try a version without consequences: it is asked what the live one is asked, and its answers are only logged."""
    desk = _desk(current())
    _change(desk.shadow(product, version, target), desk, by, reason, yes, False, as_json)


@app.command()
def withdraw(
    product: Product,
    target: Target = CLOUD,
    reason: Reason = "withdrawn by hand",
    by: By = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """End the canary (a trial in some stores) and the shadow (a trial without consequences) of a target."""
    desk = _desk(current())
    _change(desk.withdraw(product, target), desk, by, reason, yes, False, as_json)


@app.command()
def rollback(
    product: Product,
    target: Target = CLOUD,
    version: Annotated[str | None, typer.Option(help="An earlier version (default: the one before).")] = None,
    reason: Reason = "rolled back by hand",
    by: By = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Go back to an earlier version, everywhere or in one store only."""
    desk = _desk(current())
    _change(desk.rollback(product, target, version), desk, by, reason, yes, False, as_json)


@app.command()
def pin(
    product: Product,
    version: Annotated[str | None, typer.Argument(help="A stored version (default: the one that answers now).")] = None,
    target: Target = CLOUD,
    reason: Reason = "pinned by hand",
    by: By = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Keep a version on a target, whatever the gates say of newer ones."""
    desk = _desk(current())
    _change(desk.pin(product, version, target), desk, by, reason, yes, False, as_json)


@app.command()
def unpin(
    product: Product,
    target: Target = CLOUD,
    reason: Reason = "unpinned by hand",
    by: By = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Let releases change a pinned target again."""
    desk = _desk(current())
    _change(desk.unpin(product, target), desk, by, reason, yes, False, as_json)


@app.command()
def follow(
    product: Product,
    target: Annotated[str, typer.Option(help="region-<country>, segment-<name> or store-<store id>.")],
    reason: Reason = "follows again",
    by: By = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Undo the release of one store, segment or region: it uses the version of its region or of the cloud again."""
    desk = _desk(current())
    _change(desk.follow(product, target), desk, by, reason, yes, False, as_json)


@releases_app.command()
def log(
    product: Annotated[str | None, typer.Option(help="Only this product.")] = None,
    target: Annotated[str | None, typer.Option(help="Only this target.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many rows at most.")] = 50,
    as_json: Json = False,
) -> None:
    """Every release, rollback and pin, the newest first."""
    from retail_assets.releases.changes import select

    rows = select(_desk(current()).ledger.log(), product, target, limit)
    if as_json:
        print_json([r.model_dump(mode="json") for r in rows])
    else:
        show_releases(rows, console, "The ledger has no such row.")


@releases_app.command()
def diff(
    product: Product,
    first: Annotated[str, typer.Argument(help="A stored version or the beginning of one.")],
    second: Annotated[str, typer.Argument(help="Another one, or `newest`.")] = "newest",
    as_json: Json = False,
) -> None:
    """What two versions differ in: data, configuration, code, libraries, metrics."""
    from retail_assets.releases.changes import differences

    desk = _desk(current())
    one, two = desk.resolve(product, first), desk.resolve(product, second)
    found = differences(desk.store, product, one, two)
    if as_json:
        print_json([{"kind": d.kind, "name": d.name, one: d.first, two: d.second} for d in found])
    else:
        show_differences(found, one, two, console)


def _change(plan: "Change", desk: "Desk", by: str | None, reason: str, yes: bool, force: bool, as_json: bool) -> None:
    """Says what a change will do, asks, does it, tells Dagster."""
    show_change(plan, errors, force)
    if not yes:
        typer.confirm("Go on?", abort=True, err=True)
    release = desk.carry_out(plan, by=who(by), reason=reason, force=force)
    _tell_dagster(current(), release)
    if as_json:
        print_json(release.model_dump(mode="json"))
    else:
        console.print(SAID[release.action].format(**release.model_dump() | {"share": shown_share(release.share)}))


def show_releases(releases: "list[Release]", console: Console, nothing: str) -> None:
    """Prints rows of the ledger as a table, or the sentence `nothing`."""
    if not releases:
        console.print(nothing)
        return
    columns = ("product", "target", "version", "action", "share", "since", "by", "reason")
    rows = [
        (r.product, r.target, r.version, r.shown_action, shown_share(r.share), _moment(r.at), r.by, r.reason)
        for r in releases
    ]
    print_table(console, columns, rows, numbers=["share"], long=["reason"])


def show_change(change: "Change", console: Console, force: bool) -> None:
    """Prints what answers now, what will, what the gates say and which narrower targets stay as they are."""
    now = f"{change.now.version} ({change.now.action} on {change.now.target})" if change.now else "nothing"
    change_of = (change.action, change.product, change.target, now, change.version)
    console.print(marked("[bold]{}[/] {} on {}: {} -> [bold]{}[/]", *change_of))
    if change.action == "canary":
        console.print(f"  in {shown_share(change.share)} of the stores: the others stay at {now}")
    for kept in change.keep:
        console.print(f"  {kept.target} has a release of its own and stays at {kept.version}")
    if change.report is None:
        return
    rows: list[tuple[str | Text, ...]] = []
    for c in change.report.comparisons:
        value = _number(c.value) if c.bound is None else f"{_number(c.value)} ({c.bound:.4g})"
        rows.append(
            (c.metric, c.side, value, _number(c.limit), Text("yes") if c.passed else Text("no", style="bold red"))
        )
    title = "Gates (in brackets: the value at the confidence that the gate asks for)"
    columns = ("metric", "against", "value", "limit", "passed")
    print_table(console, columns, rows, title=title, numbers=("value", "limit", "passed"))
    if not change.report.passed:
        for reason in change.report.reasons:
            console.print(f"  {reason}", style="red")
        console.print("The gates do not let it pass" + (", and are overruled." if force else "."), style="red")


def _share(text: str | None) -> float | None:
    """5% or 0.05 as a share above 0 and at most 1."""
    if text is None:
        return None
    share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1) if SHARE.fullmatch(text) else 0.0
    if not 0 < share <= 1:
        said = f"{text!r} is no share above 0 % and up to 100 %: write 5% or 0.05"
        raise typer.BadParameter(said, param_hint="--canary")
    if share < LEAST_SHARE:
        said = f"{text!r} is hardly ever a store: {shown_share(LEAST_SHARE)} is the least"
        raise typer.BadParameter(said, param_hint="--canary")
    return share


def shown_share(share: float) -> str:
    """A share in percent with the digits it has: 5%, 0.25%."""
    return f"{share * 100:.6g}%"


def show_differences(found: "list[Difference]", one: str, two: str, console: Console) -> None:
    """Prints the differences of two versions as a table."""
    if not found:
        console.print(f"{one} and {two} differ in nothing that their manifests record.")
        return
    rows = [(d.kind, d.name, _number(d.first), _number(d.second)) for d in found]
    print_table(console, ("what", "name", one, two), rows, long=("name", one, two))


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _desk(environment: Environment) -> "Desk":
    from retail_assets.releases.changes import Desk
    from retail_assets.releases.gates import ReleaseConfig
    from retail_assets.resources.model_store import ModelStore

    desk = Desk(environment.lake, ModelStore.at(environment.home.models), ReleaseConfig.load())
    for product in desk.config.products():
        for version, why in desk.store.unreadable(product).items():
            errors.print(marked("[yellow]{} {} is passed over:[/] {}", product, version, why))
    return desk


def _tell_dagster(environment: Environment, release: "Release") -> None:
    """An observation of `serving/releases`, so that a change by hand is seen in the UI beside those of the gates."""
    import dagster as dg

    from retail_assets.releases.sensors import observed
    from retail_assets.resources.dagster import instance as dagster_instance

    dagster_instance.prepare(environment.home)
    told = observed(release)
    with dg.DagsterInstance.get() as instance:
        instance.report_runless_asset_event(dg.AssetObservation(["serving", "releases"], metadata=told))
