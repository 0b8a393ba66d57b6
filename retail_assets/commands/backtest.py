"""`retail backtest`: the group of the products' backtests."""

import typer

backtests = typer.Typer(
    no_args_is_help=True,
    help="Try the models on any sales history: forecasts or price elasticities, scored on periods held back.",
)
