"""`retail backtest pricing`: elasticities of anybody's history with their intervals, proven on rows held back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict

from retail_assets.core.own_columns import own_columns, told
from retail_assets.pricing.backtest import history_model as models
from retail_assets.pricing.backtest.backtest_tables import (
    FIGURES,
    ITEM,
    NONE,
    OTHERS,
    OWN,
    CovariateEffect,
    ItemElasticity,
    SeriesElasticity,
    beside_keys,
    covariate_table,
    cross_table,
    item_table,
    rows_of,
    series_table,
)
from retail_assets.pricing.backtest.history import Columns, History, HistoryError, moment, read_history
from retail_assets.pricing.backtest.history_model import Learnt
from retail_assets.pricing.backtest.movement import NEEDED
from retail_assets.pricing.response.evaluation import poisson_deviance

Floats = npt.NDArray[np.float64]
Progress = Callable[[str], None]

HELD_BACK = 0.15
LEAST_PERIODS = 8
CONTENDERS: dict[str, Callable[[History], Learnt]] = {
    "no_response": models.no_response,
    "pooled_ols": models.pooled_ols,
    "series_ols": models.series_ols,
    "shrunken_log": lambda history: models.shrunken(history, "log"),
    "shrunken_count": lambda history: models.shrunken(history, "count"),
}
FAMILIES = {"shrunken_log": "log", "shrunken_count": "count"}
MODELS = tuple(FAMILIES)
WITH_OTHERS = "with_others"
STEPS = len(CONTENDERS) + 4
MOST_SHOWN = 40


class Score(BaseModel):
    """Errors on held-back rows: Poisson deviance per unit, absolute error per unit, mean absolute share; low is good.

    `mape` leaves rows without a unit out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    deviance: float
    wape: float
    mape: float


class Backtest(BaseModel):
    """What a backtest found. `scores` are of the rows after `--train-until`, without it of the last 15 % of periods.
    `kept` is the model with the lower deviance on the last periods of training, `beaten_by` the baselines that were
    better than it on the scored rows; `notices` say what columns of the files are called, `notes` what is
    particular about the history. Forecasts are those of `kept`, or of `with_others` (the same, with the prices of
    the other items in the same place) where that was better there. `items` are the items' average series, `own` the
    series themselves where they are few enough to be shown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    series: int
    periods: int
    kept: str
    forecast_by: str
    scores: dict[str, Score]
    scored_rows: int
    scored_after: str
    beaten_by: list[str]
    items: list[ItemElasticity]
    own: list[SeriesElasticity]
    covariates: list[CovariateEffect]
    notices: list[str]
    notes: list[str]
    files: list[str]


def backtest(
    path: Path,
    columns: Columns,
    out: Path,
    train_until: str | None,
    ceiling: float,
    progress: Progress,
    tell: Callable[[str], None] = lambda notice: None,
) -> Backtest:
    """Reads `path`, learns, scores, and writes `out` and its neighbours; raises HistoryError for unusable input.

    `tell` is told each notice before the work begins.
    """
    if out.suffix.lower() not in (".parquet", ".csv"):
        raise HistoryError(f"--out {out.name} is neither .parquet nor .csv", where=str(out))
    progress(f"reading {path.name}")
    history = read_history(path, columns)
    called = own_columns(FIGURES, [*columns.series, columns.time])
    for notice in told(called):
        tell(notice)
    progress("holding the newest rows back")
    train, test = _split(history, path, train_until)
    inner, check = _last(train, path) if train_until else (train, test)
    trial = {name: _score(CONTENDERS[name](inner), check) for name in MODELS}
    kept = min(MODELS, key=lambda name: trial[name].deviance)
    scores = {}
    for name, fit in CONTENDERS.items():
        progress(f"scoring {name}")
        scores[name] = _score(fit(train), test)
    progress("adding the prices of others")
    others = _with_others(history, columns, path, train_until, kept)
    forecast_by = kept
    if others is not None:
        scores[WITH_OTHERS] = others.score
        forecast_by = WITH_OTHERS if others.trial.deviance < trial[kept].deviance else kept
    learnt_from = train if train_until else history
    progress(f"learning from {len(learnt_from.units):,} rows")
    final = CONTENDERS[kept](learnt_from)
    series = series_table(final, learnt_from, ceiling)
    items = item_table(final, learnt_from, series, ceiling)
    items = items if others is None else items.assign(**others.items)
    covariates = covariate_table(final, learnt_from)
    files = [_write(beside_keys(history.keys, series, called), out)]
    if columns.item_key is not None:
        key = pd.DataFrame({columns.item_key: items["item"]})
        files.append(_write(beside_keys(key, items.drop(columns="item"), called), _beside(out, "items")))
    if train_until:
        forecast = final.forecast(test) if others is None or forecast_by == kept else others.forecast
        files.append(_write(_forecast_table(test, forecast, columns, called), _beside(out, "forecasts")))
    if columns.covariates:
        key = pd.DataFrame({columns.item_key or columns.series[0]: covariates["of"]})
        files.append(_write(beside_keys(key, covariates.drop(columns="of"), called), _beside(out, "covariates")))
    return Backtest(
        rows=len(history.units),
        series=len(history.keys),
        periods=int(history.period.max()) + 1,
        kept=kept,
        forecast_by=forecast_by,
        scores=scores,
        scored_rows=len(test.units),
        scored_after=history.shown(train.time.max()),
        beaten_by=[n for n in CONTENDERS if n not in MODELS and scores[n].deviance < scores[kept].deviance],
        items=_items(items) if columns.item_key is not None else [],
        own=_series(series, history.keys) if len(series) <= MOST_SHOWN else [],
        covariates=[CovariateEffect.model_validate(row) for row in rows_of(covariates.astype({"of": str}))],
        notices=told(called),
        notes=_notes(learnt_from, series, ceiling),
        files=files,
    )


@dataclass(frozen=True)
class _WithOthers:
    """The kept model with the prices of others: errors on the last periods of training (`trial`) and on the scored
    rows, forecasts of these, and each item's cross-elasticity with its 95 % interval as columns.
    """

    trial: Score
    score: Score
    forecast: Floats
    items: dict[str, Floats]


def _with_others(
    history: History, columns: Columns, path: Path, train_until: str | None, kept: str
) -> _WithOthers | None:
    """None where no item has others in its place."""
    wide = models.with_others(history, columns.item_key)
    if wide is None:
        return None
    train, test = _split(wide, path, train_until)
    inner, check = _last(train, path) if train_until else (train, test)
    learnt = models.shrunken(train, FAMILIES[kept])
    found = learnt if train_until else models.shrunken(wide, FAMILIES[kept])
    trial = _score(CONTENDERS[kept](inner), check)
    return _WithOthers(trial, _score(learnt, test), learnt.forecast(test), cross_table(found, wide))


def _split(history: History, path: Path, train_until: str | None) -> tuple[History, History]:
    if train_until is None:
        return _last(history, path)
    late = (history.time > moment(train_until, history, path)).to_numpy()
    return history.where(~late), history.where(late)


def _last(history: History, path: Path) -> tuple[History, History]:
    """Everything but the last 15 % of the periods, and those."""
    periods = np.unique(history.period)
    if len(periods) < LEAST_PERIODS:
        raise HistoryError(
            f"{len(periods)} different times are too few to learn from and to hold some back: at least {LEAST_PERIODS}",
            where=str(path),
        )
    late = history.period > periods[-1 - max(1, round(HELD_BACK * len(periods)))]
    return history.where(~late), history.where(late)


def _score(learnt: Learnt, test: History) -> Score:
    forecast = learnt.forecast(test)
    known = np.isfinite(forecast)
    units, forecast = test.units[known], forecast[known]
    if not units.sum():
        raise HistoryError("no series has sold both before and after the split: nothing can be scored")
    error, sold = np.abs(units - forecast), units > 0
    return Score(
        deviance=poisson_deviance(units, forecast) / units.sum(),
        wape=error.sum() / units.sum(),
        mape=float(np.mean(error[sold] / units[sold])),
    )


def _items(table: pd.DataFrame) -> list[ItemElasticity]:
    return [ItemElasticity.model_validate(row) for row in rows_of(table.assign(item=table["item"].astype(str)))]


def _series(table: pd.DataFrame, keys: pd.DataFrame) -> list[SeriesElasticity]:
    named = table.assign(series=[", ".join(map(str, row)) for row in keys.itertuples(index=False, name=None)])
    return [SeriesElasticity.model_validate(row) for row in rows_of(named)]


def _forecast_table(test: History, forecast: Floats, columns: Columns, names: Mapping[str, str]) -> pd.DataFrame:
    rows = test.keys.iloc[test.series].reset_index(drop=True)
    rows[columns.time] = test.written().to_numpy()
    return beside_keys(rows, pd.DataFrame({"units": test.units, "forecast": forecast}), names)


def _notes(history: History, series: pd.DataFrame, ceiling: float) -> list[str]:
    count, sold = len(history.keys), np.bincount(history.series, history.units, len(history.keys)) > 0
    source, cut_off = series["source"].to_numpy(), series["cut_off"].to_numpy()
    if (source == NONE).all():
        return [f"no price ever moved {NEEDED}: nothing can be learnt of prices, every elasticity is left empty"]
    which = "the other series have" if len(history.items) == 1 else "their item has"
    facts = [
        (~sold, f"sold nothing in training: they get the elasticity that {which}, no forecast"),
        (sold & (source == ITEM), f"never changed their price {NEEDED}: they get the elasticity that {which}"),
        (sold & (source == OTHERS), f"are of items whose price never changed {NEEDED}: they get what others have"),
        (
            (source == OWN) & sold & cut_off,
            f"seem to sell no less at a higher price: cut off at {ceiling}, their interval goes to where the data's"
            " does; find what else moves sales",
        ),
    ]
    return [f"{int(rows.sum())} of {count} series {text}" for rows, text in facts if rows.any()]


def _beside(out: Path, name: str) -> Path:
    return out.with_name(f"{out.stem}_{name}{out.suffix}")


def _write(table: pd.DataFrame, path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    csv = path.suffix.lower() == ".csv"
    # Not by its name: pandas takes some for a user's home or an address.
    path.write_bytes(table.to_csv(index=False).encode() if csv else table.to_parquet(index=False))
    return str(path)
