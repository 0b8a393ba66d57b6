"""`retail doctor`: what a disk or a power cut broke, and making again what can be made again."""

from typing import TYPE_CHECKING, Annotated

import typer

from retail_assets.core.terminal import Json, console, errors, marked, print_json
from retail_assets.resources.environments import current

if TYPE_CHECKING:
    from retail_assets.doctor.findings import Done, Examination

app = typer.Typer(no_args_is_help=True)


@app.command()
def doctor(
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Set aside what can be made again (nothing is deleted); then `retail run`."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Find torn, missing and damaged files in the home; exit code 0 where nothing is wrong, 1 where something is."""
    from retail_assets.doctor.examine import examine
    from retail_assets.doctor.repair import repair as repair_home

    environment = current()
    out = errors if as_json else console

    def told(done: "Done") -> None:
        out.print(f"{done.what}\n  to undo: {done.undo}", highlight=False, soft_wrap=True)

    found = repair_home(environment, told) if repair else examine(environment)
    if as_json:
        print_json(found.model_dump(mode="json") | {"healthy": found.healthy})
    else:
        _show(found, repair)
    raise typer.Exit(0 if found.healthy else 1)


def _show(found: "Examination", repaired: bool) -> None:
    console.print(f"{found.home}: {found.tables} tables, {found.files:,} files read", highlight=False, soft_wrap=True)
    for finding in sorted(found.findings, key=lambda one: not one.wrong):
        word = "[bold red]wrong[/]" if finding.wrong else "[dim]note[/]"
        console.print(marked(f"{word}: {{}}", finding.what), soft_wrap=True, highlight=False)
        console.print(f"  where: {finding.where}\n  to do: {finding.todo}", highlight=False, soft_wrap=True)
    if found.done:
        console.print("Now `retail run`: it makes again what was set aside.", highlight=False)
    elif any(finding.remedy for finding in found.findings) and not repaired:
        console.print("`retail doctor --repair` sets aside what can be made again.", highlight=False)
    if found.healthy:
        console.print("Nothing is wrong." if not found.done else "Nothing else is wrong.", highlight=False)
