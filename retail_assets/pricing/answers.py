"""Answers of the pricing service: the batch's own inputs and decision code, one price at a time, each a logged row."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

import pyarrow as pa

from retail_assets.core.errors import RetailError
from retail_assets.core.manifest import Manifest
from retail_assets.core.money import from_minor
from retail_assets.decisions.rows import new_decision_id
from retail_assets.pricing.config import load_config
from retail_assets.pricing.decide.decisions import Decided, Decision, Provenance, decide_one, decision_of, decision_row
from retail_assets.pricing.decide.explain import reasons
from retail_assets.pricing.decide.gold_inputs import FORECASTS, READS
from retail_assets.pricing.decide.inputs import DecisionInputs
from retail_assets.pricing.decide.kept_policies import record_policy
from retail_assets.pricing.decide.price_inputs import CARRIED_INPUTS, InputBook
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.publish.gate import GATED_BY, Gate
from retail_assets.pricing.publish.publication import HELD_BACK, published_prices
from retail_assets.pricing.response.model import PriceModel
from retail_assets.provenance.records import MadeFrom
from retail_assets.releases.canary_watch import FAILED
from retail_assets.releases.rows import Release
from retail_assets.releases.traffic_split import Arm, arm_of
from retail_assets.releases.verdicts import Pair
from retail_assets.resources.environments import Environment
from retail_assets.resources.lake import Lake
from retail_assets.resources.source_control import git_commit
from retail_assets.resources.table_versions import Versions
from retail_assets.serving.catalogue import NotListed, UnknownKey
from retail_assets.serving.clock import Clock
from retail_assets.serving.live import Live
from retail_assets.serving.runtime import LAKE_ERRORS, Runtime
from retail_assets.serving.service_app import NoAnswer

logger = logging.getLogger(__name__)

MADE_FROM = ("gold_versions", "bronze_versions", "warehouse_code")
OLDEST_INPUTS_DAYS = 3
FALLBACK = "fallback"
REMEMBERED = 100_000
BLOCK_ROWS, MOST_BLOCKS = 1024, 64
MOST_VERSIONS = 4  # that decisions are remembered of


@dataclass(frozen=True)
class Priced:
    """A decision as a log row and as an answer; both lack only what is its own each time: `decision_id` and time."""

    row: dict[str, Any]
    answer: dict[str, Any]
    held_back: str | None = None

    @classmethod
    def of(cls, decision: Decision, provenance: Provenance, fallback: str | None = None) -> "Priced":
        """Dresses a decision; `fallback` says why it is not of now."""
        row = decision_row(decision, provenance, decision_id="")
        return cls(row, _answer(row, decision, fallback), decision.held_back)

    def again(self, arm: Arm = "champion", begun: float | None = None, cache_age_s: float | None = None) -> "Priced":
        """The same decision taken now, under an id of its own, as the arm that answers.

        `begun` is a perf_counter; `cache_age_s` is given where gold cannot be looked at.
        """
        at, decision_id = datetime.now(UTC), new_decision_id()
        took = None if begun is None else round(1000 * (perf_counter() - begun), 3)
        row = self.row | {"decision_id": decision_id, "at": at, "arm": arm, "latency_ms": took}
        answer = self.answer | {"decision_id": decision_id, "decided_at": at, "cache_age_s": cache_age_s}
        return Priced(row, answer)

    def as_fallback(self, why: str) -> "Priced":
        """The same decision, answered because a newer one could not be."""
        return Priced(self.row | {"mode": FALLBACK}, self.answer | {"fallback": True, "fallback_reason": why})


@dataclass(frozen=True)
class _Memory:
    """Decisions already made from one model and one price book. Replaced as a whole when either changes.

    A question that is new is decided in one pass with its neighbours in the book, which are likely to be asked next.
    """

    model: PriceModel
    book: InputBook
    inputs: InputBook
    priced: dict[tuple[str, str], Priced] = field(default_factory=dict)
    blocks: dict[int, tuple[Decided, pa.Table]] = field(default_factory=dict)

    def decide(self, rulebook: Rulebook, row: int) -> Decision:
        """The decision of a row of the book."""
        block = self.blocks.get(row // BLOCK_ROWS)
        if block is None:
            rows = self.inputs.rows.slice(row - row % BLOCK_ROWS, BLOCK_ROWS)
            block = self.blocks[row // BLOCK_ROWS] = (Decided.of(self.model, rulebook, rows), rows)
            if len(self.blocks) > MOST_BLOCKS:
                del self.blocks[next(iter(self.blocks))]
        decided, inputs = block
        return decided.at(row % BLOCK_ROWS, DecisionInputs(**inputs.slice(row % BLOCK_ROWS, 1).to_pylist()[0]))


class PriceDesk:
    """Decides prices with what is live. A decision is a pure function of model, policy and inputs, so the same
    question is computed once until one of them changes; every answer is a decision of its own in the log.
    """

    def __init__(self, environment: Environment) -> None:
        self.rulebook = Rulebook.of(load_config().policy)
        self.runtime: Runtime[PriceModel] = Runtime("pricing", environment, self._load, also_poll=self._refresh)
        self._lake = environment.lake
        self.clock = Clock(environment, CARRIED_INPUTS if environment.centre else "fct_sales_daily")
        self._versions = Versions(environment.lake)
        self._published = Gate.read(environment.lake)
        self._rows: tuple[Gate, dict[tuple[str, str], dict[str, Any] | None]] | None = None
        self._book: InputBook | None = None
        self._memories: dict[str, _Memory] = {}
        self._good: dict[tuple[str, str], Priced] = {}
        self._commit = git_commit()

    def _load(self, folder: Path, _: Manifest) -> PriceModel:
        """Refuses a model that cannot decide the first price of the book with this code."""
        model, book = PriceModel.load(folder), self._book
        first = book.rows.slice(0, 1).to_pylist() if book else []
        for row in first:
            decide_one(model, self.rulebook, DecisionInputs(**row))
        return model

    def _refresh(self) -> None:
        self.clock.poll()
        if self._published.versions != self._versions.of("ops", *GATED_BY):
            self._published = Gate.read(self._lake)
        carried = self._versions.of("gold", CARRIED_INPUTS)
        newest = carried if carried[CARRIED_INPUTS] is not None else self._versions.of("gold", *READS, FORECASTS)
        if any(newest.get(name, 0) is None for name in READS):
            return
        if self._book is None or self._book.versions != {n: v for n, v in newest.items() if v is not None}:
            book = InputBook.read(self._lake)
            book.inputs_of("", "")  # builds its index here and not under the first request
            record_policy(self._lake, self.rulebook)
            self._book = book

    def price(self, store_id: str, sku: str, late: bool = False) -> dict[str, Any]:
        """One answer (see PriceAnswer); its decision is in the log before this returns.

        With `late`, when there is more to do than time, the last good price is answered instead of deciding anew.
        Raises UnknownKey or NotListed, NothingLive, NoAnswer, DecisionLogError.
        """
        priced = self._decide(store_id, sku, late)
        self._record([priced])
        return priced.answer

    def prices(self, items: Sequence[tuple[str, str]]) -> tuple[list[dict[str, Any]], list[RetailError | None]]:
        """Answers of those items that have one, and per item the error of those that have none.

        Raises NothingLive and DecisionLogError, which concern every item.
        """
        self.runtime.live.require()
        made: list[Priced] = []
        errors: list[RetailError | None] = []
        for store_id, sku in items:
            try:
                made.append(self._decide(store_id, sku, late=False))
            except (UnknownKey, NoAnswer) as error:
                errors.append(error)
            else:
                errors.append(None)
        self._record(made)
        return [priced.answer for priced in made], errors

    def _record(self, made: list[Priced]) -> None:
        self.runtime.log.record([priced.row for priced in made])
        for priced in made:
            arm = FALLBACK if priced.row["mode"] == FALLBACK else priced.row["arm"]
            self.runtime.metrics.decided(1, priced.row["model_version"], arm)

    def _decide(self, store_id: str, sku: str, late: bool) -> Priced:
        begun, live = perf_counter(), self.runtime.live.require(store_id)
        self.runtime.catalogue.require(store_id, sku)
        book = self._book
        age = None if book is None else self.clock.days_since(book.business_date)
        if book is None or age is None:
            return self._fall_back(store_id, sku, "missing", "there are no inputs in gold")
        if age > OLDEST_INPUTS_DAYS:
            return self._fall_back(store_id, sku, "stale", f"the inputs are {age} days old")
        if not book.lists(store_id, sku):
            raise NotListed(store_id, sku)
        category = book.category_of(store_id, sku)
        if unpublished := self._published.why_not(store_id, category):
            return self._fall_back(store_id, sku, "unpublished", unpublished)
        if corrected := self._published.correction_of(store_id, sku, book.business_date):
            return self._fall_back(store_id, sku, "corrected", corrected)
        if late and (good := self._last_good(live, book, store_id, sku)) is not None:
            self.runtime.metrics.fallback("busy")
            return good.again(arm_of(live.release), begun, self.runtime.cache_age_s())
        live, priced = self._answered(live, book, store_id, sku)
        if priced.held_back is not None:
            return self._held_back(store_id, sku, priced)
        on_trial = arm_of(live.release) != "champion"  # its prices must not outlive it
        if not on_trial and (len(self._good) < REMEMBERED or (store_id, sku) in self._good):
            self._good[store_id, sku] = priced
        for shadow in self.runtime.live.shadows(store_id):
            self.runtime.beside(lambda shadow=shadow: [self._shadowed(shadow, book, store_id, sku)])  # type: ignore[misc]
        return priced.again(arm_of(live.release), begun, self.runtime.cache_age_s())

    def _last_good(self, live: Live[PriceModel], book: InputBook, store_id: str, sku: str) -> Priced | None:
        """The newest price decided here before, if what is live has not decided it yet and it is not too old."""
        memory, good = self._memories.get(live.release.version), self._good.get((store_id, sku))
        if good is None or (memory is not None and memory.model is live.model and memory.book is book
                            and (store_id, sku) in memory.priced):  # fmt: skip
            return None
        age = self.clock.days_since(good.row["business_date"])
        if age is None or age > OLDEST_INPUTS_DAYS:
            return None
        return good.as_fallback("there is more to do than time: the last price decided here")

    def _answered(
        self, live: Live[PriceModel], book: InputBook, store_id: str, sku: str
    ) -> tuple[Live[PriceModel], Priced]:
        """By the canary in a store it has drawn, and by the champion where that one cannot answer."""
        champion, watch = self.runtime.live.champion(store_id), self.runtime.watch
        if champion is None or live.release.action != "canary":
            return live, self._priced(live, book, store_id, sku)
        if watch.suspended(live.release):
            return champion, self._priced(champion, book, store_id, sku)
        begun = thread_time()
        try:
            priced = self._priced(live, book, store_id, sku)
        except FAILED:
            logger.exception("canary %s cannot price %s %s", live.release.version, store_id, sku)
            watch.failed(live.release)
            return champion, self._priced(champion, book, store_id, sku)
        ms = 1000 * (thread_time() - begun)
        if watch.answered(live.release, (store_id, sku)):
            self.runtime.beside(lambda: self._compared(live.release, priced, ms, champion, book))
        return live, priced

    def _compared(
        self, canary: Release, priced: Priced, ms: float, champion: Live[PriceModel], book: InputBook
    ) -> list[dict[str, Any]]:
        """Asks the champion what the canary was asked; no row, as nobody gets its answer."""
        begun = thread_time()
        try:
            other = self._priced(champion, book, priced.row["store_id"], priced.row["sku"])
        except FAILED:
            self.runtime.watch.champion_failed(canary)
            raise
        pair = pair_of(decision_of(priced.row), decision_of(other.row), ms, 1000 * (thread_time() - begun))
        self.runtime.watch.compared(canary, pair)
        return []

    def _shadowed(self, shadow: Live[PriceModel], book: InputBook, store_id: str, sku: str) -> dict[str, Any]:
        """The row of a decision that reaches nobody."""
        return self._priced(shadow, book, store_id, sku).again("shadow").row | {"mode": "shadow"}

    def _priced(self, live: Live[PriceModel], book: InputBook, store_id: str, sku: str) -> Priced:
        memory = self._memories.get(live.release.version)
        if memory is None or memory.model is not live.model or memory.book is not book:
            memory = _Memory(live.model, book, book.decided_by(live.model, self.rulebook))
            kept = {version: m for version, m in self._memories.items() if m.book is book}
            self._memories = dict(list(kept.items())[1 - MOST_VERSIONS :]) | {live.release.version: memory}
        priced = memory.priced.get((store_id, sku))
        if priced is None:
            row = book.row_of(store_id, sku)
            if row is None:
                raise NotListed(store_id, sku)
            decision = memory.decide(self.rulebook, row)
            now = datetime.now(UTC)
            priced = Priced.of(decision, Provenance(now, "service", None, self._commit, book.made_from))
            if len(memory.priced) < REMEMBERED:
                memory.priced[store_id, sku] = priced
        return priced

    def _fall_back(self, store_id: str, sku: str, kind: str, why: str) -> Priced:
        """The newest published price, as it was decided, marked as such."""
        row = self._last_published(store_id, sku)
        if row is None:
            raise NoAnswer(
                f"{store_id} {sku} has no price: {why}, and no published price to fall back to",
                todo="refresh the data: `retail run`, or publish a batch: `retail prices pending`",
            )
        self.runtime.metrics.fallback(kind)
        made = MadeFrom(**{name: row.get(name) for name in MADE_FROM})
        provenance = Provenance(row["at"], FALLBACK, row["dagster_run_id"], row["git_commit"], made)
        return Priced.of(decision_of(row), provenance, fallback=why).again()

    def _held_back(self, store_id: str, sku: str, priced: Priced) -> Priced:
        """The last published price in place of a decision that must not leave the house; else the price in force."""
        why = f"no new price: {HELD_BACK[priced.held_back or '']}"
        if self._last_published(store_id, sku) is not None:
            return self._fall_back(store_id, sku, "held_back", why)
        self.runtime.metrics.fallback("held_back")
        return priced.as_fallback(f"{why}; the price in force stays").again()

    def _last_published(self, store_id: str, sku: str) -> dict[str, Any] | None:
        """The published row of a store-SKU, looked up once until something is published or stopped."""
        gate = self._published
        if self._rows is None or self._rows[0] is not gate or len(self._rows[1]) >= REMEMBERED:
            self._rows = (gate, {})
        rows = self._rows[1]
        if (store_id, sku) in rows:
            return rows[store_id, sku]
        try:
            found = newest_published_row(self._lake, store_id, sku)
        except LAKE_ERRORS as error:
            logger.error("the last published price of %s %s cannot be read: %s", store_id, sku, error)
            return None
        if self.runtime.cache_age_s() is None:  # else an empty answer may only mean that the lake is away
            rows[store_id, sku] = found
        return found


def pair_of(canary: Decision, champion: Decision, ms: float, champion_ms: float) -> Pair:
    """Both answers to one question: relative price changes, and the margin a day that the champion expects of each.

    The champion's response judges both, as a wild model would expect wonders of its own prices.
    """
    said, previous, elasticity = champion.output, champion.previous_price, champion.output["elasticity"]
    known = said["units_before"] is not None and said["cost_source"] != "unknown"

    def margin(price: int) -> float | None:
        return (price - said["cost"]) * said["units_before"] * (price / previous) ** elasticity if known else None

    return Pair(
        ms=ms,
        champion_ms=champion_ms,
        score=math.log(canary.price / previous),
        champion_score=math.log(champion.price / previous),
        value=margin(canary.price),
        champion_value=margin(champion.price),
    )


def newest_published_row(lake: Lake, store_id: str, sku: str) -> dict[str, Any] | None:
    """The row of decisions/pricing whose price is published for a store-SKU."""
    published = published_prices(lake, store_id, sku).to_pylist()
    if not published:
        return None
    with lake.connect() as connection:
        rows = connection.execute(
            f"""select * from {lake.scan("decisions", "pricing")}
                where business_date = $day and decision_id = $decision""",
            {"day": published[0]["business_date"], "decision": published[0]["decision_id"]},
        ).to_arrow_table()
    return rows.to_pylist()[0] if rows.num_rows else None


def _answer(row: dict[str, Any], decision: Decision, fallback: str | None) -> dict[str, Any]:
    return {
        "decision_id": row["decision_id"],
        "store_id": row["store_id"],
        "sku": row["sku"],
        "price": str(row["price"]),
        "currency": row["currency"],
        "previous_price": str(from_minor(decision.previous_price, decision.inputs.currency)),
        "outcome": decision.outcome,
        "effective_from": decision.output["effective_from"],
        "reasons": reasons(decision),
        "model_version": row["model_version"],
        "policy_hash": row["policy_hash"],
        "decided_at": row["at"],
        "business_date": row["business_date"],
        "fallback": fallback is not None,
        "fallback_reason": fallback,
        "cache_age_s": None,
    }
