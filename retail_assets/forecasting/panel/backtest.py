"""`retail backtest forecasting`: forecasts of anybody's sales, scored against simple baselines on periods not seen."""

import resource
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict

from retail_assets.core.accuracy import coverage, wape
from retail_assets.forecasting.panel import intervals
from retail_assets.forecasting.panel.cold import RUNGS
from retail_assets.forecasting.panel.engine import Forecast, forecast, setting_of
from retail_assets.forecasting.panel.intervals import QUANTILES, central, quantile_name
from retail_assets.forecasting.panel.levels import Level, scaled_errors, wrmsse
from retail_assets.forecasting.panel.panel import Columns, Panel, Rules, read_panel
from retail_assets.forecasting.panel.table import PanelError
from retail_assets.forecasting.panel.trees import Progress, Settings

Floats = npt.NDArray[np.float64]
Masks = dict[str, npt.NDArray[np.bool_]]

CYCLES = 4
SPARSE, INTERMITTENT = 0.8, 0.3


@dataclass(frozen=True)
class Files:
    """What a backtest reads and writes; `out` ends in .parquet or .csv."""

    sales: Path
    out: Path
    attributes: Path | None = None
    calendar: Path | None = None
    future: Path | None = None


class LevelScore(BaseModel):
    """Accuracy at one level: weighted RMSSE, weighted scaled pinball loss, share of actuals in the 90 % interval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: str
    nodes: int
    rmsse: float
    seasonal_naive: float
    recent_mean: float
    pinball: float
    pinball_baseline: float
    coverage: float


class SegmentScore(BaseModel):
    """Accuracy on the series of a segment: weighted RMSSE of it and of the baselines, absolute error per unit sold,
    and units forecast per unit sold (NaN where nothing was).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    segment: str
    series: int
    rmsse: float
    seasonal_naive: float
    recent_mean: float
    wape: float
    share_of_sold: float


class ForecastBacktest(BaseModel):
    """What a backtest found.

    `scored` says which periods the scores are of: those after --train-until, or where none are known, the last ones of
    the history, forecast without them. `wrmsse` and `wspl` are means over the levels; `ways` the error of each way to
    reconcile on the window before, of which `way` was the best.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    series: int
    periods: int
    horizon: int
    first: str
    last: str
    scored: str
    way: str
    ways: dict[str, float]
    wrmsse: float
    wrmsse_seasonal_naive: float
    wrmsse_recent_mean: float
    wspl: float
    wspl_baseline: float
    levels: list[LevelScore]
    segments: list[SegmentScore]
    rungs: dict[str, int]
    notes: list[str]
    seconds: float
    cpu_seconds: float
    peak_gb: float
    files: list[str]


def backtest(
    files: Files,
    columns: Columns,
    rules: Rules,
    train_until: str | None,
    horizon: int,
    settings: Settings,
    progress: Progress,
) -> ForecastBacktest:
    """Reads, forecasts, scores and writes; raises PanelError for unusable input."""
    started, processor = time.perf_counter(), time.process_time()
    _refuse_output(files, columns)
    if horizon < 1:
        raise PanelError(f"--horizon {horizon} is not a number of periods above zero")
    progress(f"reading {files.sales.name}")
    sources = (files.attributes, files.calendar, files.future)
    panel = read_panel(files.sales, columns, rules, train_until, horizon, *sources)
    made = forecast(panel, settings, progress)
    progress("scoring")
    ahead = not np.isnan(panel.actual).all()
    scored = panel if ahead else panel.ends(panel.until - horizon)
    mean = made.mean if ahead else made.held_back
    levels = setting_of(panel).levels
    scores = _level_scores(scored, levels, mean, made)
    segments = _segment_scores(scored, levels[-1], mean)
    progress("writing")
    names = [_write(_series_table(panel, levels[-1], made, columns), files.out)]
    names.append(_write(_node_table(panel, levels[:-1], made, columns), _beside(files.out, "levels")))
    time_of = panel.time
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return ForecastBacktest(
        series=len(panel.keys),
        periods=panel.until,
        horizon=horizon,
        first=str(time_of[panel.until]),
        last=str(time_of[-1]),
        scored=f"{time_of[scored.until]} to {time_of[scored.until + horizon - 1]}",
        way=made.way,
        ways=made.ways,
        wrmsse=_mean([s.rmsse for s in scores]),
        wrmsse_seasonal_naive=_mean([s.seasonal_naive for s in scores]),
        wrmsse_recent_mean=_mean([s.recent_mean for s in scores]),
        wspl=_mean([s.pinball for s in scores]),
        wspl_baseline=_mean([s.pinball_baseline for s in scores]),
        levels=scores,
        segments=segments,
        rungs={name: int((made.rung == code).sum()) for code, name in enumerate(RUNGS)},
        notes=[*panel.notes, *_notes(scores, ahead)],
        seconds=time.perf_counter() - started,
        cpu_seconds=time.process_time() - processor,
        peak_gb=usage,
        files=names,
    )


def _refuse_output(files: Files, columns: Columns) -> None:
    """Raises PanelError where the forecasts cannot be written, would replace what is read, or repeat a column."""
    out = files.out
    if out.suffix.lower() not in (".parquet", ".csv"):
        raise PanelError(f"--out {out.name} is neither .parquet nor .csv", where=str(out))
    sources = [file for file in (files.sales, files.attributes, files.calendar, files.future) if file is not None]
    for written in (out, _beside(out, "levels")):
        if written.resolve() in [file.resolve() for file in sources]:
            raise PanelError(f"--out would replace {written.name}, which is read", where=str(written))
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if not parent.is_dir() or out.is_dir():
        raise PanelError(f"--out {out} lies in no folder, or is one", where=str(out if out.is_dir() else parent))
    made = {"level", "mean", "rung", "lo90", "hi90", *map(quantile_name, QUANTILES)}
    taken = [name for name in (*columns.series, columns.time) if name in made]
    if taken:
        todo = "rename it: the forecasts have a column of that name"
        raise PanelError(f"the column {taken[0]!r} cannot be a key or the time", where=str(files.sales), todo=todo)


def seasonal_naive(panel: Panel) -> Floats:
    """The last cycle again (a week of days, a year of weeks where there is one, else the last value), (S, horizon)."""
    cycle = _cycle(panel)
    past = panel.target[:, : panel.until]
    last = past[:, -cycle:].astype(float)
    recent = _recent(past[:, -max(cycle // 4, 1) :])
    last = np.where(np.isnan(last), recent[:, None], last)
    return last[:, np.arange(panel.horizon) % cycle]


def recent_mean(panel: Panel) -> Floats:
    """The mean of the last four of the same weekday, of weeks the mean of the last eight, (S, horizon)."""
    past = panel.target[:, : panel.until]
    if panel.freq != "D" or panel.until < CYCLES * 7:
        return np.repeat(_recent(past[:, -panel.frequency.recent :])[:, None], panel.horizon, axis=1)
    weeks = np.nan_to_num(past[:, -CYCLES * 7 :]).reshape(len(past), CYCLES, 7).mean(axis=1)
    return weeks[:, np.arange(panel.horizon) % 7]


def _recent(past: npt.NDArray[np.float32]) -> Floats:
    known = ~np.isnan(past)
    return np.where(known, past, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)


def _cycle(panel: Panel) -> int:
    if panel.freq == "D":
        return 7
    return panel.frequency.year if panel.until >= panel.frequency.year else 1


def _level_scores(panel: Panel, levels: list[Level], mean: Floats, made: Forecast) -> list[LevelScore]:
    past, actual = panel.target[:, : panel.until], panel.actual
    known = ~np.isnan(actual)
    naive = np.where(known, seasonal_naive(panel), 0.0)
    means = {"rmsse": np.where(known, mean, 0.0), "naive": naive, "recent": np.where(known, recent_mean(panel), 0.0)}
    errors = {name: wrmsse(levels, past, actual, values) for name, values in means.items()}
    found = []
    for level in levels:
        centre, truth = level.sums(means["rmsse"]), level.sums(actual)
        quantiles = made.intervals[level.name].quantiles(centre)
        baseline = intervals.seasonal_naive_quantiles(level.sums(past), level.sums(naive), min(_cycle(panel), 7))
        low, high = central(quantiles)
        rows = level.sums(known.astype(float)) > 0
        ours, theirs = (
            intervals.wspl([level], past, actual, {level.name: q})[level.name] for q in (quantiles, baseline)
        )
        found.append(
            LevelScore(
                level=level.name,
                nodes=level.size,
                rmsse=errors["rmsse"][level.name],
                seasonal_naive=errors["naive"][level.name],
                recent_mean=errors["recent"][level.name],
                pinball=ours,
                pinball_baseline=theirs,
                coverage=coverage(truth[rows], low[rows], high[rows]),
            )
        )
    return found


def _segment_scores(panel: Panel, bottom: Level, mean: Floats) -> list[SegmentScore]:
    past, actual = panel.target[:, : panel.until].astype(float), panel.actual.astype(float)
    known = ~np.isnan(actual)
    forecasts = [mean, seasonal_naive(panel), recent_mean(panel)]
    rated = [scaled_errors(np.nan_to_num(past), np.where(known, actual - f, 0.0)) for f in forecasts]
    weight = rated[0][1]
    found = []
    for name, rows in segments_of(panel).items():
        total = weight[rows].sum()
        if not total:
            continue
        ours, naive, recent = (float((each[rows] * weight[rows]).sum() / total) for each, _ in rated)
        part = known & rows[:, None]
        found.append(
            SegmentScore(
                segment=name,
                series=int(rows.sum()),
                rmsse=ours,
                seasonal_naive=naive,
                recent_mean=recent,
                wape=wape(actual[part], mean[part]),
                share_of_sold=float(mean[part].sum() / actual[part].sum()) if actual[part].sum() else float("nan"),
            )
        )
    return found


def segments_of(panel: Panel) -> Masks:
    """Series by volume (thirds of the units sold of late), by how often nothing is sold, and those that are new."""
    past = panel.target[:, : panel.until]
    recent = np.nan_to_num(past[:, -112:])
    seen = (~np.isnan(past)).sum(axis=1)
    new = seen < panel.frequency.new
    volume = recent.sum(axis=1) / np.maximum((~np.isnan(past[:, -112:])).sum(axis=1), 1)
    low, high = np.quantile(volume[~new], (1 / 3, 2 / 3)) if (~new).any() else (0.0, 0.0)
    sold = (recent > 0).sum(axis=1) / np.maximum((~np.isnan(past[:, -112:])).sum(axis=1), 1)
    none = 1.0 - sold
    return {
        "volume: lowest third": ~new & (volume <= low),
        "volume: middle third": ~new & (volume > low) & (volume <= high),
        "volume: highest third": ~new & (volume > high),
        f"sells on {1 - INTERMITTENT:.0%} of periods or more": ~new & (none <= INTERMITTENT),
        f"sells on {1 - SPARSE:.0%} to {1 - INTERMITTENT:.0%}": ~new & (none > INTERMITTENT) & (none <= SPARSE),
        f"sells on less than {1 - SPARSE:.0%}": ~new & (none > SPARSE),
        f"new: under {panel.frequency.new} periods": new,
    }


def _notes(scores: list[LevelScore], ahead: bool) -> list[str]:
    found = (
        [] if ahead else ["no targets are known after the forecast's start: scored on the last window of the history"]
    )
    for score in scores:
        if score.rmsse > min(score.seasonal_naive, score.recent_mean):
            found.append(f"a baseline was better at level {score.level}")
    return found


def _series_table(panel: Panel, level: Level, made: Forecast, columns: Columns) -> pd.DataFrame:
    series = np.repeat(np.arange(len(panel.keys)), panel.horizon)
    table = panel.keys.iloc[series].reset_index(drop=True)
    return _values(table, panel, made.mean, made.intervals[level.name].quantiles(made.mean), columns).assign(
        rung=np.array(RUNGS, dtype=object)[made.rung[series].astype(int)]
    )


def _node_table(panel: Panel, levels: list[Level], made: Forecast, columns: Columns) -> pd.DataFrame:
    """Rows of the levels above the series: the level, its columns (empty where it sums over them), time, values."""
    parts = []
    for level in levels:
        mean = level.sums(made.mean)
        table = level.nodes.loc[level.nodes.index.repeat(panel.horizon)].reset_index(drop=True)
        table.insert(0, "level", level.name)
        parts.append(_values(table, panel, mean, made.intervals[level.name].quantiles(mean), columns))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["level", columns.time, "mean"])


def _values(table: pd.DataFrame, panel: Panel, mean: Floats, quantiles: Floats, columns: Columns) -> pd.DataFrame:
    low, high = central(quantiles)
    found = table.assign(**{columns.time: np.tile(np.array(panel.time[panel.until :], dtype=object), len(mean))})
    if isinstance(panel.time[0], int):
        found[columns.time] = found[columns.time].astype(np.int64)
    found["mean"] = mean.ravel()
    for at, level in enumerate(QUANTILES):
        found[quantile_name(level)] = quantiles[:, :, at].ravel()
    return found.assign(lo90=low.ravel(), hi90=high.ravel())


def _mean(values: list[float]) -> float:
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")


def _beside(out: Path, name: str) -> Path:
    return out.with_name(f"{out.stem}_{name}{out.suffix}")


def _write(table: pd.DataFrame, path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False) if path.suffix.lower() == ".csv" else table.to_parquet(path, index=False)
    return str(path)
