"""Features of (series, origin, target period), vectorised over the series; nothing after the origin is looked at.

Sizes are shares of `base`, a simple forecast of the series: recent level times the strength of the weekday. A slow and
a fast seller share what trees learn of them. Levels are geometric means where shares of each target are to be met, so
that promotions do not lift them.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from retail_assets.forecasting.panel.levels import Level
from retail_assets.forecasting.panel.panel import Panel

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

SMALLEST = 0.02
NEVER = 999
PRIOR_PERIODS, PRIOR_UNITS = 2.0, 30.0
EVENT_REACH = 15
KERNEL_PERIODS, KERNEL_HALF_LIFE, KERNEL_WEIGHT = 60, 40, 0.3


@dataclass(frozen=True)
class Spans:
    """Lengths in periods: windows of means of the sales, and of `known` columns, the cycle whose strength `base` has,
    and the year.
    """

    windows: tuple[int, ...]
    level: tuple[int, int]
    known: tuple[int, int, int]
    cycle: int
    cycles: int
    year: int


SPANS = {
    "D": Spans(windows=(7, 14, 28, 56, 112), level=(28, 56), known=(4, 26, 52), cycle=7, cycles=12, year=364),
    "W": Spans(windows=(4, 8, 13, 26, 52), level=(8, 26), known=(4, 26, 52), cycle=1, cycles=12, year=52),
    "2W": Spans(windows=(2, 4, 7, 13, 26), level=(4, 13), known=(2, 13, 26), cycle=1, cycles=12, year=26),
    "4W": Spans(windows=(2, 3, 6, 13, 26), level=(3, 6), known=(2, 6, 13), cycle=1, cycles=12, year=13),
    "M": Spans(windows=(2, 3, 6, 12, 24), level=(3, 6), known=(2, 6, 12), cycle=1, cycles=12, year=12),
    "Q": Spans(windows=(1, 2, 4, 8, 12), level=(2, 4), known=(1, 2, 4), cycle=1, cycles=12, year=4),
    "4-4-5": Spans(windows=(2, 3, 6, 12, 24), level=(3, 6), known=(2, 6, 12), cycle=1, cycles=12, year=12),
}


class Features:
    """Features of one panel. `rows` builds them for any origins up to `panel.until`."""

    def __init__(self, panel: Panel, season: Level, groups: list[Level], geometric: bool = False) -> None:
        self.geometric = geometric
        self.panel, self.spans = panel, SPANS[panel.freq]
        self.season, self.groups = season, groups
        self.target = panel.target[:, : panel.until]
        known = ~np.isnan(self.target)
        filled = np.where(known, self.target, 0.0)
        sizes = np.log1p(np.maximum(filled, 0.0)) if geometric else filled
        self._sum, self._count = _running(sizes), _running(known)
        self._squares, self._sold = _running(sizes.astype(np.float64) ** 2), _running(filled > 0)
        steps = np.arange(panel.until)
        self._last = np.maximum.accumulate(np.where(filled > 0, steps, -1), axis=1)
        self.first = np.where(known.any(axis=1), known.argmax(axis=1), NEVER)
        self._group_sums = [_running(level.sums(self.target)) for level in groups]
        self._season_sums = _running(season.sums(self.target))
        self.yearly = panel.until >= 1.5 * self.spans.year
        self._known = {name: (_running(~np.isnan(v)), _running(np.nan_to_num(v))) for name, v in panel.known.items()}
        self._scales = {name: max(float(np.nanmean(np.nanstd(v, axis=1))) / 2, 1e-6) for name, v in panel.known.items()}
        self._static = _codes(panel)
        self._origin: tuple[int, dict[str, Singles], Singles, Singles] | None = None

    @property
    def categorical(self) -> list[str]:
        """Features that are codes."""
        events = [f"event:{name}{end}" for name in self.panel.calendar.events for end in ("", ":before", ":after")]
        texts = [f"key:{name}" for name, (_, text) in self._static.items() if text]
        return [*events, *texts, *(["weekday"] if self.panel.freq == "D" else [])]

    def live(self, origin: int) -> Ints:
        """Series that have a row before the origin."""
        return np.flatnonzero(self._count[:, origin] > 0)

    def rows(self, origin: int, series: Ints, ahead: Ints) -> tuple[Singles, list[str], Singles]:
        """Features (rows, k), their names and `base` (rows,) of `series` at `ahead` (1..) periods after `origin`."""
        own, strength, recent = self._at(origin)
        at = origin + ahead - 1
        phase = (ahead - 1) % self.spans.cycle
        base = np.maximum(own["level"][series] * strength[series, phase], SMALLEST / 4)
        found: dict[str, npt.NDArray[np.generic]] = {name: values[series] for name, values in own.items()}
        found["level"] = np.log(own["level"][series])
        if self.spans.cycle > 1:
            found["strength"] = strength[series, phase]
            found["same_weekday"] = recent[series, phase]
        found["ahead"] = ahead
        found |= self._calendar(series, at)
        found |= {f"key:{name}": values[series] for name, (values, _) in self._static.items()}
        if self.yearly:
            found |= self._year_ago(origin, series, at)
        if self.panel.known:
            found |= self._conditions(origin, series, at, own["level"])
        return np.stack([np.asarray(v, np.float32) for v in found.values()], axis=1), list(found), base

    def _at(self, origin: int) -> tuple[dict[str, Singles], Singles, Singles]:
        """What only depends on the origin: features (S,), strength of each phase of the cycle and its recent mean."""
        if self._origin is None or self._origin[0] != origin:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                self._origin = (origin, *self._compute(origin))
        return self._origin[1:]

    def mean(self, origin: int, window: int) -> Floats:
        """Mean (geometric if so told) of the last `window` periods that are known; NaN without any."""
        mean = self._plain_mean(origin, window)
        return np.expm1(mean) if self.geometric else mean

    def _plain_mean(self, origin: int, window: int) -> Floats:
        first = max(origin - window, 0)
        count = self._count[:, origin] - self._count[:, first]
        return (self._sum[:, origin] - self._sum[:, first]) / np.where(count > 0, count, np.nan)

    def level(self, origin: int) -> Floats:
        """The recent level of each series, shrunk to the mean of its season's node where there are few periods."""
        short, long = (self.mean(origin, window) for window in self.spans.level)
        ever = self.mean(origin, self.spans.year)
        long = np.where(np.isnan(long), ever, long)
        level = np.nan_to_num((np.where(np.isnan(short), long, short) + long) / 2)
        node, size = self.season.node, self.season.size
        known = ~np.isnan(short)
        total = np.bincount(node[known], short[known], size) / np.maximum(np.bincount(node[known], minlength=size), 1)
        periods = np.minimum(self._count[:, origin], self.spans.level[1])
        shrunk = (level * periods + total[node] * PRIOR_PERIODS) / (periods + PRIOR_PERIODS)
        return np.maximum(shrunk, SMALLEST)

    def _compute(self, origin: int) -> tuple[dict[str, Singles], Singles, Singles]:
        level = self.level(origin)
        short, long = self.spans.level[0], self.spans.windows[-1]
        means = {window: self.mean(origin, window) for window in self.spans.windows}
        found = {"level": level} | {f"mean_{window}": mean / level for window, mean in means.items()}
        first = max(origin - short, 0)
        square = (self._squares[:, origin] - self._squares[:, first]) / (origin - first)
        spread = np.sqrt(np.maximum(square - self._plain_mean(origin, short) ** 2, 0.0))
        found["spread"] = spread if self.geometric else spread / level
        for name, window in (("sold", short), ("sold_long", long)):
            begin = max(origin - window, 0)
            count = np.maximum(self._count[:, origin] - self._count[:, begin], 1)
            found[name] = (self._sold[:, origin] - self._sold[:, begin]) / count
        found["since_sale"] = origin - 1 - self._last[:, origin - 1]
        found["age"] = origin - np.minimum(self.first, origin)
        for lag in (1, 2, 3):
            found[f"lag_{lag}"] = self.target[:, origin - lag] / level if origin >= lag else np.full(len(level), np.nan)
        found["largest"] = np.nanmax(np.nan_to_num(self.target[:, first:origin]), axis=1) / level
        for group, sums in zip(self.groups, self._group_sums, strict=True):
            found |= self._group(group, sums, origin)
        strength, recent = self._cycle(origin, level)
        return {name: np.asarray(v, np.float32) for name, v in found.items()}, strength, recent

    def _group(self, group: Level, sums: Floats, origin: int) -> dict[str, Floats]:
        short, middle, long = (
            (sums[:, origin] - sums[:, max(origin - window, 0)]) / min(window, origin)
            for window in (self.spans.windows[0], self.spans.windows[2], self.spans.windows[4])
        )
        size = np.bincount(group.node, minlength=group.size)
        return {
            f"group:{group.name} short": (short / np.maximum(middle, 1e-6))[group.node],
            f"group:{group.name} middle": (middle / np.maximum(long, 1e-6))[group.node],
            f"group:{group.name} level": np.log(np.maximum(middle, 0) / size + 0.01)[group.node],
        }

    def _cycle(self, origin: int, level: Floats) -> tuple[Singles, Singles]:
        """Strength of each phase after the origin (S, cycle): the series' own, shrunk to its season's node."""
        cycle, cycles = self.spans.cycle, min(origin // self.spans.cycle, self.spans.cycles)
        if cycle == 1 or cycles == 0:
            return np.ones((len(level), cycle), np.float32), np.ones((len(level), cycle), np.float32)
        span = np.nan_to_num(self.target[:, origin - cycle * cycles : origin]).reshape(-1, cycles, cycle)
        total = span.sum(axis=1)
        shared = self.season.sums(total)
        mean = shared.mean(axis=1, keepdims=True)
        factor = np.where(mean > 0, shared / np.maximum(mean, 1e-6), 1.0)[self.season.node]
        units = total.sum(axis=1, keepdims=True) + PRIOR_UNITS
        own = (total + PRIOR_UNITS * factor / cycle) / units * cycle
        return own.astype(np.float32), (span[:, -4:].mean(axis=1) / level[:, None]).astype(np.float32)

    def _calendar(self, series: Ints, at: Ints) -> dict[str, npt.NDArray[np.generic]]:
        calendar = self.panel.calendar
        found: dict[str, npt.NDArray[np.generic]] = {}
        if self.panel.freq == "D":
            found |= {"weekday": calendar.weekday[at], "day_of_month": calendar.day_of_month[at]}
        if self.yearly:
            found["day_of_year"] = calendar.day_of_year[at]
        # A column of the caller's may have the name of one of ours: each kind has a space of its own.
        found |= {f"flag:{name}": flag[at] for name, flag in calendar.flags.items()}
        found |= {f"own flag:{name}": flag[series, at] for name, flag in calendar.own.items()}
        for name, event in calendar.events.items():
            # Codes from one on: LightGBM takes no category below zero.
            padded = np.concatenate([[0], event + 1, [0]])
            own = f"event:{name}"
            found |= {own: padded[at + 1], f"{own}:before": padded[at], f"{own}:after": padded[at + 2]}
            days = np.flatnonzero(event >= 0)
            following = np.append(days, len(event) + EVENT_REACH)[np.searchsorted(days, at)]
            found[f"{own}:ahead"] = np.minimum(following - at, EVENT_REACH)
        return found

    def _year_ago(self, origin: int, series: Ints, at: Ints) -> dict[str, npt.NDArray[np.generic]]:
        """Sales a year before the target as a share of the level a year before the origin, own and of the season."""
        year, window = self.spans.year, self.spans.windows[2]
        then = at - year
        usable = (then >= 0) & (origin - year > 0) & (then < origin)
        place = np.where(usable, then, 0)
        end = max(origin - year, 1)
        begin = max(end - window, 0)
        own = (self._sum[:, end] - self._sum[:, begin]) / np.maximum(self._count[:, end] - self._count[:, begin], 1)
        shared = (self._season_sums[:, end] - self._season_sums[:, begin]) / (end - begin)
        node, found = self.season.node[series], {}
        for reach in (0, 1):
            low, high = np.maximum(place - reach, 0), np.minimum(place + reach + 1, origin)
            count = self._count[series, high] - self._count[series, low]
            mean = (self._sum[series, high] - self._sum[series, low]) / np.where(count > 0, count, np.nan)
            share = np.exp(mean - own[series]) if self.geometric else mean / np.maximum(own[series], SMALLEST)
            found[f"year_ago_{reach}"] = np.where(usable, share, np.nan)
            whole = (self._season_sums[node, high] - self._season_sums[node, low]) / np.maximum(high - low, 1)
            found[f"season_year_ago_{reach}"] = np.where(usable, whole / np.maximum(shared[node], 1e-6), np.nan)
        then_level = np.expm1(own) if self.geometric else own
        found["level_year_ago"] = np.where(usable, then_level[series] / self._at(origin)[0]["level"][series], np.nan)
        return found

    def _conditions(self, origin: int, series: Ints, at: Ints, level: Singles) -> dict[str, npt.NDArray[np.generic]]:
        """The known columns at the target, against their past, against the neighbours', and sales at similar values."""
        found: dict[str, npt.NDArray[np.generic]] = {}
        for name, values in self.panel.known.items():
            now = values[series, at]
            found[f"known:{name}"] = now
            count, total = self._known[name]
            for window in self.spans.known:
                begin = max(origin - window, 0)
                known = count[:, origin] - count[:, begin]
                mean = (total[:, origin] - total[:, begin]) / np.where(known > 0, known, np.nan)
                found[f"known:{name} less {window}"] = now - mean[series]
            for lag in (1, 2):
                before = np.where(at >= lag, values[series, np.maximum(at - lag, 0)], np.nan)
                found[f"known:{name} step {lag}"] = now - before
            recent = values[:, max(origin - self.spans.known[1], 0) : origin]
            found[f"known:{name} less lowest"] = now - np.fmin.reduce(recent, axis=1)[series]
            for group in self.groups:
                found |= self._neighbours(name, group, origin, series, at)
        found |= self._similar(origin, series, at, level)
        return found

    def _neighbours(
        self, name: str, group: Level, origin: int, series: Ints, at: Ints
    ) -> dict[str, npt.NDArray[np.generic]]:
        values = self.panel.known[name]
        count, total = self._known[name]
        begin = max(origin - self.spans.known[1], 0)
        known = count[:, origin] - count[:, begin]
        usual = (total[:, origin] - total[:, begin]) / np.where(known > 0, known, np.nan)
        shift, place = np.full(len(at), np.nan), np.full(len(at), np.nan)
        for period in np.unique(at):
            now = values[:, period]
            there = ~np.isnan(now)
            rows = at == period
            size = np.maximum(np.bincount(group.node[there], minlength=group.size), 1)
            mean = np.bincount(group.node[there], now[there], group.size) / size
            moved = np.bincount(group.node[there], np.nan_to_num(now - usual)[there], group.size) / size
            shift[rows] = moved[group.node[series[rows]]]
            place[rows] = now[series[rows]] - mean[group.node[series[rows]]]
        return {f"known:{name} moved in {group.name}": shift, f"known:{name} less in {group.name}": place}

    def _similar(self, origin: int, series: Ints, at: Ints, level: Singles) -> dict[str, npt.NDArray[np.generic]]:
        """Mean of the series' past sales in periods with similar known values, as a share of its level."""
        past = slice(max(origin - KERNEL_PERIODS, 0), origin)
        target = self.target[series, past]
        distance = np.zeros(target.shape)
        for name, values in self.panel.known.items():
            distance += ((values[series, past] - values[series, at][:, None]) / self._scales[name]) ** 2
        weight = np.exp(-0.5 * distance) * 0.5 ** (np.arange(target.shape[1])[::-1] / KERNEL_HALF_LIFE)
        weight = np.where(np.isnan(target) | np.isnan(weight), 0.0, weight)
        share = np.nan_to_num(target) / level[series][:, None]
        total = weight.sum(axis=1)
        mean = ((weight * np.log1p(np.maximum(share, 0))).sum(axis=1) + KERNEL_WEIGHT * np.log(2)) / (
            total + KERNEL_WEIGHT
        )
        return {"similar": np.expm1(mean), "similar_weight": total}


def _running(values: npt.NDArray[np.generic]) -> Floats:
    """Sums of all columns before each, (rows, columns + 1)."""
    total = np.zeros((values.shape[0], values.shape[1] + 1))
    np.cumsum(values, axis=1, out=total[:, 1:])
    return total


def _codes(panel: Panel) -> dict[str, tuple[Singles, bool]]:
    """Attributes and keys as numbers, and whether they are codes; keys with too many values are left to the means."""
    found = {}
    for name, values in pd.concat([panel.keys, panel.attributes], axis=1).items():
        text = values.dtype == object or name in panel.keys
        if not text and pd.api.types.is_numeric_dtype(values):
            found[str(name)] = (values.to_numpy(np.float32), False)
        elif values.nunique() <= 128:
            found[str(name)] = ((pd.factorize(values, sort=True)[0] + 1).astype(np.float32), True)
    return found
