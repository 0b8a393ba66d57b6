"""Pure decisions of planning: do the levels add up? are they complete, calibrated, better than the baselines?"""

import pandas as pd

from retail_assets.forecasting.policy import Verdict
from retail_assets.planning.config import LevelsConfig
from retail_assets.planning.levels import DIMENSIONS, GRID, LEVELS, LOWEST, at_levels

SHOWN = 3


def adds_up(levels: pd.DataFrame, forecasts: pd.DataFrame) -> Verdict:
    """Every level of `levels` is to the last bit the sum of its store-SKUs, and those are `forecasts` on the grid.

    `levels` are rows of gold/forecast_levels and `forecasts` of gold/forecasts, of one origin.
    """
    keys = ["level", *DIMENSIONS, "target_date"]
    lowest = levels[levels["level"] == LOWEST]
    expected = at_levels(lowest, ["mean"])[[*keys, "mean"]]
    both = expected.merge(levels[[*keys, "mean"]], on=keys, how="outer", suffixes=("", "_found"), indicator=True)
    wrong = both[(both["_merge"] != "both") | (both["mean"] != both["mean_found"])]
    series = ["store_id", "sku", "target_date"]
    pairs = forecasts[[*series, "mean"]].merge(lowest[[*series, "mean"]], on=series, how="outer", suffixes=("", "_low"))
    off = ~((pairs["mean"] - pairs["mean_low"]).abs() <= GRID / 2)
    reasons = [f"{len(wrong)} sums differ, first at level {wrong['level'].iloc[0]}"] if len(wrong) else []
    reasons += [f"{int(off.sum())} store-SKU days are not those of gold/forecasts"] if off.any() else []
    return Verdict(not reasons, tuple(reasons), {"sums": float(len(expected)), "wrong": float(len(wrong) + off.sum())})


def levels_complete(levels: pd.DataFrame, horizon: int) -> Verdict:
    """Every level is there, and each of its groups has each of the `horizon` days once."""
    missing = [level for level in LEVELS if level not in set(levels["level"])]
    counts = levels.fillna(dict.fromkeys(DIMENSIONS, "")).groupby(["level", *DIMENSIONS])["horizon"]
    days = counts.agg(["count", "nunique"])
    short = days[(days["count"] != horizon) | (days["nunique"] != horizon)]
    reasons = [f"no forecasts at level {', '.join(missing)}"] if missing else []
    names = "; ".join("/".join(part for part in key if part) for key in short.index[:SHOWN])
    reasons += [f"{len(short)} groups lack days, for example {names}"] if len(short) else []
    return Verdict(not reasons, tuple(reasons), {"groups": float(len(days)), "incomplete": float(len(short))})


def levels_calibrated(scores: pd.DataFrame, config: LevelsConfig) -> Verdict:
    """At each level with at least `gated_rows` rows, the 90 % interval covers a share within `covered`.

    The coverage of store-SKUs is that of counts (`accuracy.coverage_of_counts`): with closed ends it would be more.
    """
    low, high = config.covered
    reasons = [
        f"the 90 % interval of level {row['level']} covers {row['coverage_90']:.1%}"
        for row in scores[scores["rows"] >= config.gated_rows].to_dict("records")
        if not low <= row["coverage_90"] <= high
    ]
    numbers = {
        f"coverage_90/{level}": share for level, share in zip(scores["level"], scores["coverage_90"], strict=True)
    }
    return Verdict(not reasons, tuple(reasons), numbers)


def levels_beat_baselines(scores: pd.DataFrame, config: LevelsConfig) -> Verdict:
    """At each level with at least `gated_rows` rows, RMSE is below that of the better baseline."""
    judged = scores[scores["rows"] >= config.gated_rows]
    reasons = [
        f"at level {row['level']} RMSE is {row['rmse_ratio']:.3f} of the better baseline's"
        for row in judged.to_dict("records")
        if not row["rmse_ratio"] < 1
    ]
    return Verdict(not reasons, tuple(reasons), _numbers(scores, "rmse_ratio"))


def _numbers(scores: pd.DataFrame, column: str) -> dict[str, float]:
    return {f"{column}/{row['level']}": float(row[column]) for row in scores.to_dict("records")}
