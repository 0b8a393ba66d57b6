"""Proof before promotion: a time-split backtest against two baselines on the same rows, overall and per segment.

The model that is proven has seen nothing of the proving window, nor of the calibration window before it that its
intervals come from. The final model is then trained on everything, with intervals from both windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.core import accuracy
from retail_assets.core.errors import RetailError
from retail_assets.forecasting.config import ForecastingConfig, ReportConfig, quantile_name
from retail_assets.forecasting.encoding import WEEKDAY_MEANS
from retail_assets.forecasting.frames import Gold, crossed, sampled
from retail_assets.forecasting.model import DemandForecaster

FORECASTS = ("mean", "seasonal_naive", "weekday_mean")
SEGMENTS = ("department", "country", "store", "volume", "promotion", "week")
PROOF_PREFIX = "proof_"  # of the files of the model that was proven, stored beside those of the final one


class ShortHistory(RetailError):
    """There are not enough days to train, to calibrate and to prove a forecast."""


@dataclass(frozen=True)
class Windows:
    """Origins of the calibration window and of the proving window, each `days` long; `newest` ends the second."""

    calibrate: date
    prove: date
    newest: date
    days: int


@dataclass(frozen=True)
class Training:
    """The final model and its proof: `proof` has one row per series and day of the proving window.

    `past` is the model that was proven, without intervals; a refresh of this training is proven from it.
    """

    forecaster: DemandForecaster
    past: DemandForecaster
    proof: pd.DataFrame
    metrics: dict[str, float]
    windows: Windows
    rows: int
    train_from: date

    def files(self) -> dict[str, bytes]:
        """What the model store keeps of a full training, name to content: the final model and the one proven."""
        proven = {PROOF_PREFIX + name: content for name, content in self.past.files().items()}
        return self.forecaster.files() | proven


class Fit(Protocol):
    """What learns in `train`: the model of the days up to `until`, and how many examples it has learnt from."""

    def __call__(
        self, gold: Gold, origins: pa.Table, until: date, names: list[str], config: ForecastingConfig
    ) -> tuple[DemandForecaster, int]: ...


def plan_windows(first_origin: date, newest: date, config: ForecastingConfig) -> Windows:
    """Two windows before `newest`, as long as configured or as history allows.

    At least as many days of origins as a window is long stay before them for training. Raises ShortHistory when not
    even the shortest windows fit.
    """
    days = min(config.backtest.window_days, config.horizon, (newest - first_origin).days // 3)
    if days < config.backtest.shortest_window_days:
        raise ShortHistory(
            f"features begin on {first_origin} and end on {newest}: too short to prove a forecast",
            where="gold/feat_store_product_daily",
            todo=f"load at least {config.training.warmup_days + 3 * config.backtest.shortest_window_days + 1} days",
        )
    prove = newest - timedelta(days=days)
    return Windows(calibrate=prove - timedelta(days=days), prove=prove, newest=newest, days=days)


def origin_days(first_day: date, newest: date, config: ForecastingConfig) -> list[date]:
    """The days whose features `train` needs: the training origins, and the days around both windows' origins.

    `first_day` is the oldest day with features. Training origins lie `origin_every` days apart, counted back from
    `newest`, after the warm-up.
    """
    first = max(first_day + timedelta(days=config.training.warmup_days), newest - timedelta(days=config.training.days))
    days = {newest - timedelta(days=back) for back in range(0, (newest - first).days + 1, config.training.origin_every)}
    windows = plan_windows(first, newest, config)
    for origin in (windows.calibrate, windows.prove, windows.newest):
        days |= {origin - timedelta(days=back) for back in range(config.series.origin_days)}
    return sorted(days)


def train(
    gold: Gold, features: pa.Table, names: list[str], config: ForecastingConfig, fit: Fit | None = None
) -> Training:
    """Trains, calibrates and proves on `features`: the rows of `origin_days` with the feature columns `names`.

    `fit` learns instead of a training from scratch.
    """
    learn = fit or _fit
    origins = _training_origins(features, gold.until, config)
    first = pc.min(origins["business_date"]).as_py()
    windows = plan_windows(first, gold.until, config)
    features = _around(features, (windows.calibrate, windows.prove), config)  # the rest is memory from here on
    past, _ = learn(gold, origins, windows.calibrate, names, config)
    calibration = _window(gold, features, windows.calibrate, windows.days, config)
    proof = _window(gold, features, windows.prove, windows.days, config)
    calibration_mean, proof_mean = (past.mean(frame, config.threads) for frame in (calibration, proof))
    proven = past.calibrated(calibration, calibration_mean, config.intervals)
    scored = pd.concat([proof, proven.predict(proof, config.threads)], axis=1)
    scored = with_segments(scored[scored["units"].notna()], config.report)
    final, rows = learn(gold, origins, windows.newest, names, config)
    seen_by_none = pd.concat([calibration, proof], ignore_index=True)
    final = final.calibrated(seen_by_none, np.concatenate([calibration_mean, proof_mean]), config.intervals)
    return Training(final, past, scored, metrics(scored, config), windows, rows, first)


def _training_origins(features: pa.Table, newest: date, config: ForecastingConfig) -> pa.Table:
    age = (np.datetime64(newest, "D") - features["business_date"].to_numpy().astype("datetime64[D]")).astype(int)
    return features.filter(pa.array(age % config.training.origin_every == 0))


def _around(features: pa.Table, origins: Sequence[date], config: ForecastingConfig) -> pa.Table:
    """The rows from which series are forecast at one of `origins`."""
    days = {origin - timedelta(days=back) for origin in origins for back in range(config.series.origin_days)}
    return features.filter(pc.is_in(features["business_date"], value_set=pa.array(sorted(days), pa.date32())))


def _fit(
    gold: Gold, origins: pa.Table, until: date, names: list[str], config: ForecastingConfig
) -> tuple[DemandForecaster, int]:
    """Learns from whatever was active at each origin: choosing series by what they did later would teach too much."""
    rows = sampled(origins, config.horizon, until, config.training.rows, config.seed)
    gold.learn_baseline(until, config.reach)
    examples = gold.examples(rows)
    return DemandForecaster.fit(examples, names, config), int(examples["units"].notna().sum())


def _window(gold: Gold, features: pa.Table, origin: date, days: int, config: ForecastingConfig) -> pd.DataFrame:
    gold.learn_baseline(origin, config.reach)
    return gold.examples(crossed(gold.at_origin(features, origin, config.series), days, origin))


def with_segments(proof: pd.DataFrame, config: ReportConfig) -> pd.DataFrame:
    """`proof` with the weekday-mean baseline and one text column per name in SEGMENTS."""
    weekdays = proof[list(WEEKDAY_MEANS)].to_numpy(float)
    own = weekdays[np.arange(len(proof)), proof["target_weekday"].to_numpy(int) - 1]
    fallback = proof["units_mean_28"].fillna(0.0).to_numpy(float)
    bounds = config.volume_bands
    names = [f"below {bounds[0]:g}", *(f"{a:g} to {b:g}" for a, b in zip(bounds, bounds[1:], strict=False))]
    bands = np.array([*names, f"{bounds[-1]:g} and more"])
    return proof.assign(
        weekday_mean=np.where(np.isnan(own), fallback, own),
        department=proof["department"].fillna("unknown"),
        country=proof["country"].fillna("unknown"),
        store=proof["store_id"],
        volume=bands[np.digitize(fallback, bounds)],
        promotion=np.where(proof["is_promoted"] | (proof["planned_discount"] > 0), "promoted", "regular"),
        week=(np.minimum((proof["horizon"] - 1) // 7, 3) + 1).astype(str),
    )


def scores(proof: pd.DataFrame, config: ForecastingConfig) -> dict[str, float]:
    """Every metric of one set of rows (columns of `with_segments`); NaN where it cannot be computed.

    `coverage_90` is that of counts (`accuracy.coverage_of_counts`), `coverage_90_closed` counts both ends as inside.
    Standard errors (`..._error`) count a series as one observation, of few series a week of one (`accuracy.clusters`).
    """
    units = proof["units"].to_numpy(float)
    made = {name: proof[name].to_numpy(float) for name in FORECASTS}
    levels = np.array(config.intervals.levels)
    quantiles = proof[[quantile_name(level) for level in levels]].to_numpy(float)
    low, high = quantiles[:, 0], quantiles[:, -1]
    found = {"rows": float(len(units)), "units": float(units.sum())}
    for name, forecast in made.items():
        suffix = "" if name == "mean" else f"_{name}"
        found[f"wape{suffix}"] = accuracy.wape(units, forecast)
        found[f"rmse{suffix}"] = accuracy.rmse(units, forecast)
        found[f"bias{suffix}"] = accuracy.bias(units, forecast)
    better = min(FORECASTS[1:], key=lambda name: found[f"rmse_{name}"])
    closer = min(FORECASTS[1:], key=lambda name: found[f"wape_{name}"])
    series = np.asarray(proof.groupby(["store_id", "sku"], sort=False).ngroup(), dtype=np.int64)
    unit = accuracy.clusters(series, (proof["horizon"].to_numpy(np.int64) - 1) // 7)
    covered = ((units >= low) & (units <= high)).astype(float)
    return found | {
        "harm": accuracy.harm(units, made["mean"], made[better], unit),
        "rmse_ratio_error": accuracy.rmse_ratio_error(units, made["mean"], made[better], unit),
        "wape_ratio_error": accuracy.wape_ratio_error(units, proof["q50"].to_numpy(float), made[closer], unit),
        "wape_baseline": min(found["wape_seasonal_naive"], found["wape_weekday_mean"]),
        "rmse_baseline": min(found["rmse_seasonal_naive"], found["rmse_weekday_mean"]),
        "wape_median": accuracy.wape(units, proof["q50"].to_numpy(float)),
        "absolute_bias": abs(found["bias"]),
        "absolute_bias_error": accuracy.ratio_error(made["mean"], units, unit),
        "scaled_rmse": accuracy.scaled_rmse(units, made["mean"], made["seasonal_naive"]),
        "pinball": accuracy.pinball(units, quantiles, levels),
        "coverage_90": accuracy.coverage_of_counts(units, low, high, made["mean"], float(levels[-1] - levels[0])),
        "coverage_90_closed": accuracy.coverage(units, low, high),
        "coverage_90_error": accuracy.ratio_error(covered, np.ones(len(units)), unit),
        "calibration_gap": accuracy.calibration_gap(units, quantiles, levels),
        "calibration_gap_error": accuracy.calibration_gap_error(units, quantiles, levels, unit),
    }


def by_segment(proof: pd.DataFrame, config: ForecastingConfig) -> pd.DataFrame:
    """One row of `scores` per segment and value, in the order of SEGMENTS, larger values first."""
    rows = [
        {"segment": segment, "value": str(value), **scores(part, config)}
        for segment in SEGMENTS
        for value, part in proof.groupby(segment, sort=True)
    ]
    order = {segment: place for place, segment in enumerate(SEGMENTS)}
    table = pd.DataFrame(rows)
    return table.sort_values(
        ["segment", "rows"], key=lambda c: c.map(order) if c.name == "segment" else -c, kind="stable"
    )


def metrics(proof: pd.DataFrame, config: ForecastingConfig) -> dict[str, float]:
    """What the manifest records and the gates read: overall scores, and the comparison with baselines per segment.

    `rmse_ratio/...` is of the mean and `wape_ratio/...` of the median to the better baseline (each point forecast is
    held to the error that it minimises), `rmse_ratio_error/...` and `wape_ratio_error/...` their standard errors,
    series by series; `harm/...` says whether the mean's loss is beyond chance: for `all` and for every `segment=value`
    of size in which something was sold.
    """
    found, table = scores(proof, config), by_segment(proof, config)
    large = table[(table["rows"] >= config.report.gated_rows) & (table["units"] > 0)]
    rows = pd.concat([pd.DataFrame([found]), large], ignore_index=True)
    compared = pd.DataFrame(
        {
            "rmse_ratio": rows["rmse"] / rows["rmse_baseline"],
            "wape_ratio": rows["wape_median"] / rows["wape_baseline"],
            **{name: rows[name] for name in ("rmse_ratio_error", "wape_ratio_error", "harm")},
        }
    )
    names = ["all", *(large["segment"] + "=" + large["value"])]
    pairs = [(f"{score}/{name}", score, place) for score in compared for place, name in enumerate(names)]
    return found | {key: float(compared[score].iloc[place]) for key, score, place in pairs}
