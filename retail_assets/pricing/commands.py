"""`retail prices`: what is published, what waits for a person, and the kill switch."""

import json
from typing import Annotated, Any, Literal

import typer

from retail_assets.core.errors import RetailError
from retail_assets.core.terminal import By, Json, say, who
from retail_assets.resources.environments import current
from retail_assets.resources.lake import Lake

SHOWN = 20
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with who did it.")]
Store = Annotated[str | None, typer.Option("--store", help="A store.")]
BatchId = Annotated[str, typer.Argument(metavar="BATCH", help="A batch, as `retail prices pending` names it.")]
Category = Annotated[str | None, typer.Option("--category", help="A category.")]
Chain = Annotated[bool, typer.Option("--chain", help="The whole chain.")]

prices = typer.Typer(
    help="Show published prices; approve, correct, stop and resume them; write price files; look at the tills.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@prices.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    store: Store = None,
    sku: Annotated[str | None, typer.Option("--sku", help="A SKU.")] = None,
    batch: Annotated[
        str | None,
        typer.Option(
            "--batch", help="The prices of this batch, published or not; `retail prices pending` lists batches."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help=f"Every price, not only the first {SHOWN}.")] = False,
    as_json: Json = False,
) -> None:
    """Show the published price: `retail prices --store S --sku K`; without both, a summary and the first prices."""
    if context.invoked_subcommand is not None:
        return
    from retail_assets.pricing.publish.publication import published_prices
    from retail_assets.pricing.publish.shown import lines_of, nothing_published
    from retail_assets.pricing.publish.waiting import proposals_of

    lake = current().lake
    _require_known(lake, store, sku)
    found = proposals_of(lake, batch, store, sku) if batch else published_prices(lake, store, sku)
    if not found.num_rows:
        raise nothing_published(lake, batch, store, sku)
    rows = found.to_pylist() if as_json else []
    _print(rows, [] if as_json else lines_of(found, None if every else SHOWN), as_json)


@prices.command()
def pending(
    every: Annotated[bool, typer.Option("--all", help="Every batch, not only what waits for a person.")] = False,
    as_json: Json = False,
) -> None:
    """List the batches that wait for a person, and what they would do: pending, stopped, or withheld by the breaker."""
    from retail_assets.pricing.publish.waiting import batches, told

    waiting = batches(current().lake, every)
    lines = [line for batch in waiting for line in told(batch)]
    _print([batch.model_dump(mode="json") for batch in waiting], lines or ["nothing waits for a person"], as_json)


@prices.command()
def approve(batch: BatchId, store: Store = None, reason: Reason = "", by: By = None, as_json: Json = False) -> None:
    """Publish a pending batch in a store, or in every store where it is pending."""
    _answer("approve", batch, store, by, reason, as_json)


@prices.command()
def reject(batch: BatchId, reason: Reason, store: Store = None, by: By = None, as_json: Json = False) -> None:
    """Refuse a batch, or withdraw a published one: the last good prices count again."""
    _answer("reject", batch, store, by, reason, as_json)


@prices.command()
def release(batch: BatchId, reason: Reason, store: Store = None, by: By = None, as_json: Json = False) -> None:
    """Publish a batch that the circuit breaker withheld. Whoever releases it is accountable for it."""
    _answer("release", batch, store, by, reason, as_json)


@prices.command()
def correct(
    store: Annotated[str, typer.Option("--store", help="The store.")],
    sku: Annotated[str, typer.Option("--sku", help="The SKU.")],
    price: Annotated[str, typer.Option("--price", help="The new price in the store's currency, e.g. 3.49.")],
    reason: Reason,
    by: By = None,
    insist: Annotated[
        bool, typer.Option("--insist", help="Publish it although a rule is against it. Nothing overrules a cap by law.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Replace one price by the one a person gives; the rules are checked. `retail prices reject` takes it back."""
    from retail_assets.core.money import format_minor
    from retail_assets.pricing.config import load_config
    from retail_assets.pricing.decide.explain import reasons
    from retail_assets.pricing.publish.correction import correct as make
    from retail_assets.pricing.publish.price_files import write_price_files
    from retail_assets.resources.model_store import ModelStore

    environment = current()
    _require_known(environment.lake, store, sku)
    models = ModelStore.at(environment.home.models)
    made, decision = make(
        environment.lake, models, load_config(), store, sku, price, by=who(by), reason=reason, insist=insist
    )
    files = write_price_files(environment.lake, environment.home, store)
    shown = format_minor(decision.price, decision.inputs.currency)
    lines = [f"{made.batch_id} {store} {sku}: {shown}, published by {made.by}"]
    lines += [f"  {line}" for line in reasons(decision)]
    lines += [f"wrote {file.path}" for file in files if file.written]
    lines += [f"to take it back: `retail prices reject {made.batch_id} --by YOU --reason WHY`"]
    document = {
        "publication": made.model_dump(mode="json"),
        "price": shown.split()[0],
        "currency": decision.inputs.currency,
        "broken": decision.output["broken"],
        "files": [file.model_dump() for file in files],
    }
    _print(document, lines, as_json)


@prices.command()
def stop(
    reason: Reason,
    store: Store = None,
    category: Category = None,
    chain: Chain = False,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Stop new prices of a store, a category or the chain; the published ones stay."""
    _turn("stop", store, category, chain, by, reason, as_json)


@prices.command()
def resume(
    reason: Reason,
    store: Store = None,
    category: Category = None,
    chain: Chain = False,
    by: By = None,
    as_json: Json = False,
) -> None:
    """End a stop: the next batch is published again, and a batch that was stopped can be approved."""
    _turn("resume", store, category, chain, by, reason, as_json)


@prices.command()
def stopped(as_json: Json = False) -> None:
    """List what is stopped now, by whom and why."""
    from retail_assets.pricing.publish.switch import stopped as read_stopped

    rows = read_stopped(current().lake).turns
    lines = [f"{row.place}: stopped by {row.by} at {row.at:%Y-%m-%d %H:%M} UTC: {row.reason}" for row in rows]
    _print([row.model_dump(mode="json") for row in rows], lines or ["nothing is stopped"], as_json)


@prices.command()
def files(store: Store = None, as_json: Json = False) -> None:
    """Write the price files that are missing, old or damaged, and list every file with its checksum."""
    from retail_assets.pricing.publish.price_files import write_price_files

    environment = current()
    _require_known(environment.lake, store, None)
    found = write_price_files(environment.lake, environment.home, store)
    lines = [f"{f.path}: {f.rows} prices, {f.changed} changed, sha256 {f.sha256}{_written(f.written)}" for f in found]
    _print([file.model_dump() for file in found], lines or ["no store has a published price"], as_json)


@prices.command()
def integrity(as_json: Json = False) -> None:
    """Show how many prices at the tills are wrong, per store, the worst first."""
    from retail_assets.pricing.config import load_config
    from retail_assets.pricing.publish.integrity import REPORT, wrong_share

    lake, config = current().lake, load_config().publication.integrity
    if not lake.exists("reports", REPORT):
        raise RetailError("no till has been compared with its prices yet", todo="run `retail run`")
    column = wrong_share(config)
    rows = lake.read("reports", REPORT).to_pylist()
    rows.sort(key=lambda row: (-row[column], row["store_id"]))
    lines = [
        f"{row['store_id']}: {row[column]:.2%} of prices wrong against those {config.against}, {row['lines']} lines in "
        f"the {config.days} days up to {row['business_date']}"
        f"{', more than allowed' * (row[column] > config.wrong_share)}"
        for row in rows
    ]
    _print(rows, lines, as_json)


def _written(written: bool) -> str:
    return ", written now" if written else ""


def _answer(
    action: Literal["approve", "reject", "release"],
    batch: str,
    store: str | None,
    by: str | None,
    reason: str,
    as_json: bool,
) -> None:
    from retail_assets.pricing.publish.approval import settle
    from retail_assets.pricing.publish.price_files import write_price_files

    environment = current()
    made = settle(environment.lake, action, batch, store, by=who(by), reason=reason)
    files = [file for row in made for file in write_price_files(environment.lake, environment.home, row.store_id)]
    lines = [f"{row.batch_id} {row.store_id}: {row.status} by {row.by}" for row in made]
    lines += [f"wrote {file.path}" for file in files if file.written]
    document = {"publications": [r.model_dump(mode="json") for r in made], "files": [f.model_dump() for f in files]}
    _print(document, lines, as_json)


def _turn(
    action: Literal["stop", "resume"],
    store: str | None,
    category: str | None,
    chain: bool,
    by: str | None,
    reason: str,
    as_json: bool,
) -> None:
    from retail_assets.pricing.publish.switch import Scope, turn

    given: list[tuple[Scope, str]] = [("store", store)] if store else []
    given += [("category", category)] if category else []
    given += [("chain", "")] if chain else []
    if len(given) != 1:
        raise typer.BadParameter("give one of --store, --category and --chain")
    scope, name = given[0]
    row = turn(current().lake, action, scope, name, by=who(by), reason=reason)
    done = "stopped" if action == "stop" else "resumed"
    _print(row.model_dump(mode="json"), [f"price changes of {row.place} are {done}"], as_json)


def _require_known(lake: Lake, store: str | None, sku: str | None) -> None:
    """Raises RetailError for a store or SKU that gold does not know."""
    for value, table, column in ((store, "dim_store", "store_id"), (sku, "dim_product", "sku")):
        if value is not None:
            known = lake.read("gold", table, [column])[column].to_pylist()
            if value not in known:
                raise RetailError(f"there is no {column} {value!r}", where=f"gold/{table}", todo="check the spelling")


def _print(document: Any, lines: list[str], as_json: bool) -> None:
    text = json.dumps(document, indent=2, default=str) if as_json else "\n".join(lines)
    say(text)
