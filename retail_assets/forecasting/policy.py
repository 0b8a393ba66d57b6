"""Pure decisions of forecasting: train again? is a batch of forecasts fit to be used? is a model proven?"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from retail_assets.core.manifest import Manifest
from retail_assets.forecasting.config import ReportConfig

ROUNDING = 1e-9
RATIOS = ("rmse_ratio", "wape_ratio")
DOUBT = NormalDist().inv_cdf(0.95)  # standard errors within which a share may be right


@dataclass(frozen=True)
class Verdict:
    """`passed`, and the reasons when not; `numbers` are what was compared."""

    passed: bool
    reasons: tuple[str, ...]
    numbers: dict[str, float]


def needs_training(
    newest: Manifest | None, gold: Mapping[str, int], features: list[str], config: dict[str, Any]
) -> Verdict:
    """Train when there is no model yet, or when data, features, code or configuration differ from the newest one's."""
    if newest is None:
        return Verdict(True, ("there is no model yet",), {})
    reasons = [
        f"{name} is at version {gold.get(name)}, the model was made from {newest.gold.get(name)}"
        for name in sorted({*gold, *newest.gold})
        if gold.get(name) != newest.gold.get(name)
    ]
    reasons += ["the features differ"] if features != newest.features else []
    reasons += ["the code or the configuration differs"] if config != newest.config else []
    return Verdict(bool(reasons), tuple(reasons), {})


def complete(expected: pd.DataFrame, forecasts: pd.DataFrame, horizon: int, limit: int) -> Verdict:
    """Every expected series (store_id, sku) has exactly `horizon` forecasts, one for each day ahead.

    Where more than `limit` series are expected, at least `limit` of them must have.
    """
    days = forecasts.groupby(["store_id", "sku"])["horizon"].agg(["count", "nunique"])
    joined = expected.set_index(["store_id", "sku"]).join(days).fillna(0)
    short = joined[(joined["count"] != horizon) | (joined["nunique"] != horizon)]
    missing = min(len(expected), limit) - (len(expected) - len(short))
    names = ", ".join("/".join(map(str, key)) for key in short.index[:5])
    reasons = [f"{missing} series lack days, for example {names}"] if missing > 0 else []
    reasons += [] if len(expected) else ["there is no series to forecast"]
    return Verdict(not reasons, tuple(reasons), {"series": float(len(expected)), "incomplete": float(len(short))})


def never_negative(forecasts: pd.DataFrame, columns: list[str]) -> Verdict:
    """Mean and quantiles are numbers, zero or more."""
    values = forecasts[columns].to_numpy(float)
    bad = int((~(np.isfinite(values) & (values >= 0.0))).any(axis=1).sum())
    reasons = (f"{bad} forecasts are negative or not a number",) if bad else ()
    return Verdict(not bad, reasons, {"rows": float(len(values)), "bad": float(bad)})


def quantiles_ascend(forecasts: pd.DataFrame, columns: list[str]) -> Verdict:
    """No quantile is below the one before it; `columns` are in the order of their levels."""
    values = forecasts[columns].to_numpy(float)
    bad = int((~(np.diff(values, axis=1) >= -ROUNDING)).any(axis=1).sum())
    return Verdict(not bad, (f"the quantiles of {bad} forecasts cross",) if bad else (), {"bad": float(bad)})


def calibrated(metrics: Mapping[str, float], config: ReportConfig) -> Verdict:
    """The 90 % interval covers about that much of the proving window, and every quantile lies near its level.

    What lies within chance of it passes: few days of few series say little.
    """
    covered, gap = metrics.get("coverage_90", float("nan")), metrics.get("calibration_gap", float("nan"))
    chance = [DOUBT * metrics.get(f"{name}_error", 0.0) for name in ("coverage_90", "calibration_gap")]
    reasons = []
    if not abs(covered - 0.9) - chance[0] <= config.coverage_tolerance + ROUNDING:
        reasons.append(f"the 90 % interval covers {covered:.1%} of the days that were held back")
    if not gap - chance[1] <= config.calibration_tolerance:
        reasons.append(f"a quantile lies {gap:.1%} away from its level")
    return Verdict(not reasons, tuple(reasons), {"coverage_90": covered, "calibration_gap": gap})


def beats_baselines(metrics: Mapping[str, float]) -> Verdict:
    """Every ratio to the better baseline is below 1, overall and in every segment of size.

    The mean is held to RMSE and the median to WAPE, the errors that they minimise: a mean above zero loses in WAPE to a
    zero wherever most days sell nothing.
    """
    ratios = {name: value for name, value in metrics.items() if name.split("/")[0] in RATIOS}
    reasons = [
        f"{name} is {value:.3f}: a baseline is better" for name, value in sorted(ratios.items()) if not value < 1
    ]
    reasons += [f"{name}/all was not measured" for name in RATIOS if f"{name}/all" not in ratios]
    return Verdict(not reasons, tuple(reasons), {"compared": float(len(ratios)), "lost": float(len(reasons))})
