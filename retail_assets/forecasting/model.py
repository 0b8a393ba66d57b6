"""The demand model: one LightGBM over all store-SKU series, the horizon a feature, intervals by conformal calibration.

The trees learn a factor on a simple forecast of each series, so that a slow and a fast seller share what they have in
common: the baseline (see baseline.py), or its recent level times the strength of the weekday where there is none. Fit
and predict on data frames; no Dagster.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from retail_assets.core.intervals import QuantileTable
from retail_assets.forecasting import tree_text
from retail_assets.forecasting.baseline.baseline import COLUMNS as BASELINE
from retail_assets.forecasting.config import ForecastingConfig, IntervalConfig, quantile_name
from retail_assets.forecasting.context import CALENDAR_COLUMNS, ForecastContext
from retail_assets.forecasting.encoding import (
    WEEKDAY_MEANS,
    Encoder,
    Floats,
    ForecasterSpec,
    ForecastModelError,
    categories_of,
    interval_group,
)
from retail_assets.forecasting.soundness import refuse_unsound
from retail_assets.resources.openmp import sleep_while_waiting

if TYPE_CHECKING:
    from lightgbm import Booster

MODEL_FILE = "model_mean.txt"
SPEC_FILE = "spec.json"
FACTOR_ROWS, FACTOR_QUANTILE = 50_000, 0.999  # beyond what training saw, trees only extrapolate
FEWEST_SERIES, FEWEST_DAYS = 20, 16


class DemandForecaster:
    """A trained forecaster: `predict` gives mean and quantiles per row, in units a day."""

    def __init__(self, booster: "Booster", spec: ForecasterSpec) -> None:
        self.booster = booster
        self.spec = spec
        self._encoder = Encoder(spec)

    @classmethod
    def fit(cls, examples: pd.DataFrame, features: list[str], config: ForecastingConfig) -> Self:
        """Learns the mean from `examples` (columns of frames.Gold.examples; rows without known demand are left out).

        Where the examples have a baseline the trees learn a factor on it, and from days that sold out as well.
        `features` are the origin's feature columns. Same rows in the same order give the same bytes. Intervals come
        from `calibrated`. Raises ForecastModelError when no row has known demand or a column is missing.
        """
        lightgbm = _lightgbm()
        target = "demand" if "demand" in examples else "units"
        known = examples[examples[target].notna()]
        if known.empty:
            raise ForecastModelError("there is no example with known demand to learn from")
        used = [name for name in features if name not in {*WEEKDAY_MEANS, *config.exclude_features}]
        categories = categories_of(known, config.max_categories)
        spec = ForecasterSpec(horizon=config.horizon, features=used, categories=categories, largest_factor=1.0,
                              on_baseline="baseline" in known)  # fmt: skip
        matrix, expected = Encoder(spec).matrix(known)
        parameters = _parameters(config, known)
        data = lightgbm.Dataset(
            matrix,
            label=known[target].to_numpy(float).clip(min=0.0),
            init_score=np.log(expected),
            feature_name=spec.columns,
            categorical_feature=list(categories),
            params=parameters,
        )
        booster = lightgbm.train(parameters, data, num_boost_round=config.lightgbm.num_iterations)
        some = matrix[:: max(len(matrix) // FACTOR_ROWS, 1)]
        raw = np.asarray(booster.predict(some, raw_score=True, num_threads=config.threads), float)
        largest = float(np.exp(np.quantile(raw, FACTOR_QUANTILE)))
        return cls(booster, spec.model_copy(update={"largest_factor": largest}))

    def calibrated(self, examples: pd.DataFrame, mean: Floats, config: IntervalConfig) -> Self:
        """The same forecaster with intervals learnt from `examples` whose `mean` was forecast without seeing them."""
        known = examples["units"].notna().to_numpy()
        table = QuantileTable.fit(
            examples["units"].to_numpy(float)[known],
            mean[known],
            interval_group(examples)[known],
            config.levels,
            bands=config.bands,
            rows_per_band=config.rows_per_band,
            counts=True,
        )
        return type(self)(self.booster, self.spec.model_copy(update={"intervals": table}))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads the folder of a stored model, its text before LightGBM does (tree_text.py).

        Raises ForecastModelError when it does not hold a forecaster, or one that could not answer with sound numbers.
        """
        lightgbm = _lightgbm()
        try:
            spec = ForecasterSpec.model_validate_json((path / SPEC_FILE).read_bytes())
            content = (path / MODEL_FILE).read_bytes()
            refuse_unsound(spec, tree_text.check(content, MODEL_FILE))
            booster = lightgbm.Booster(model_str=content.decode())
        except ForecastModelError as error:
            raise ForecastModelError(error.what, where=str(path), todo=error.todo) from error
        except (OSError, ValueError, lightgbm.basic.LightGBMError) as error:  # pydantic's errors are ValueErrors
            raise ForecastModelError(f"this folder holds no forecaster: {error}", where=str(path)) from error
        return cls(booster, spec)

    def files(self) -> dict[str, bytes]:
        """What `load` reads, name to content; the same model gives the same bytes."""
        return {
            MODEL_FILE: self.booster.model_to_string().encode(),
            SPEC_FILE: self.spec.model_dump_json(indent=1).encode(),
        }

    def mean(self, frame: pd.DataFrame, threads: int = 1) -> Floats:
        """Expected units per row of `frame`, zero or more."""
        matrix, expected = self._encoder.matrix(frame)
        raw = np.asarray(self.booster.predict(matrix, raw_score=True, num_threads=threads), float)
        return expected * np.minimum(np.exp(raw), self.spec.largest_factor)

    def predict(self, frame: pd.DataFrame, threads: int = 1) -> pd.DataFrame:
        """`mean` and one column per quantile level (`q05` ...), in the order and with the index of `frame`.

        Raises ForecastModelError for a missing column, or when the forecaster was never calibrated.
        """
        if self.spec.intervals is None:
            raise ForecastModelError("this forecaster has no intervals", todo="calibrate it before it is used")
        mean = self.mean(frame, threads)
        quantiles = self.spec.intervals.quantiles(mean, interval_group(frame))
        names = [quantile_name(level) for level in self.spec.intervals.levels]
        return pd.DataFrame(np.column_stack([mean, quantiles]), columns=["mean", *names], index=frame.index)


def request_frame(
    store_id: str,
    sku: str,
    features: Mapping[str, float | int | str | None],
    context: ForecastContext,
    origin: date,
    horizon: int,
    baseline: Mapping[date, Sequence[float]] | None = None,
) -> pd.DataFrame:
    """The frame of one store-SKU for the `horizon` days after `origin`, for `DemandForecaster.predict`.

    `features` are the values of the demand_forecast feature service, `origin` the business day they are of, and
    `baseline` the recorded baseline.COLUMNS by day, where there are any. The frame has a `target_date` column. Raises
    ForecastContextError for a store or SKU that gold does not know.
    """
    country, product = context.store(store_id).country, context.product(sku)
    targets = [origin + timedelta(days=ahead) for ahead in range(1, horizon + 1)]
    calendar = context.calendar_rows(country, targets[0], horizon)
    ahead = dict(zip(CALENDAR_COLUMNS, calendar.T, strict=True)) | {
        "horizon": np.arange(1, horizon + 1),
        "target_weekday": np.array([day.isoweekday() for day in targets]),
        "planned_discount": context.planned_discount(country, sku, origin, targets),
        "target_date": targets,
    }
    unknown = (np.nan,) * len(BASELINE)
    recorded = np.array([(baseline or {}).get(day, unknown) for day in targets], dtype=float).reshape(horizon, -1)
    names = {"store_id": store_id, "sku": sku, "category": product.category, "department": product.department}
    numbers = {name: np.nan if value is None else value for name, value in features.items() if name not in names}
    ahead |= dict(zip(BASELINE, recorded.T, strict=True))
    return pd.DataFrame({**numbers, **names, **ahead}, index=range(horizon))


def recorded_baseline(rows: Iterable[Mapping[Any, Any]]) -> dict[date, tuple[float, ...]]:
    """`baseline` of request_frame from rows of gold/forecasts; empty for rows from before there was one."""
    found = {}
    for row in rows:
        values = tuple(np.nan if row.get(name) is None else float(row[name]) for name in BASELINE)
        day = row["target_date"]
        found[day.date() if isinstance(day, datetime) else day] = values
    return found


def _lightgbm() -> ModuleType:
    sleep_while_waiting()
    import lightgbm

    return lightgbm


def variance_power(known: pd.DataFrame) -> float:
    """The power by which the variance of a series' days grows with their mean, for Tweedie's deviance (Taylor's law).

    About 1 where shoppers buy by the piece, near 2 where a few customers order in bulk: there the errors of large
    orders must weigh less. Read across the series of `known` (store_id, sku, units) within 1.05 to 1.9; 1.5, LightGBM's
    own default, where fewer than FEWEST_SERIES series say anything.
    """
    series = known.groupby(["store_id", "sku"])["units"].agg(["mean", "var", "count"])
    telling = series[(series["mean"] > 0) & (series["var"] > 0) & (series["count"] >= FEWEST_DAYS)]
    if len(telling) < FEWEST_SERIES:
        return 1.5
    slope = np.polyfit(np.log(telling["mean"]), np.log(telling["var"]), 1)[0]
    return round(float(np.clip(slope, 1.05, 1.9)), 2)


def _parameters(config: ForecastingConfig, known: pd.DataFrame) -> dict[str, Any]:
    power = config.lightgbm.tweedie_variance_power or variance_power(known)
    return config.lightgbm.model_dump(exclude={"num_iterations"}) | {
        "tweedie_variance_power": power,
        "seed": config.seed,
        "num_threads": config.threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
