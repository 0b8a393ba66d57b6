"""API keys by hand: `retail keys add`, `list`, `revoke`."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from retail_assets.core.terminal import Json, Yes, console, print_json, print_table
from retail_assets.resources.environments import current, keys_file

MOST, LONGEST = 1e9, 36_500  # requests; days: a hundred years

app = typer.Typer(
    no_args_is_help=True,
    help="API keys of the services of this home: who may ask what, and how often.\n\nOnce the first key is made, every "
    "service of the home asks for one; until then they answer on loopback only.",
)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Who or what it is for, e.g. checkout.")],
    scope: Annotated[
        list[str], typer.Option(help="What it may ask: price, forecast, trace, metrics. Repeat for more.")
    ],
    rate: Annotated[
        float | None, typer.Option(min=0.01, max=MOST, help="Requests a second (default: configs/serving.yaml).")
    ] = None,
    burst: Annotated[
        float | None,
        typer.Option(min=1, max=MOST, help="How many requests may come at once (default: configs/serving.yaml)."),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=LONGEST, help="End the key after so many days (default: never).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and show it, this once."""
    from retail_assets.serving.config import Rate, ServingConfig
    from retail_assets.serving.gateway.keys import KeyStore

    config, path = ServingConfig.load_file(), keys_file(current().home)
    per_second = rate or config.rate.per_second
    store = KeyStore(path)
    first = not store.all()
    made, secret = store.add(
        name,
        frozenset(scope),
        config,
        rate=Rate(per_second=per_second, burst=burst or max(config.rate.burst if rate is None else 2 * per_second, 1)),
        days=days,
    )
    if as_json:
        print_json(made.model_dump(mode="json", exclude={"sha256"}) | {"key": secret})
        return
    console.print(
        f"key {made.id} of {name} may ask: {', '.join(sorted(made.scopes))}. It is shown once and kept nowhere:"
    )
    console.print(secret, highlight=False, soft_wrap=True)
    if first:
        console.print("This is the first key of this home: from now on its services ask for one, on loopback too.")


@app.command(name="list")
def list_(as_json: Json = False) -> None:
    """List every key: whose it is, what it may ask, and whether it is still good."""
    from retail_assets.serving.gateway.keys import KeyStore

    now, keys = datetime.now(UTC), KeyStore(keys_file(current().home)).all()
    if as_json:
        print_json([key.model_dump(mode="json", exclude={"sha256"}) | {"state": key.state(now)} for key in keys])
        return
    if not keys:
        console.print("no keys: the services answer on loopback only. Make one: `retail keys add NAME --scope price`")
        return
    rows = []
    for key in keys:
        ends = f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "never"
        rows.append((key.id, key.name, " ".join(sorted(key.scopes)), f"{key.rate.per_second:g}/s",
                     f"{key.made_at:%Y-%m-%d %H:%M}", ends, key.state(now)))  # fmt: skip
    columns = ("id", "name", "scopes", "rate", "made", "ends", "state")
    print_table(console, columns, rows, long=("name", "scopes"))


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The id of a key, as `retail keys list` shows it.")],
    yes: Yes = False,
) -> None:
    """End a key; services refuse it within a second. It cannot be undone: make a new one instead."""
    from retail_assets.serving.gateway.keys import KeyStore

    if not yes:
        typer.confirm(f"End key {key_id}?", abort=True)
    key = KeyStore(keys_file(current().home)).revoke(key_id)
    console.print(f"key {key.id} of {key.name} is revoked")
