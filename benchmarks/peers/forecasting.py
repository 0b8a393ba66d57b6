"""mlforecast + LightGBM and statsforecast AutoETS on a panel that the forecast benchmarks hand over.

    python benchmarks/peers/forecasting.py rows.parquet statics.parquet out.parquet PEER HORIZON FREQ SEASON

Run with a Python that has mlforecast, statsforecast, lightgbm and pyarrow, not with ours. `rows` holds unique_id, ds, y
from each series' first sale on; `statics` unique_id and attributes. Writes unique_id, ds, mean and prints the seconds
of fit and predict, CPU seconds and peak memory as one JSON line.
"""

import json
import resource
import sys
import time

import pandas as pd


def mlforecast(rows: pd.DataFrame, statics: pd.DataFrame, horizon: int, freq: str) -> pd.DataFrame:
    """Recursive LightGBM (tweedie, 400 trees) on lags 1, 7, 14, 21, 28 and their rolling means over 7 and 28 days."""
    import lightgbm
    from mlforecast import MLForecast
    from mlforecast.lag_transforms import RollingMean

    names = [name for name in statics if name != "unique_id"]
    frame = rows.merge(statics.astype(dict.fromkeys(names, "category")), on="unique_id")
    lags = [1, 7, 14, 21, 28]
    model = lightgbm.LGBMRegressor(objective="tweedie", n_estimators=400, verbosity=-1, num_threads=2)
    forecaster = MLForecast(
        models={"mean": model},
        freq=freq,
        lags=lags,
        lag_transforms={lag: [RollingMean(7), RollingMean(28)] for lag in lags},
        date_features=["dayofweek", "day", "month"],
        num_threads=2,
    )
    forecaster.fit(frame, static_features=names)
    return forecaster.predict(horizon)


def mlforecast_default(rows: pd.DataFrame, horizon: int, freq: str) -> pd.DataFrame:
    """mlforecast as its quick start has it: LightGBM with its own settings on a few lags, means and the weekday."""
    import lightgbm
    from mlforecast import MLForecast
    from mlforecast.lag_transforms import ExpandingMean, RollingMean

    forecaster = MLForecast(
        models={"mean": lightgbm.LGBMRegressor(random_state=0, verbosity=-1, num_threads=2)},
        freq=freq,
        lags=[7, 14],
        lag_transforms={1: [ExpandingMean()], 7: [RollingMean(28)]},
        date_features=["dayofweek"],
        num_threads=2,
    )
    forecaster.fit(rows)
    return forecaster.predict(horizon)


def autoets(rows: pd.DataFrame, horizon: int, freq: str, season: int) -> pd.DataFrame:
    """One AutoETS per series."""
    from statsforecast import StatsForecast
    from statsforecast.models import AutoETS, Naive

    model = StatsForecast([AutoETS(season_length=season, alias="mean")], freq=freq, n_jobs=2, fallback_model=Naive())
    return model.forecast(df=rows, h=horizon)


def main(source: str, attributes: str, target: str, peer: str, horizon: str, freq: str, season: str) -> None:
    """Runs one peer."""
    rows, statics = pd.read_parquet(source), pd.read_parquet(attributes)
    started = time.perf_counter()
    if peer == "mlforecast":
        found = mlforecast(rows, statics, int(horizon), freq)
    elif peer == "mlforecast_default":
        found = mlforecast_default(rows, int(horizon), freq)
    else:
        found = autoets(rows, int(horizon), freq, int(season))
    seconds = time.perf_counter() - started
    found[["unique_id", "ds", "mean"]].to_parquet(target, index=False)
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(u.ru_utime + u.ru_stime for u in usage)
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "peak_gb": usage[0].ru_maxrss / 2**20}))


if __name__ == "__main__":
    main(*sys.argv[1:])
