"""What age costs a forecast, series by series, whether drift velocity finds the series that pay, and what a warm start
gives back. Run: RETAIL_HOME=.retail python benchmarks/forecast_ageing.py [--windows 3]

Two ages. Of the forecast: days 22 to 28 ahead against the same days forecast 1 to 7 ahead. Of the model: one that has
not seen the last 28 days against one that has, both with fresh features. Ratios are of RMSE over all series of a tier;
the velocity is measured on the 28 days before.
"""

import argparse
import json
from datetime import date, timedelta
from time import process_time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.features.store import FeatureStore
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.evaluation import _fit, _training_origins, _window
from retail_assets.forecasting.frames import Gold, sampled
from retail_assets.forecasting.model import DemandForecaster
from retail_assets.forecasting.tiers.tiers import KEYS, drift_velocity
from retail_assets.forecasting.tiers.warm_start import refreshed
from retail_assets.forecasting.training import SERVICE, feature_span, features_of
from retail_assets.resources.environments import current
from retail_assets.resources.lake import Lake

DAYS, LATE = 28, 21
KEEPS = (0.9, 0.7, 0.5, 0.3)


def main() -> None:
    """Prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--rows", type=int, default=200_000)
    asked = parser.parse_args()
    home = current().home
    lake = Lake.at(home.lake)
    store, shipped = FeatureStore.at(home, lake), ForecastingConfig.load()
    config = shipped.model_copy(update={"training": shipped.training.model_copy(update={"rows": asked.rows})})
    span = feature_span(lake)
    assert span is not None
    ends = [span[1] - timedelta(days=DAYS * back) for back in range(1, asked.windows + 2)]
    features = features_of(store, _days(span, ends, config), None, config)
    gold = Gold(lake, span[1])
    origins, names = _training_origins(features, span[1], config), store.features(SERVICE)
    models, seconds = {}, {}
    for end in ends:
        begun = process_time()
        models[end] = _fit(gold, origins, end, names, config)[0]
        seconds[f"full training until {end}"] = round(process_time() - begun, 1)
    parts = []
    for start in ends[:-1]:
        aged, before = models[start - timedelta(days=DAYS)], start - timedelta(days=DAYS)
        frame, past = (_window(gold, features, day, DAYS, config) for day in (start, before))
        later = _window(gold, features, start + timedelta(days=LATE), DAYS - LATE, config)
        rows = pd.DataFrame({"velocity": drift_velocity(past.assign(mean=aged.mean(past, config.threads)))})
        rows["fresh"], rows["aged"] = _errors(frame, models[start], config), _errors(frame, aged, config)
        rows["late"] = _errors(frame[frame["horizon"] > LATE], aged, config)
        rows["soon"] = _errors(later, aged, config)
        begun = process_time()
        gold.learn_baseline(start, config.reach)
        recent = gold.examples(sampled(_recent(origins, start), config.horizon, start, asked.rows // 4, config.seed))
        for keep in KEEPS:
            rows[f"keep {keep}"] = _errors(frame, refreshed(aged, recent, config, keep), config)
        seconds[f"refresh on {start}"] = round((process_time() - begun) / len(KEEPS), 1)
        parts.append(rows.reset_index().assign(window=start))
    print(json.dumps({"core_seconds": seconds, **_lost(pd.concat(parts, ignore_index=True))}, indent=1))


def _days(span: tuple[date, date], ends: list[date], config: ForecastingConfig) -> list[date]:
    first = max(span[0] + timedelta(days=config.training.warmup_days), span[1] - timedelta(days=config.training.days))
    days = {span[1] - timedelta(days=n) for n in range(0, (span[1] - first).days + 1, config.training.origin_every)}
    for end in ends:
        for origin in (end, end + timedelta(days=LATE)):
            days |= {origin - timedelta(days=back) for back in range(config.series.origin_days)}
    return sorted(days)


def _recent(origins: pa.Table, start: date) -> pa.Table:
    first = pa.scalar(start - timedelta(days=3 * DAYS), pa.date32())
    return origins.filter(pc.greater_equal(origins["business_date"], first))


def _errors(frame: pd.DataFrame, model: DemandForecaster, config: ForecastingConfig) -> pd.Series:
    """Sum of squared errors per series."""
    error = (frame["units"] - model.mean(frame, config.threads)) ** 2
    return error.groupby([frame[name] for name in KEYS], sort=True).sum()


def _lost(table: pd.DataFrame) -> dict[str, object]:
    table = table.dropna()
    tiers = {
        "all": table,
        "slow (below 1.5)": table[table["velocity"] < 1.5],
        "middle": table[table["velocity"].between(1.5, 2.0, inclusive="left")],
        "fast (2 and more)": table[table["velocity"] >= 2.0],
    }
    return {
        name: {
            "series": len(rows),
            "forecast of 22-28 days against 1-7 days ahead": _ratio(rows, "late", "soon"),
            "model aged 28 days against fresh": _ratio(rows, "aged", "fresh"),
            **{
                f"aged, refreshed, {keep:g} kept, against fresh": _ratio(rows, f"keep {keep}", "fresh")
                for keep in KEEPS
            },
        }
        for name, rows in tiers.items()
    }


def _ratio(rows: pd.DataFrame, name: str, other: str) -> float:
    return round(float(np.sqrt(rows[name].sum() / rows[other].sum())), 4)


if __name__ == "__main__":
    main()
