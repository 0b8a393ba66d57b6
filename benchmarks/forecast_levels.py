"""What intervals of each level cover on days that nothing had seen, and which way to reconcile forecasts best.

    RETAIL_HOME=.retail python benchmarks/forecast_levels.py [--months 3]

Stands at the end of each of the last months. Intervals are learnt as the platform learns them: a model trained up to 56
days before is asked from five origins a week apart. They are held against the days that have come since, forecast from
four origins a week apart by a model trained up to that end. RMSE of the summed mean is beside that of the better of
seasonal naive and weekday mean. Store-SKUs are not shown: their intervals are the model's own, judged by the asset
planning/levels_report.

`--reconcile` fits Prophet to the nodes of two hierarchies at each end (store-departments, stores, countries and the
total; country-categories, categories, countries and the total) and scores four ways to make one set of forecasts of
each hierarchy and the store-SKUs: bottom-up, middle-out, middle-out to the mean of both, and structural MinT. The first
end chooses, the later ones say whether that was right. --json prints one object.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import pandas as pd

from retail_assets.core import accuracy
from retail_assets.features.store import FeatureStore
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.evaluation import _fit, _training_origins, _window, with_segments
from retail_assets.forecasting.explain.decomposition import FitTask, decompose
from retail_assets.forecasting.explain.demand_panel import COUNTRY_CATEGORY, STORE_DEPARTMENT, DemandSeries, read_series
from retail_assets.forecasting.frames import Gold
from retail_assets.forecasting.model import DemandForecaster
from retail_assets.forecasting.panel.levels import Level
from retail_assets.forecasting.panel.reconcile import WAYS, Upper, reconcile
from retail_assets.forecasting.training import SERVICE, feature_span, features_of
from retail_assets.forecasting.views_config import ViewsConfig
from retail_assets.planning.level_tables import BASELINES, PROVEN
from retail_assets.planning.levels import LEVELS, LOWEST, WEEK, LevelIntervals, at_levels
from retail_assets.resources.environments import current
from retail_assets.resources.lake import Lake

DAYS, BEFORE = 28, 56
LEARNT_FROM, HELD_AGAINST = 5, 4  # origins, a week apart
HIERARCHIES = {
    STORE_DEPARTMENT: (("total",), ("country",), ("store_id",), ("store_id", "department")),
    COUNTRY_CATEGORY: (("total",), ("country",), ("category",), ("country", "category")),
}


class Months:
    """Models trained up to the end of each month, and what they say of the days after an origin."""

    def __init__(self, months: int, rows: int) -> None:
        environment, shipped = current(), ForecastingConfig.load()
        span = feature_span(environment.lake)
        if span is None:
            sys.exit(f"{environment.home.root} has no features: run `make demo` first")
        self.lake = environment.lake
        self.config = shipped.model_copy(update={"training": shipped.training.model_copy(update={"rows": rows})})
        self.newest = span[1]
        self.ends = [self.newest - timedelta(days=DAYS * back) for back in range(months, 0, -1)]
        store = FeatureStore.at(environment.home, environment.lake)
        self.features = features_of(store, self._days(span), None, self.config)
        self.names = store.features(SERVICE)
        self.gold = Gold(environment.lake, self.newest)
        self.models: dict[date, DemandForecaster] = {}
        self.frames: dict[date, pd.DataFrame] = {}

    def _days(self, span: tuple[date, date]) -> list[date]:
        first = max(
            span[0] + timedelta(days=self.config.training.warmup_days),
            span[1] - timedelta(days=self.config.training.days),
        )
        every = self.config.training.origin_every
        days = {span[1] - timedelta(days=n) for n in range(0, (span[1] - first).days + 1, every)}
        for back in range(0, (span[1] - self.ends[0]).days + BEFORE + 1, WEEK):
            days |= {span[1] - timedelta(days=back + n) for n in range(self.config.series.origin_days)}
        return sorted(days)

    def said(self, end: date, origin: date) -> pd.DataFrame:
        """Every store-SKU and day ahead of `origin`, by the model trained up to `end`."""
        if end not in self.models:
            origins = _training_origins(self.features, self.newest, self.config)
            self.models[end] = _fit(self.gold, origins, end, self.names, self.config)[0]
        if origin not in self.frames:
            frame = _window(self.gold, self.features, origin, DAYS, self.config)
            self.frames[origin] = with_segments(frame, self.config.report)
        frame = self.frames[origin]
        return frame.assign(mean=self.models[end].mean(frame, self.config.threads), origin_date=origin)

    def sums(self, end: date, first: date, count: int) -> pd.DataFrame:
        """Sums at every level above the store-SKU from `count` origins, as far as their days have come."""
        parts = []
        for origin in (first + timedelta(days=WEEK * n) for n in range(count)):
            if origin + timedelta(days=DAYS) <= self.newest:
                rows = self.said(end, origin)
                found = at_levels(rows[rows["units"].notna()], PROVEN)
                parts.append(found[found["level"] != LOWEST].assign(origin_date=origin))
        return pd.concat(parts, ignore_index=True)


def covered(months: Months) -> dict[str, dict[str, float]]:
    """Per level: mean and range over the ends of what the 90 % interval covers, and RMSE to the better baseline."""
    shares = months.config.intervals.levels
    rows = []
    for end in months.ends:
        past = end - timedelta(days=BEFORE)
        intervals = LevelIntervals.fit(months.sums(past, past, LEARNT_FROM), shares)
        for level, part in months.sums(end, end, HELD_AGAINST).groupby("level"):
            units, mean = (part[name].to_numpy(float) for name in ("units", "mean"))
            made = intervals.quantiles(str(level), mean)
            better = min(accuracy.rmse(units, part[name].to_numpy(float)) for name in BASELINES)
            rows.append((level, accuracy.coverage(units, made[:, 0], made[:, -1]), accuracy.rmse(units, mean) / better))
    table = pd.DataFrame(rows, columns=["level", "coverage", "ratio"]).groupby("level")
    low, high, mean = table["coverage"].min(), table["coverage"].max(), table.mean()
    return {
        level: {
            "coverage_90": mean.loc[level, "coverage"],
            "lowest": low[level],
            "highest": high[level],
            "rmse_ratio": mean.loc[level, "ratio"],
        }
        for level in LEVELS
        if level != LOWEST
    }


def reconciled(months: Months, hierarchy: str) -> dict[str, dict[str, float]]:
    """Per end and way: the mean over all twelve levels of RMSE in units of bottom-up's."""
    found: dict[str, dict[str, float]] = {}
    for end in months.ends:
        rows = months.said(end, end).sort_values(["store_id", "sku", "horizon"], kind="stable")
        rows = rows[rows[["country", "department", "category"]].notna().all(axis=1)]
        keys = rows.drop_duplicates(["store_id", "sku"]).reset_index(drop=True)
        bottom = rows.pivot_table(index=["store_id", "sku"], columns="target_date", values="mean", sort=True)
        levels = [_level(columns, keys) for columns in HIERARCHIES[hierarchy]]
        upper = Upper(levels[-1], levels)
        nodes = _prophet(months.lake, end, hierarchy, levels, bottom.columns.to_numpy().astype("datetime64[D]"))
        nodes = np.where(np.isnan(nodes), np.concatenate([level.sums(bottom.to_numpy()) for level in levels]), nodes)
        errors = {}
        for way in WAYS:
            made = pd.DataFrame(reconcile(way, bottom.to_numpy(), nodes, upper), bottom.index, bottom.columns)
            long = made.reset_index().melt(["store_id", "sku"], value_name="said")
            long["target_date"] = long["target_date"].astype(rows["target_date"].dtype)
            scored = rows.merge(long, on=["store_id", "sku", "target_date"])
            sums = at_levels(scored[scored["units"].notna()], ["units", "said"])
            errors[way] = (sums["units"] - sums["said"]).pow(2).groupby(sums["level"]).mean().pow(0.5)
        found[str(end)] = {way: float((error / errors["bottom_up"]).mean()) for way, error in errors.items()}
    return found


def _level(columns: tuple[str, ...], keys: pd.DataFrame) -> Level:
    if columns == ("total",):
        return Level((), np.zeros(len(keys), dtype=np.int64), pd.DataFrame({"total": ["total"]}))
    nodes = keys[list(columns)].drop_duplicates().sort_values(list(columns)).reset_index(drop=True)
    place = keys[list(columns)].merge(nodes.assign(node=range(len(nodes))), how="left")["node"]
    return Level(columns, place.to_numpy(np.int64), nodes)


def _prophet(lake: Lake, end: date, hierarchy: str, levels: list[Level], days: np.ndarray) -> np.ndarray:
    """What Prophet says of every node of `levels` on `days`; NaN where it has no series."""
    config = ViewsConfig.load().decomposition
    found = [one for one in read_series(lake, end, config.horizon) if one.hierarchy == hierarchy]
    stores = lake.read("gold", "dim_store", ["store_id", "country"]).to_pylist()
    countries = {row["store_id"]: row["country"] for row in stores}
    rows = []
    for level in levels:
        for node in level.nodes.to_dict("records"):
            members = [one for one in found if _belongs(one, node, countries)]
            rows.append(_ahead(_summed(members), days) if members else np.full(len(days), np.nan))
    return np.array(rows)


def _belongs(one: DemandSeries, node: Mapping[str, str], countries: Mapping[str, str]) -> bool:
    if one.hierarchy == COUNTRY_CATEGORY:
        own = {"country": one.place, "category": one.product_group}
    else:
        own = {"country": countries.get(one.place, ""), "store_id": one.place, "department": one.product_group}
    return all(own[name] == value for name, value in node.items() if name != "total")


def _summed(members: list[DemandSeries]) -> DemandSeries:
    """The days that all members have; unknown where one of them is."""
    if len(members) == 1:
        return members[0]
    first = max(one.days[0] for one in members)
    skip = [int((first - one.days[0]).astype(int)) for one in members]
    units = np.sum([one.units[n:] for one, n in zip(members, skip, strict=True)], axis=0)
    promotion = np.mean([one.promotion[n:] for one, n in zip(members, skip, strict=True)], axis=0)
    holidays = tuple(sorted({holiday for one in members for holiday in one.holidays}))
    return DemandSeries("sum", "", "", members[0].days[skip[0] :], units, promotion, holidays)


def _ahead(series: DemandSeries, days: np.ndarray) -> np.ndarray:
    fitted = decompose(FitTask(series, ViewsConfig.load().decomposition))
    said = pd.Series(fitted.parts.sum(axis=1).to_numpy().clip(min=0.0), index=series.days)
    return said.reindex(days).to_numpy(float)


def main() -> None:
    """Prints one line per level, and one per end with --reconcile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", type=int, default=3, help="ends to stand at; each adds a training")
    parser.add_argument("--rows", type=int, default=200_000, help="examples that each model learns from")
    parser.add_argument("--reconcile", action="store_true", help="also fit Prophet and score the ways to reconcile")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    arguments = parser.parse_args()
    months = Months(arguments.months, arguments.rows)
    levels = covered(months)
    ways = {hierarchy: reconciled(months, hierarchy) for hierarchy in (HIERARCHIES if arguments.reconcile else ())}
    if arguments.json:
        print(json.dumps({"levels": levels, "reconciled": ways}, indent=2))
        return
    print(f"{'level':<20}{'90 % covers':>13}{'lowest':>9}{'highest':>9}{'RMSE to better baseline':>26}")
    for level, scores in levels.items():
        shares = "".join(f"{scores[name]:>{width}.1%}" for name, width in (("coverage_90", 13), ("lowest", 9)))
        print(f"{level:<20}{shares}{scores['highest']:>9.1%}{scores['rmse_ratio']:>26.3f}")
    for hierarchy, ends in ways.items():
        for end, errors in ends.items():
            print(f"{hierarchy} {end}: " + ", ".join(f"{way} {error:.4f}" for way, error in errors.items()))


if __name__ == "__main__":
    main()
