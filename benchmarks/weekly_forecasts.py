"""A year of weeks ahead, against what demand truly was: the weekly method next to 52-week seasonal naive and others.

    python benchmarks/weekly_forecasts.py --truth .retail-long/truth/demand.parquet --origin 2026-11-08
    RETAIL_REAL_DATA=... python benchmarks/weekly_forecasts.py --walmart

The first needs two years of the sample retailer (`RETAIL_HOME=.retail-long retail sample --days 764`): it learns from
what was sold up to the origin and is scored on the true mean demand of the 52 weeks after it (excess error: sum
|forecast - mean| / sum mean). The second learns from the Walmart store-departments up to 39 weeks before their end and
is scored on the sales of those weeks (WMAE, weeks with a holiday count five times). `--settings` runs other settings
too. LightGBM is one global model per week ahead on the same level and season with their ratios to last year.
"""

import argparse
import os
import sys
import time
from datetime import date
from itertools import product
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from retail_assets.planning.weekly import (
    YEAR,
    Floats,
    WeeklyHistory,
    WeeklySettings,
    fit,
    forecast,
    seasonal_naive,
)

BANDS = ((1, 4), (5, 13), (14, 26), (27, 52))
TRIED = [
    WeeklySettings(half_life=h, own_ridge=r, smooth=s)
    for h, r, s in product((4.0, 8.0, 13.0), (5.0, 30.0, 100.0, 1000.0), (0.25, 0.6))
]


def sample(file: Path, origin: date) -> tuple[WeeklyHistory, Floats]:
    """History up to `origin` and the true mean of the 52 weeks after it, of series listed at the origin."""
    rows = duckdb.sql(
        f"""select store_id, sku, floor((business_date - date '{origin}' - 1) / 7.0)::int as week,
                   sum(sold) filter (not (on_hand = 0 and open))::double as units,
                   count(*) filter (not (on_hand = 0 and open)) / 7.0 as exposure, sum(mean_demand)::double as mean
            from '{file}' where business_date > date '{origin}' - 7 * 57 and business_date <= date '{origin}' + 364
            group by all"""
    ).df()
    known = rows[rows["week"] == -1][["store_id", "sku"]].merge(rows[rows["week"] == 51][["store_id", "sku"]])
    rows = rows.merge(known)
    series = pd.MultiIndex.from_frame(known.sort_values(["store_id", "sku"]))
    kinds = pd.read_parquet(file.with_name("elasticities.parquet")).set_index("sku")["category"]

    def wide(column: str, weeks: range) -> Floats:
        made = rows.pivot_table(index=["store_id", "sku"], columns="week", values=column, aggfunc="sum", observed=True)
        return made.reindex(index=series, columns=list(weeks)).fillna(0.0).to_numpy(float)

    past = range(int(rows["week"].min()), 0)
    category = pd.factorize(series.get_level_values("sku").map(kinds))[0]
    country = pd.factorize(series.get_level_values("store_id").str[:2])[0]
    days = pd.date_range(end=pd.Timestamp(origin), periods=7 * YEAR)
    special = ((days.month == 11) & (days.day >= 22) & (days.day <= 30)) | ((days.month == 12) & (days.day >= 8))
    history = WeeklyHistory(
        wide("units", past), wide("exposure", past), category * 9 + country, category, special.reshape(-1, 7).any(1)
    )
    return history, wide("mean", range(52))


def walmart(folder: Path) -> tuple[WeeklyHistory, Floats, Floats]:
    """History up to 39 weeks before the end, sales of those weeks (NaN where there are none), and their weights."""
    file = next(iter(sorted(folder.glob("*sales*.parquet")) or sorted(folder.glob("*.parquet"))))
    rows = pd.read_parquet(file).rename(columns=str.lower)
    rows["date"] = pd.to_datetime(rows["date"])
    wide = rows.pivot_table(index=["store", "dept"], columns="date", values="weekly_sales", aggfunc="sum")
    holiday = rows.groupby(rows.filter(regex="^date$").columns[0])[rows.filter(regex="holiday").columns[0]].max()
    values, past = wide.to_numpy(float), wide.shape[1] - 39
    told = np.isfinite(values[:, :past]).any(axis=1)
    values, keys = values[told], wide.index[told]
    category = pd.factorize(keys.get_level_values("dept"))[0]
    special = holiday.reindex(wide.columns).to_numpy(bool)[past - YEAR : past]
    history = WeeklyHistory(
        np.nan_to_num(values[:, :past]).clip(min=0),
        np.isfinite(values[:, :past]).astype(float),
        category,
        category,
        special,
    )
    weights = np.where(holiday.reindex(wide.columns).to_numpy(bool)[past:], 5.0, 1.0)
    return history, values[:, past:], weights


def last_level(history: WeeklyHistory, weeks: int) -> Floats:
    """The mean of the last eight known weeks."""
    level = history.units[:, -8:].sum(axis=1) / np.maximum(history.exposure[:, -8:].sum(axis=1), 1 / 7)
    return np.repeat(level[:, None], weeks, axis=1)


def trees(history: WeeklyHistory, weeks: int, settings: WeeklySettings) -> Floats:
    """LightGBM on factors over level times season: learnt at origins 4 to 24 weeks before, from weeks up to then."""
    import lightgbm

    def rows(past: WeeklyHistory, ahead: int) -> tuple[Floats, Floats]:
        seasons = fit(past, settings)
        made = np.maximum(forecast(seasons, ahead), 1e-3)
        naive, flat = seasonal_naive(past, ahead), last_level(past, ahead)
        number = np.repeat(np.arange(1, ahead + 1)[None, :], len(made), axis=0)
        spread = [
            np.repeat(v[:, None], ahead, axis=1) for v in (np.log(seasons.level + 0.1), past.category, past.group)
        ]
        features = [number, np.log((naive + 0.5) / (made + 0.5)), np.log((flat + 0.5) / (made + 0.5)), *spread]
        return np.column_stack([f.ravel() for f in features]), made

    parts = []
    for back in (4, 8, 12, 18, 24):
        features, made = rows(history.until(back), back)
        actual, exposure = history.units[:, -back:].ravel(), history.exposure[:, -back:].ravel()
        keep = exposure > 0
        parts.append((features[keep], actual[keep], np.log(made.ravel() * np.maximum(exposure, 1e-9))[keep]))
    x, y, start = (np.concatenate(p) for p in zip(*parts, strict=True))
    parameters = {"objective": "tweedie", "learning_rate": 0.05, "num_leaves": 31, "min_data_in_leaf": 200, "seed": 7,
                  "num_threads": 2, "deterministic": True, "verbosity": -1}  # fmt: skip
    data = lightgbm.Dataset(x, label=y, init_score=start)
    model = lightgbm.train(parameters, data, num_boost_round=150)
    features, made = rows(history, weeks)
    return made * np.exp(np.asarray(model.predict(features, raw_score=True))).reshape(made.shape)


def named(history: WeeklyHistory, weeks: int, more: bool) -> dict[str, Floats]:
    """Forecasts by name."""
    shipped = WeeklySettings()
    made = {
        "seasonal naive": seasonal_naive(history, weeks),
        "level x season": forecast(fit(history, shipped), weeks),
        "last level": last_level(history, weeks),
        "LightGBM": trees(history, weeks, shipped),
    }
    tried = {str(s): forecast(fit(history, s), weeks) for s in TRIED} if more else {}
    return made | tried


def main() -> None:
    """Prints one line per method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", type=Path, help="truth/demand.parquet of a sample home of two years")
    parser.add_argument("--origin", type=date.fromisoformat, default=date(2026, 11, 8))
    parser.add_argument("--walmart", action="store_true", help="score on the data below RETAIL_REAL_DATA")
    parser.add_argument("--settings", action="store_true", help="also run every setting that was tried")
    arguments = parser.parse_args()
    started = time.perf_counter()
    if arguments.truth:
        history, truth = sample(arguments.truth, arguments.origin)
        print(f"sample: {len(truth):,} store-SKUs, {history.units.shape[1]} weeks known; excess error by week ahead")
        for name, made in named(history, 52, arguments.settings).items():
            bands = [np.abs(made - truth)[:, a - 1 : b].sum() / truth[:, a - 1 : b].sum() for a, b in BANDS]
            whole = np.abs(made - truth).sum() / truth.sum()
            print(
                f"{whole:.3f}  " + "  ".join(f"{a}-{b}: {e:.3f}" for (a, b), e in zip(BANDS, bands, strict=True)), name
            )
    if arguments.walmart:
        if "RETAIL_REAL_DATA" not in os.environ:
            sys.exit("set RETAIL_REAL_DATA to the folder that holds walmart_store_sales")
        history, actual, weights = walmart(Path(os.environ["RETAIL_REAL_DATA"]) / "walmart_store_sales")
        print(f"walmart: {len(actual):,} store-departments, {history.units.shape[1]} weeks known; WMAE of 39 weeks")
        told, base = np.isfinite(actual), np.nan
        for name, made in named(history, 39, arguments.settings).items():
            weight = told * weights[None, :]
            error = float((np.abs(made - np.nan_to_num(actual)) * weight).sum() / weight.sum())
            base = error if name == "seasonal naive" else base
            print(f"{error:>9.1f}  {error / base:.3f} of seasonal naive  {name}")
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
