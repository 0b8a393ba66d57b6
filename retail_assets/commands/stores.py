"""Services in the cloud and in stores: `retail serve`, and `retail stores` for how they are doing."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from retail_assets.core.errors import RetailError
from retail_assets.core.private import private_folder
from retail_assets.core.terminal import Json, console, print_json, print_table, say
from retail_assets.resources.environments import CENTRE, PROJECT_ROOT, Environment, current

if TYPE_CHECKING:
    from retail_assets.stores.status import StoreReport

CLOUD, STORE = "cloud", "store-"
LOOPBACK = "127.0.0.1"
COUNTS = ("p50", "p99", "answers", "errors", "waiting")

app = typer.Typer()
stores_app = typer.Typer(
    help="Stores that run services of their own: how they are doing, their tokens, and the server they ask."
)
app.add_typer(stores_app, name="stores", invoke_without_command=True)


@app.command()
def serve(
    target: Annotated[str, typer.Option(help="cloud, region-<country>, segment-<name> or store-<store id>.")] = CLOUD,
    centre: Annotated[
        str | None, typer.Option(envvar=CENTRE, help="In a store: the URL of `retail stores centre`.")
    ] = None,
    product: Annotated[str | None, typer.Option(help="Only this service, e.g. pricing.")] = None,
    port: Annotated[
        list[str] | None, typer.Option(help="The port of a service, e.g. pricing=4002. Repeat for more.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=1_000_000_000,
            help="Fetch at most so many kilobytes a second, so that the tills keep their line.",
        ),
    ] = None,
) -> None:
    """Run the services of a target until Ctrl-C.

    With --centre, in a store: from a copy that is fetched into RETAIL_HOME, and that answers while the line is cut.
    Without: from RETAIL_HOME as it is.
    """
    import os

    from retail_assets.releases.gates import ReleaseConfig
    from retail_assets.releases.targets import Targets
    from retail_assets.serving.processes.processes import Supervisor, service_spec
    from retail_assets.serving.processes.products import ports_of

    if centre is not None:
        os.environ[CENTRE] = centre
    os.environ["RETAIL_TARGET"] = target
    environment = current()
    ports = ports_of(port or ())
    chosen = list(ports) if product is None else _chosen(product, list(ports))
    specs = [service_spec(product, environment.home, ports[product], PROJECT_ROOT) for product in chosen]
    specs = [replace(spec, env=dict(spec.env) | {"RETAIL_TARGET": target}) for spec in specs]
    if environment.centre is None:
        Targets.of(environment.lake, ReleaseConfig.load().segments).chain(target)  # one that exists
        raise typer.Exit(Supervisor(specs, _say).run())
    from retail_assets.stores.agent import StoreAgent

    private_folder(environment.home.root)
    urls = {spec.name: spec.url or "" for spec in specs}
    agent = StoreAgent(environment, target, urls, rate * 1000 if rate else None, _say)
    agent.first_copy()
    agent.start()
    try:
        code = Supervisor(specs, _say).run()
    finally:
        agent.close()
    raise typer.Exit(code)


def _chosen(products: str, known: Sequence[str]) -> Sequence[str]:
    names = [name.strip() for name in products.split(",") if name.strip()]
    unknown = sorted(set(names) - set(known))
    if unknown or not names:
        raise typer.BadParameter(f"no service {', '.join(unknown)}: use {' or '.join(known)}")
    return names


def _say(line: str) -> None:
    say(f"{datetime.now(UTC):%H:%M:%S} {line}")
    sys.stdout.flush()


@stores_app.callback()
def stores(context: typer.Context, as_json: Json = False) -> None:
    """How each store is doing: whether it has what the centre says now, health, version, latency and failures."""
    if context.invoked_subcommand is not None:
        return
    reports = reported(current())
    if as_json:
        print_json([report.model_dump(mode="json") for report in reports])
    else:
        show(reports)


@stores_app.command(name="centre")
def centre_(
    host: Annotated[
        str, typer.Option(help="Address to listen on; other than this machine's own only behind TLS.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 3005,
) -> None:
    """Run the server at the centre that stores fetch models and data from, until Ctrl-C."""
    from retail_assets.stores.endpoint import run

    run(current(), host, port)


@stores_app.command()
def token(
    target: Annotated[str, typer.Argument(help="store-<store id>.")],
    revoke: Annotated[bool, typer.Option("--revoke", help="End the store's token and make none.")] = False,
) -> None:
    """Make the token of a store, shown once; an earlier one of the store ends."""
    from retail_assets.releases.gates import ReleaseConfig
    from retail_assets.releases.targets import Targets
    from retail_assets.stores.centre import Tokens, folder_of

    environment = current()
    tokens = Tokens(folder_of(environment))
    if revoke:
        tokens.revoke(target)
        console.print(f"the token of {target} is revoked")
        return
    Targets.of(environment.lake, ReleaseConfig.load().segments).chain(target)
    if not target.startswith(STORE):
        raise RetailError(f"{target} is not a store", todo=f"a store is {STORE}<store id>")
    say(tokens.issue(target))


@stores_app.command()
def rotate() -> None:
    """Make a new key that this centre signs with; stores follow by themselves, tokens stay as they are.

    The key before it is forgotten. If somebody else may have had it, give every store a new token as well.
    """
    from retail_assets.stores.centre import folder_of
    from retail_assets.stores.keys import CentreKeys

    console.print(f"this centre signs with a new key, {CentreKeys(folder_of(current())).rotate()}, from now on")


def reported(environment: Environment) -> "list[StoreReport]":
    """Every store that has a token or ever called, by name."""
    from retail_assets.stores.centre import store_reports

    return store_reports(environment)


def show(reports: "Sequence[StoreReport]") -> None:
    """A table of stores and their services."""
    if not reports:
        console.print("No store runs by itself yet: `retail stores token store-<id>`, then `retail serve` there.")
        return
    columns = ("store", "health", "heard", "service", "version", *COUNTS, "why")
    rows = []
    for found in reports:
        services = sorted(found.status.services.items()) if found.status else []
        heard = f"{found.silent_s:.0f} s ago" if found.silent_s is not None else "never"
        first = (found.target, found.health, heard)
        for number, (product, service) in enumerate(services or [("", None)]):
            own = ("", "", "", "", "", "")
            if service is not None:
                own = (
                    service.version or "none", _ms(service.p50_ms), _ms(service.p99_ms), str(service.requests),
                    str(service.errors), str(service.waiting_decisions),
                )  # fmt: skip
            why = "; ".join(found.reasons) if number == 0 else ""
            rows.append((*(first if number == 0 else ("", "", "")), product, *own, why))
    print_table(console, columns, rows, numbers=COUNTS, long=["why"])


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} ms"
