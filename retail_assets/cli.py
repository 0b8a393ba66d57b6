"""The `retail` command: every job a person does by hand, with `--json` for scripts. How it ends: command_line.py."""

import secrets
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retail_assets.commands import command_line
from retail_assets.commands import doctor as doctor_commands
from retail_assets.commands import keys as key_commands
from retail_assets.commands import quarantine as quarantine_commands
from retail_assets.commands import releases as release_commands
from retail_assets.commands import stores as store_commands
from retail_assets.commands.backtest import backtests
from retail_assets.commands.forecast import forecasts
from retail_assets.commands.product_commands import add_commands
from retail_assets.commands.standard_streams import make_usable
from retail_assets.commands.trace import traces
from retail_assets.core.errors import RetailError
from retail_assets.core.terminal import Json, Yes, as_day, console, errors, print_json
from retail_assets.resources.environments import PROJECT_ROOT, Environment, current
from retail_assets.resources.home_lock import alone

if TYPE_CHECKING:
    from retail_assets.commands.status import Status

MOST_DAYS = 36_500  # of a sample: a hundred years
app = typer.Typer(
    name="retail",
    help="From a retailer's raw files to forecasts and prices that are served and explained.\n\n"
    "RETAIL_HOME names the folder of the retailer (default .retail), RETAIL_ENV the environment (default local).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
GROUPS = {"trace": traces, "backtest": backtests, "forecast": forecasts}
for name, group in GROUPS.items():
    app.add_typer(group, name=name)
add_commands(app, GROUPS)

Scale = Annotated[str, typer.Option(help="How much: tiny, demo, large (10 million sales lines) or huge (100 million).")]
Seed = Annotated[int, typer.Option(help="Where chance starts: the same seed writes the same files.")]
IntoSameHome = Annotated[
    bool,
    typer.Option(
        "--into-same-home", help="Add the files to a home that holds another retailer's: the two are then mixed."
    ),
]


@app.command()
def demo(scale: Scale = "demo", seed: Seed = 7, into_same_home: IntoSameHome = False, as_json: Json = False) -> None:
    """Simulate a retailer and take its files all the way to served forecasts and prices."""
    from retail_assets.commands import demo as story
    from retail_assets.sources.imports import SAMPLE, refuse_second

    environment = current()
    refuse_second(environment.lake, environment.home, SAMPLE, into_same_home)
    story.run(environment, scale=scale, seed=seed, console=errors if as_json else console)
    _print_status(environment, as_json)


@app.command()
def sample(
    scale: Scale = "demo",
    seed: Seed = 7,
    days: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_DAYS, help="How many days; more days than last time add those after them."),
    ] = None,
    into_same_home: IntoSameHome = False,
    as_json: Json = False,
) -> None:
    """Write the sample retailer's files into landing/, and what is true about them into truth/."""
    from retail_assets.commands import demo as story
    from retail_assets.sources.imports import SAMPLE, refuse_second

    environment = current()
    refuse_second(environment.lake, environment.home, SAMPLE, into_same_home)
    summary = story.simulate(environment, scale, seed, days, errors if as_json else console)
    print_json(summary) if as_json else story.show_sample(summary, console)


@app.command()
def run(
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train the forecasting model in full, also when it is not due yet.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with exit code 3 where a check failed that is more than a warning.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Refresh everything from landing files to prices; what has not changed is not done again."""
    from retail_assets.commands import demo as story
    from retail_assets.forecasting.tiers.state import make_due

    environment = current()
    if retrain:
        with alone(environment.home):  # let go before the refresh, which takes it in a process of its own
            make_due(environment.lake)
    story.refresh_with_progress(environment, errors if as_json else console)
    raise typer.Exit(exit_code(_print_status(environment, as_json), strict))


def exit_code(found: "Status", strict: bool) -> int:
    """0, or that of a failed check where a strict run left a check failed that is more than a warning."""
    return command_line.CHECK_FAILED if strict and any(check.severity == "error" for check in found.checks) else 0


@app.command()
def status(as_json: Json = False) -> None:
    """Show what the home holds: rows loaded and refused, tables, live models, prices, and checks that failed."""
    _print_status(current(), as_json)


def _print_status(environment: Environment, as_json: bool) -> "Status":
    from retail_assets.commands.demo import show
    from retail_assets.commands.status import status as read_status

    found = read_status(environment)
    print_json(found) if as_json else show(found, console)
    return found


@app.command(name="import")
def import_(
    mapping: Annotated[Path, typer.Argument(help="A mapping: configs/mappings/<name>.yaml or your own.")],
    path: Annotated[Path, typer.Argument(help="The folder that holds the retailer's files.")],
    into_same_home: IntoSameHome = False,
    as_json: Json = False,
) -> None:
    """Load a retailer's own files; a mapping says what they mean. Then `retail run`."""
    from retail_assets.commands import demo as story
    from retail_assets.sources.report import NothingLoaded, NothingRead

    environment = current()
    with alone(environment.home):
        report = story.import_with_progress(environment, mapping, path, errors if as_json else console, into_same_home)
    if not as_json:
        story.show_load(report, console)
    if report.empty_feeds:
        raise NothingLoaded(report.empty_feeds, report.model_dump(mode="json"))
    if unread := {name: why for source in report.sources if not source.files for name, why in source.not_read.items()}:
        raise NothingRead(unread, report.model_dump(mode="json"))
    if as_json:
        print_json(report)


@app.command()
def replay(
    source: Annotated[str, typer.Argument(help="The source whose refused rows are tried again, e.g. pos_lines.")],
    mapping: Annotated[
        list[Path] | None,
        typer.Argument(help="The corrected mapping; needed only where it is another file than the one of the import."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Try rows in quarantine again by the corrected mapping; those that pass move to bronze."""
    from retail_assets.commands.demo import show_replay
    from retail_assets.sources.replay import replay as replay_source

    environment = current()
    with alone(environment.home):
        report = replay_source(environment.lake, environment.home, source, mappings=mapping)
    print_json(report) if as_json else show_replay(report, console)


@app.command()
def scramble(
    files: Annotated[list[Path], typer.Argument(help="Files that fail: CSV, JSON or Parquet.")],
    out: Annotated[Path | None, typer.Option(help="The folder for the copies; by default beside each file.")] = None,
    key: Annotated[
        str | None, typer.Option(help="A secret word: files scrambled by the same one still refer to each other.")
    ] = None,
    header_lines: Annotated[
        int | None,
        typer.Option(
            min=0, help="How many lines of a text file stay: titles and header (default 1, if it is no line of data)."
        ),
    ] = None,
    keep_key: Annotated[
        list[str] | None,
        typer.Option(help="A key of JSON that stays; those of most rows stay without it. Repeat for more."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Copy files with other letters and digits in them, to send in one that fails without anybody's data."""
    from retail_assets.sources.scramble import Scrambled, scramble_file

    secret = key.encode(errors="surrogateescape") if key is not None else secrets.token_bytes(32)
    made: dict[Path, Scrambled] = {}
    for file in files:
        copy = (out or file.parent) / f"{file.stem}.scrambled{file.suffix}"
        made[copy] = scramble_file(file, copy, secret, header_lines, keep_key or ())
    if as_json:
        print_json([{"file": str(copy), **asdict(done)} for copy, done in made.items()])
        return
    for copy, done in made.items():
        console.print(f"{copy}: {done.changed:,} values changed", highlight=False, soft_wrap=True)
        for line in done.told():
            console.print(f"  {line}", highlight=False, soft_wrap=True)
    console.print("Try the command that failed on the copy, and look through it, before you send it.")


@app.command()
def rebuild(
    full: Annotated[bool, typer.Option("--full", help="Every day, from bronze.")] = False,
    since: Annotated[date | None, typer.Option("--from", parser=as_day, metavar="DAY", help="First day.")] = None,
    until: Annotated[date | None, typer.Option("--to", parser=as_day, metavar="DAY", help="Last day.")] = None,
    as_json: Json = False,
) -> None:
    """Build days of the warehouse again from bronze and publish them as gold."""
    from retail_assets.commands.demo import show_build
    from retail_assets.warehouse.build import build_warehouse

    if full == (since is not None):
        raise typer.BadParameter("give either --full or --from (and --to)")
    if since is not None and until is not None and until < since:
        raise typer.BadParameter(f"--to {until} is before --from {since}")
    environment = current()
    with alone(environment.home):
        days = None if since is None else _days(environment, since, until or since)
        report = build_warehouse(environment.lake, environment.home, days=days, full=full)
    print_json(report) if as_json else show_build(report, console)


def _days(environment: Environment, first: date, last: date) -> list[date]:
    from retail_assets.warehouse.plan import days_with_data

    days = days_with_data(environment.lake, first, last)
    if (days[0], days[-1]) != (first, last):
        errors.print(f"There are no data before or after {days[0]} to {days[-1]}: only these days are built.")
    return days


@app.command()
def dev(
    ui_port: Annotated[int, typer.Option(min=1, max=65_535, help="The port of the Dagster UI.")] = 3000,
    port: Annotated[
        list[str] | None, typer.Option(help="The port of a service, e.g. pricing=4002. Repeat for more.")
    ] = None,
) -> None:
    """Start the Dagster UI, its daemon and every service on loopback, until Ctrl-C."""
    from retail_assets.commands.refresh import recover
    from retail_assets.serving.processes.processes import dev_servers
    from retail_assets.serving.processes.products import ports_of

    environment = current()
    recover(environment.home)
    ports = {"dagster": ui_port} | ports_of(port or ())
    raise typer.Exit(dev_servers(environment.home, ports, PROJECT_ROOT))


@app.command()
def openapi(out: Annotated[Path, typer.Option(help="The file to write.")] = PROJECT_ROOT / "docs/openapi.json") -> None:
    """Write the OpenAPI document of all services."""
    from retail_assets.serving.processes.openapi import text

    out.write_text(text(), encoding="utf-8")
    console.print(f"wrote {out}")


@app.command()
def bentos(
    requirements: Annotated[
        bool, typer.Option(help="Only write bento/requirements.txt anew from requirements.lock.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Package each service as a Bento (BentoML's package) for deployment; what has not changed is not built again."""
    from retail_assets.serving.processes import bentos as building

    if requirements:
        building.REQUIREMENTS.write_text(building.requirements(), encoding="utf-8")
        console.print(f"wrote {building.REQUIREMENTS}")
        return
    built = building.build_all(current().home.models)
    if as_json:
        print_json([{"tag": tag, "folder": str(folder), "built": new} for tag, folder, new in built.values()])
        return
    for tag, folder, new in built.values():
        console.print(f"{tag}  {'built' if new else 'was there'}  {folder}", soft_wrap=True)


@app.command()
def clean(yes: Yes = False) -> None:
    """Delete the home of this retailer: landing, lake, models and Dagster's history."""
    import shutil

    home = current().home
    if not home.root.exists():
        console.print(f"{home.root} does not exist: nothing to do")
        return
    if not (home.landing.is_dir() or home.lake.is_dir() or home.dagster.is_dir()):
        raise RetailError(f"{home.root} does not look like the home of a retailer", todo="check RETAIL_HOME")
    if not yes:
        typer.confirm(f"Delete {home.root} with everything in it?", abort=True)
    with alone(home):
        shutil.rmtree(home.root)
    console.print(f"deleted {home.root}")


app.add_typer(quarantine_commands.app)
app.add_typer(release_commands.app)
app.add_typer(store_commands.app)
app.add_typer(doctor_commands.app)
app.add_typer(key_commands.app, name="keys")


def main() -> None:
    """The entry point."""
    make_usable()
    sys.exit(command_line.run(app, sys.argv[1:]))


if __name__ == "__main__":
    main()
