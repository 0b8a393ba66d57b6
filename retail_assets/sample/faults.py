"""Planted dirt: which file is spoiled, how, and a record of every spoiled row for truth/."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from retail_assets.sample.arrays import Stream, rng_for
from retail_assets.sample.outbox import Delivery
from retail_assets.sample.spoil import MAIN_KINDS, spoil_rows
from retail_assets.sample.world import World

# Kind, source, fewest, share of the source's files.
PLAN: tuple[tuple[str, str, int, float], ...] = (
    ("duplicate_file", "pos_lines", 1, 0.0012),
    ("duplicate_extra_rows", "pos_lines", 1, 0.0006),
    ("late_file", "pos_lines", 2, 0.0025),
    ("truncated_line", "pos_lines", 1, 0.0015),
    ("wrong_type", "pos_lines", 2, 0.0020),
    ("unknown_sku", "pos_lines", 1, 0.0012),
    ("unknown_store", "pos_lines", 1, 0.0006),
    ("duplicate_file", "click_events", 1, 0.002),
    ("late_file", "click_events", 0, 0.0015),
    ("truncated_line", "click_events", 1, 0.002),
    ("wrong_type", "click_events", 1, 0.002),
    ("unknown_sku", "click_events", 1, 0.002),
    ("duplicate_file", "payments", 1, 0.002),
    ("late_file", "payments", 1, 0.004),
    ("late_file", "stock_levels", 1, 0.002),
    ("wrong_type", "stock_levels", 1, 0.002),
    ("unknown_sku", "stock_levels", 1, 0.002),
    ("wrong_type", "competitor_prices", 1, 0.003),
)
RENAMED_AT, ADDED_AT, MIXED_UP_AT, SKEWED_AT = 0.75, 0.625, 0.45, 0.55
SKEWED_DAYS = 2
PARTIAL_SHARE = 0.7


@dataclass(frozen=True)
class Fault:
    """One planted fault; `line` is the physical line (1-based) or None when the whole file is meant."""

    kind: str
    source: str
    file: str
    line: int | None
    detail: str
    rows_affected: int


class Faults:
    """Plans the dirt of the nominal length of a scale and spoils deliveries accordingly."""

    def __init__(self, world: World) -> None:
        self._world = world
        days = world.scale.days
        self.renamed_from, self.added_from = int(RENAMED_AT * days), int(ADDED_AT * days)
        self.mixed_up = self._first_open("UK", int(MIXED_UP_AT * days), 1)
        self.skewed = self._first_open("DE", int(SKEWED_AT * days), SKEWED_DAYS)
        self._planned = self._plan()
        self.records: list[Fault] = []

    def _first_open(self, code: str, day: int, length: int) -> tuple[int, int]:
        """The first store of a country, and the first day from `day` on with `length` open days in a row."""
        shop = self._world.shops.of_country(self._world.codes.index(code)).start
        while not all(self._world.open(day + k)[shop] for k in range(length)):
            day += 1
        return shop, day

    def _units(self, source: str) -> int:
        """How many files of a source there are on a day: per shop, per country or one."""
        web = int(self._world.shops.web.sum())
        per_day = {"pos_lines": self._world.shops.count, "click_events": web, "payments": 1}
        return per_day.get(source, len(self._world.codes))

    def _plan(self) -> dict[tuple[str, int, int], str]:
        """Which kind strikes which (source, day, unit); never two at one file, never where a quirk rules."""
        rng = rng_for(self._world.seed, Stream.FAULTS)
        shop, start = self.skewed
        taken = {("pos_lines", start + k, shop) for k in range(SKEWED_DAYS)} | {("pos_lines", *self.mixed_up[::-1])}
        planned: dict[tuple[str, int, int], str] = {}
        days = self._world.scale.days
        for kind, source, fewest, share in PLAN:
            units = self._units(source)
            for _ in range(max(fewest, round(share * units * days))):
                key = self._free_file(rng, source, units, taken | planned.keys())
                planned[key] = kind
        return planned

    def _free_file(
        self, rng: np.random.Generator, source: str, units: int, taken: set[tuple[str, int, int]]
    ) -> tuple[str, int, int]:
        days = self._world.scale.days
        while True:
            day, unit = int(rng.integers(int(days * 0.1), int(days * 0.9))), int(rng.integers(0, units))
            if source == "competitor_prices":
                day += (2 - self._world.date_of(day).weekday()) % 7
            shop = unit if source == "pos_lines" else -1
            if (source, day, unit) not in taken and self._world.open(day)[shop]:
                return source, day, unit

    def deliver(self, delivery: Delivery, day: int, unit: int) -> list[Delivery]:
        """The deliveries that really happen instead of `delivery`; what was spoiled is added to `records`."""
        kind = self._planned.get((delivery.source, day, unit))
        if kind is None:
            return [delivery]
        rng = rng_for(self._world.seed, Stream.FAULTS, 1 + day * 1000 + unit)
        if kind in MAIN_KINDS:
            return [self._spoiled(rng, kind, delivery)]
        whole: dict[str, Callable[[np.random.Generator, Delivery], list[Delivery]]] = {
            "duplicate_file": self._twice,
            "duplicate_extra_rows": self._partial_first,
            "late_file": self._late,
        }
        return whole[kind](rng, delivery)

    def note(
        self, kind: str, delivery: Delivery, detail: str, line: int | None = None, rows: int | None = None
    ) -> None:
        """Records one fault of a file; all its rows are affected unless `rows` says otherwise."""
        affected = delivery.rows if rows is None else rows
        self.records.append(Fault(kind, delivery.source, delivery.path, line, detail, affected))

    def _spoiled(self, rng: np.random.Generator, kind: str, delivery: Delivery) -> Delivery:
        payload, marks = spoil_rows(rng, kind, delivery.payload, delivery.source)
        spoiled = delivery.but(payload=payload)
        for line, detail in marks:
            self.note(kind, spoiled, detail, line, 1)
        return spoiled

    def _twice(self, rng: np.random.Generator, delivery: Delivery) -> list[Delivery]:
        again = delivery.but(delivered=delivery.delivered + timedelta(minutes=int(rng.integers(40, 300))))
        self.note("duplicate_file", again, f"same bytes as {delivery.path}")
        return [delivery, again]

    def _partial_first(self, rng: np.random.Generator, delivery: Delivery) -> list[Delivery]:
        lines = delivery.payload.splitlines(keepends=True)
        kept = int(delivery.rows * PARTIAL_SHARE)
        partial = delivery.but(payload=b"".join(lines[: kept + 1]), rows=kept)
        again = delivery.but(delivered=delivery.delivered + timedelta(hours=int(rng.integers(6, 30))))
        self.note("duplicate_extra_rows", again, f"repeats all rows of {partial.path} and adds the rest", rows=kept)
        return [partial, again]

    def _late(self, rng: np.random.Generator, delivery: Delivery) -> list[Delivery]:
        days = int(rng.integers(1, 6))
        late = delivery.but(delivered=delivery.delivered + timedelta(days=days, minutes=int(rng.integers(1, 400))))
        self.note("late_file", late, f"delivered {days} days late")
        return [late]
