"""`retail forecast`: look at forecasts, hand them to other systems, and ask what a price or promotion would change."""

import typer

from retail_assets.forecasting.explain_commands import explain

forecasts = typer.Typer(
    no_args_is_help=True,
    help="Forecasts of demand: show them, and hand them to planning systems.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
forecasts.command()(explain)


@forecasts.callback()
def group() -> None:
    """Forecasts of demand: why they are what they are."""
