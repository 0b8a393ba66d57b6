"""From gold to gold/demand_components and back: which series are fitted again, in which order, and for how long.

A run fits for `budget_seconds`; what it does not reach keeps what was published before, or waits. A series without
parts comes before one with old parts, and the larger comes first, so that every series gets its turn over some runs.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise
from time import perf_counter

import numpy as np
import pandas as pd
import pyarrow as pa

from retail_assets.core.manifest import installed
from retail_assets.forecasting.explain.decomposition import PARTS, FitTask, Fitted, decompose
from retail_assets.forecasting.explain.decomposition_rows import (
    SCHEMA,
    TABLE,
    bottom_up,
    component_rows,
    first_shown,
    proof_rows,
)
from retail_assets.forecasting.explain.demand_panel import SERIES_KEYS, USUAL_DAYS, DemandSeries, read_series
from retail_assets.forecasting.views_config import DecompositionConfig
from retail_assets.resources.fanout import Fanout
from retail_assets.resources.lake import Lake

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Stored:
    """A series as it was published last: its rows by day, and the content that they were fitted to."""

    content: str
    rows: pa.Table

    @property
    def newest(self) -> date:
        """The last day that is told."""
        day: date = self.rows["day"][-1].as_py()
        return day


@dataclass(frozen=True)
class Decomposed:
    """Rows of gold/demand_components, and the proof (None where none was asked for or nothing could be proven).

    Of `series`, `fresh` are told by parts of their newest history; the others by older parts or not yet. `fitted` were
    fitted now; `seconds` are of the wall, `fit_seconds` of all processes.
    """

    rows: pa.Table
    proof: pa.Table | None
    series: int
    fresh: int
    fitted: int
    seconds: float
    fit_seconds: float

    @property
    def is_complete(self) -> bool:
        """Whether no series waits for a later run."""
        return self.fresh == self.series


class Components:
    """The rows of every series, as far as there are any: published ones first, replaced as series are fitted."""

    def __init__(self, lake: Lake, until: date, config: DecompositionConfig) -> None:
        self.series = read_series(lake, until, config.horizon)
        self.content = {one.key: _content(one, config) for one in self.series}
        self.stored = stored_series(lake)
        self._config, self._sums = config, bottom_up(lake, until)
        self._rows = {one.key: self._published(one) for one in self.series if one.key in self.stored}
        self.fitted: dict[Key, Fitted] = {}

    def is_fresh(self, key: Key) -> bool:
        """Whether what was published is of the newest history."""
        return key in self.stored and self.stored[key].content == self.content[key]

    def add(self, series: DemandSeries, fit: Fitted) -> None:
        """Puts the parts of a fit in the place of what was known of `series`."""
        self.fitted[series.key] = fit
        first = first_shown(series, self._config)
        self._rows[series.key] = self._made(series, fit.method, fit.parts.iloc[first:].reset_index(drop=True))

    def decomposed(self, seconds: float) -> Decomposed:
        """What there is after `seconds` of work."""
        parts = [self._rows[one.key] for one in self.series if one.key in self._rows]
        return Decomposed(
            rows=pa.concat_tables(parts) if parts else SCHEMA.empty_table(),
            proof=None,
            series=len(self.series),
            fresh=sum(one.key in self.fitted or self.is_fresh(one.key) for one in self.series),
            fitted=len(self.fitted),
            seconds=seconds,
            fit_seconds=sum(fit.seconds for fit in self.fitted.values()),
        )

    def _published(self, series: DemandSeries) -> pa.Table:
        """Old parts stay as they are, those of the newest history are scaled to the newest forecasts."""
        before = self.stored[series.key]
        if not self.is_fresh(series.key):
            return before.rows
        parts = before.rows.select(list(PARTS)).to_pandas()
        return self._made(series, before.rows["method"][0].as_py(), parts)

    def _made(self, series: DemandSeries, method: str, parts: pd.DataFrame) -> pa.Table:
        ahead = self._sums.get(series.key, {})
        return component_rows(series, self.content[series.key], method, parts, ahead, self._config)


def decompose_demand(
    lake: Lake,
    until: date,
    config: DecompositionConfig,
    fanout: Fanout,
    prove: bool,
    progress: Callable[[int, int], None] | None = None,
    keep: Callable[[Decomposed], object] | None = None,
) -> Decomposed:
    """Decomposes the series that changed, as many as the budget of `config` allows but at least one.

    `progress` hears how many of all are done; `keep` gets what is there so far every `keep_every_seconds`.
    """
    begun = kept = perf_counter()
    known = Components(lake, until, config)
    held = _held_back(lake, until, known.series, config) if prove else {}
    queue = fit_order(known, held)
    tasks = [FitTask(one, config, held.get(one.key)) for one in queue]
    with closing(_place(fanout, len(queue), config).each(decompose, tasks)) as fits:
        for series, fit in zip(queue, fits, strict=False):
            known.add(series, fit)
            now = perf_counter()
            if progress is not None:
                progress(len(known.fitted), len(queue))
            if now - begun >= config.budget_seconds:
                break
            if keep is not None and now - kept >= config.keep_every_seconds:
                keep(known.decomposed(now - begun))
                kept = perf_counter()
    proof = proof_rows([one for one in queue if one.key in known.fitted], held, known.fitted)
    made = known.decomposed(perf_counter() - begun)
    return replace(made, proof=proof if len(proof) else None)


def fit_order(known: Components, held: Mapping[Key, DemandSeries]) -> list[DemandSeries]:
    """Series to be fitted: those to be proven, those without parts, those with the oldest; the larger first."""

    def rank(one: DemandSeries) -> tuple[bool, date, float, Key]:
        before = known.stored.get(one.key)
        return one.key not in held, before.newest if before else date.min, -recent_units(one), one.key

    return sorted((one for one in known.series if one.key in held or not known.is_fresh(one.key)), key=rank)


def recent_units(series: DemandSeries) -> float:
    """Units of the last USUAL_DAYS days, as far as they are known."""
    return float(np.nansum(series.units[-USUAL_DAYS:]))


def reached(lake: Lake) -> tuple[int, int] | None:
    """How many series gold/demand_components tells by their newest history, and how many there are; None without it."""
    if not lake.exists("gold", TABLE):
        return None
    written = lake.open("gold", TABLE).history(1)[0]
    return (int(written["fresh"]), int(written["series"])) if "fresh" in written else None


def stored_series(lake: Lake) -> dict[Key, Stored]:
    """Every series of gold/demand_components as it was published last."""
    if not lake.exists("gold", TABLE):
        return {}
    table = lake.open("gold", TABLE).to_pyarrow_table()
    table = table.sort_by([(name, "ascending") for name in (*SERIES_KEYS, "day")]).combine_chunks()
    keys = table.select(list(SERIES_KEYS)).to_pandas()
    edges = [*np.flatnonzero(keys.ne(keys.shift()).any(axis=1)).tolist(), len(table)]
    groups = (table.slice(first, after - first) for first, after in pairwise(edges))
    return {_key(rows): Stored(rows["content"][0].as_py(), rows) for rows in groups}


def _key(rows: pa.Table) -> Key:
    hierarchy, place, group = (rows[name][0].as_py() for name in SERIES_KEYS)
    return hierarchy, place, group


def _place(fanout: Fanout, tasks: int, config: DecompositionConfig) -> Fanout:
    """No more processes than there is work for: each costs seconds to start."""
    enough = -(-tasks // config.series_per_process)
    return fanout.model_copy(update={"processes": max(min(fanout.processes, enough), 1)})


def _content(series: DemandSeries, config: DecompositionConfig) -> str:
    made_with = f"{series.content()} {config.fit_settings()} {installed('prophet')}"
    return hashlib.sha256(made_with.encode()).hexdigest()[:16]


def _held_back(
    lake: Lake, until: date, series: Sequence[DemandSeries], config: DecompositionConfig
) -> dict[Key, DemandSeries]:
    """The largest series as they were known a horizon ago; those too short to be fitted then prove nothing."""
    largest = sorted(series, key=recent_units, reverse=True)[: config.proven_series]
    wanted = {one.key for one in largest}
    past = read_series(lake, until - timedelta(days=config.horizon), config.horizon)
    return {
        one.key: one for one in past if one.key in wanted and np.isfinite(one.units).sum() >= config.shortest_history
    }
