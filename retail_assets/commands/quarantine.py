"""`retail quarantine`: take rows that should not be there out of bronze, and put them back."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from retail_assets.core.terminal import By, Json, Yes, console, errors, marked, print_json, print_table, who
from retail_assets.resources.environments import Environment, current
from retail_assets.resources.home_lock import alone

if TYPE_CHECKING:
    from retail_assets.sources.taken_out import Matched, Move

app = typer.Typer(no_args_is_help=True)
SHOWN_DAYS = 5


@app.command()
def quarantine(
    source: Annotated[str, typer.Argument(help="The source whose rows are moved, e.g. pos_lines.")],
    where: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION",
            help="Which rows of bronze are taken out, as SQL over its columns: \"business_date > '2027-01-01'\".",
        ),
    ] = None,
    undo: Annotated[str | None, typer.Option(metavar="ID", help="Put back what was taken out under this id.")] = None,
    reason: Annotated[str, typer.Option(help="Why; kept with every row.")] = "",
    show: Annotated[bool, typer.Option("--list", help="Show what was taken out and put back.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show which rows it would be.")] = False,
    by: By = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Take rows out of bronze, with a reason, and build the days they were on again; --undo puts them back."""
    from retail_assets.sources import taken_out

    if (where is not None) + (undo is not None) + show != 1:
        raise typer.BadParameter("give one of --where, --undo and --list")
    environment = current()
    if show:
        _show_moves(taken_out.moves(environment.lake, source), as_json)
        return
    if not reason and not dry_run:
        raise typer.BadParameter("say why: it is kept with every row", param_hint="--reason")
    with alone(environment.home):
        if undo is not None:
            move = taken_out.put_back(environment.lake, source, undo, reason=reason, by=who(by))
        else:
            found = taken_out.matched(environment.lake, source, where or "")
            if not as_json or dry_run:
                _show_matched(found, as_json)
            if dry_run:
                return
            if not yes and found.rows:
                typer.confirm("Take them out?", abort=True, err=True)
            move = taken_out.take_out(environment.lake, found, reason=reason, by=who(by))
        days = _build_again(environment)
    if as_json:
        print_json(asdict(move) | {"days_rebuilt": days})
        return
    _show_done(move, days)


def _build_again(environment: Environment) -> int | None:
    """How many days of gold were built again; None where there is no gold yet."""
    from retail_assets.warehouse.build import build_warehouse

    if not environment.home.warehouse.exists():
        return None
    return len(build_warehouse(environment.lake, environment.home).days)


def _show_matched(found: "Matched", as_json: bool) -> None:
    if as_json:
        print_json({"source": found.source, "rows": found.rows, "days": found.days, "examples": found.examples})
        return
    days = ", ".join(str(day) for day in found.days[:SHOWN_DAYS])
    more = f" and {len(found.days) - SHOWN_DAYS:,} more" if len(found.days) > SHOWN_DAYS else ""
    on = f", on {days}{more}" if days else ""
    errors.print(f"{_counted(found.rows)} of bronze/{found.source}{on}")
    for row in found.examples:
        values = [f"{name}={value}" for name, value in row.items() if value is not None and name != "content_hash"]
        errors.print(f"  {', '.join(values)}")


def _counted(rows: int) -> str:
    return f"{rows:,} row{'s' * (rows != 1)}"


def _show_done(move: "Move", days: int | None) -> None:
    to = "out of bronze" if move.action == "taken_out" else "back to bronze"
    console.print(f"{_counted(move.rows)} of {move.source} went {to} (id {move.id})")
    if days is not None:
        told = "{} days of gold were built again. Next: [bold]retail run[/], for forecasts and prices"
        console.print(marked(told, days))
    if move.action == "taken_out":
        console.print(f"To undo it: retail quarantine {move.source} --undo {move.id} --reason ...")


def _show_moves(moves: "list[Move]", as_json: bool) -> None:
    if as_json:
        print_json([asdict(move) for move in moves])
        return
    if not moves:
        console.print("Nothing was taken out.")
        return
    rows = []
    for move in moves:
        told = (move.id, move.action.replace("_", " "), f"{move.rows:,}", f"{move.at:%Y-%m-%d %H:%M}")
        rows.append((*told, move.by, move.where, move.reason))
    columns = ("id", "what", "rows", "when (UTC)", "by", "where", "why")
    print_table(console, columns, rows, numbers=["rows"], long=["where", "why"])
