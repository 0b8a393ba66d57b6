"""`retail backtest forecasting`: forecasts of anybody's sales, scored against simple baselines on periods not seen."""

import math
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from retail_assets.core.own_columns import told
from retail_assets.forecasting.panel.cold import RUNGS
from retail_assets.forecasting.panel.engine import forecast, setting_of, steps_of
from retail_assets.forecasting.panel.levels import mean_known
from retail_assets.forecasting.panel.panel import Columns, Rules, read_panel
from retail_assets.forecasting.panel.reading.table import PanelError
from retail_assets.forecasting.panel.scores import LevelScore, SegmentScore, level_scores, segment_scores
from retail_assets.forecasting.panel.tables import beside, made_names, node_table, series_table, write
from retail_assets.forecasting.panel.trees import Progress, Settings

# Scoring and writing.
OTHER_STEPS = 2


@dataclass(frozen=True)
class Files:
    """What a backtest reads and writes; `out` ends in .parquet or .csv."""

    sales: Path
    out: Path
    attributes: Path | None = None
    calendar: Path | None = None
    future: Path | None = None


class ForecastBacktest(BaseModel):
    """What a backtest found.

    `scored` says which periods the scores are of: those after --train-until, or where none are known, the last ones of
    the history, forecast without them. `wrmsse`, `wspl` and `absolute` (error per unit sold of `mean`, of `q50`) are
    means over the levels; NaN, in JSON null, where nothing scales an error. `blend` has the share of each forecast in
    the result, `ways` the error of each way to reconcile on the window before, of which `way` was the best. `notices`
    are what was taken for something that it may not be, `notes` what is particular.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    series: int
    periods: int
    horizon: int
    first: str
    last: str
    scored: str
    blend: dict[str, float]
    way: str
    ways: dict[str, float]
    wrmsse: float
    wrmsse_median: float
    wrmsse_seasonal_naive: float
    wrmsse_recent_mean: float
    wspl: float
    wspl_baseline: float
    absolute: float
    absolute_median: float
    absolute_seasonal_naive: float
    levels: list[LevelScore]
    segments: list[SegmentScore]
    rungs: dict[str, int]
    notices: list[str]
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
    expect: Callable[[int], None] = lambda steps: None,
    tell: Callable[[str], None] = lambda notice: None,
) -> ForecastBacktest:
    """Reads, forecasts, scores and writes; raises PanelError for unusable input.

    `progress` is told each step, and `expect`, once the history is read, how many are still to come; `tell` each notice
    before the work begins.
    """
    started, processor = time.perf_counter(), time.process_time()
    _refuse_output(files)
    if horizon < 1:
        raise PanelError(f"--horizon {horizon} is not a number of periods above zero")
    progress(f"reading {files.sales.name}")
    sources = (files.attributes, files.calendar, files.future)
    panel = read_panel(files.sales, columns, rules, train_until, horizon, *sources)
    levels = setting_of(panel).levels
    called = made_names(levels, columns)
    notices = [*panel.notices, *told(called)]
    for notice in notices:
        tell(notice)
    expect(steps_of(panel, settings) + OTHER_STEPS)
    made = forecast(panel, settings, progress)
    progress("scoring")
    ahead = not np.isnan(panel.actual).all()
    scored = panel if ahead else panel.ends(panel.until - horizon)
    mean = made.mean if ahead else made.held_back
    scores = level_scores(scored, levels, mean, made)
    segments = segment_scores(scored, mean)
    progress("writing")
    names = [write(series_table(panel, levels[-1], made, columns, called), files.out)]
    names.append(write(node_table(panel, levels[:-1], made, columns, called), beside(files.out, "levels")))
    time_of = panel.time
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return ForecastBacktest(
        series=len(panel.keys),
        periods=panel.until,
        horizon=horizon,
        first=str(time_of[panel.until]),
        last=str(time_of[-1]),
        scored=f"{time_of[scored.until]} to {time_of[scored.until + horizon - 1]}",
        blend=made.recipe.blend,
        way=made.recipe.way,
        ways=made.ways,
        wrmsse=mean_known([s.rmsse for s in scores]),
        wrmsse_median=mean_known([s.rmsse_median for s in scores]),
        wrmsse_seasonal_naive=mean_known([s.seasonal_naive for s in scores]),
        wrmsse_recent_mean=mean_known([s.recent_mean for s in scores]),
        wspl=mean_known([s.pinball for s in scores]),
        wspl_baseline=mean_known([s.pinball_baseline for s in scores]),
        absolute=mean_known([s.absolute for s in scores]),
        absolute_median=mean_known([s.absolute_median for s in scores]),
        absolute_seasonal_naive=mean_known([s.absolute_seasonal_naive for s in scores]),
        levels=scores,
        segments=segments,
        rungs={name: int((made.rung == code).sum()) for code, name in enumerate(RUNGS)},
        notices=notices,
        notes=[*panel.notes, *_drawn(made.recipe.naive.sums, setting_of(panel).season.name), *_notes(scores, ahead)],
        seconds=time.perf_counter() - started,
        cpu_seconds=time.process_time() - processor,
        peak_gb=usage,
        files=names,
    )


def _refuse_output(files: Files) -> None:
    """Raises PanelError where the forecasts cannot be written, or would replace what is read."""
    out = files.out
    if out.suffix.lower() not in (".parquet", ".csv"):
        raise PanelError(f"--out {out.name} is neither .parquet nor .csv", where=str(out))
    sources = [file for file in (files.sales, files.attributes, files.calendar, files.future) if file is not None]
    for written in (out, beside(out, "levels")):
        if written.resolve() in [file.resolve() for file in sources]:
            raise PanelError(f"--out would replace {written.name}, which is read", where=str(written))
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if not parent.is_dir() or out.is_dir():
        raise PanelError(f"--out {out} lies in no folder, or is one", where=str(out if out.is_dir() else parent))


def _drawn(share: float, level: str) -> list[str]:
    return [f"sums of {level} are drawn {share:.0%} of the way to the seasonal naive, better before"] if share else []


def _notes(scores: list[LevelScore], ahead: bool) -> list[str]:
    found = []
    if not ahead:
        found.append("no targets are known after the forecast's start: scored on the last window of the history")
    if all(math.isnan(score.rmsse) for score in scores):
        found.append("no series ever changes: there is nothing to measure errors by")
    for score in scores:
        if score.rmsse > min(score.seasonal_naive, score.recent_mean):
            found.append(f"a baseline was better at level {score.level}")
    return found
