"""Why the model forecasts what it forecasts: units a day per group of reasons, which add up to the forecast.

The forecast is a product: level x weekday and season x price x holidays of the baseline x exp(sum of the trees).
TreeSHAP splits the sum of the trees exactly over the features. The logarithmic mean divisia index (Ang, Energy Policy
32, 2004) turns the factors of a product into additive units without a rest and without an order: factor f of a change
from a to b is worth L(b, a) x ln f with L(b, a) = (b - a) / (ln b - ln a).
"""

import re

import numpy as np
import pandas as pd

from retail_assets.forecasting.baseline.baseline import COLUMNS as BASELINE
from retail_assets.forecasting.encoding import SMALLEST_BASELINE, SMALLEST_EXPECTED, Encoder, Floats, recent_level
from retail_assets.forecasting.model import DemandForecaster

GROUPS = ("level", "season", "holidays", "promotion", "other")
TITLES = {
    "level": "level and trend",
    "season": "weekday and season",
    "holidays": "holidays and events",
    "promotion": "promotion and price",
    "other": "stock, weather and other",
}
RULES = (
    ("promotion", r"promo|price|discount|competitor"),
    ("holidays", r"holiday|black_friday|event|back_to_school"),
    ("other", r"stock|on_hand|temp|precipitation|weather|return"),
    ("season", r"weekday|_(mon|tue|wed|thu|fri|sat|sun)_|month|week_of|day_of|season|yearly"),
    (
        "level",
        r"units|receipts|revenue|trend|level|baseline|share|stores|products|days|horizon|store_id|category|department|lag",
    ),
)
"""The first pattern found in a feature's name says where it belongs; a name that fits none is `other`."""
EQUAL = 1e-12


def group_of(feature: str) -> str:
    """The group of reasons of a feature, one of GROUPS."""
    return next((group for group, pattern in RULES if re.search(pattern, feature)), "other")


def contributions(model: DemandForecaster, frame: pd.DataFrame, threads: int = 1) -> pd.DataFrame:
    """Units a day per row of `frame` and group, with the index of `frame`; the sum over GROUPS is `model.mean(frame)`.

    `frame` has all days of each series (store_id, sku) that are forecast from one origin. `level` starts from the
    recent level of the series, every other group from zero; what `season` says of every day alike is level, as in any
    seasonal decomposition. Raises ForecastModelError for a missing column.
    """
    matrix, expected = Encoder(model.spec).matrix(frame)
    shap = np.asarray(model.booster.predict(matrix, pred_contrib=True, num_threads=threads), float)
    logs = {group: np.zeros(len(frame)) for group in GROUPS}
    for place, name in enumerate(model.spec.columns):
        logs[group_of(name)] += shap[:, place]
    logs["level"] += shap[:, -1]
    base, known = _simple(model, frame, expected)
    for group, log in known.items():
        logs[group] += log
    alike = pd.Series(logs["season"]).groupby([frame["store_id"].to_numpy(), frame["sku"].to_numpy()]).transform("mean")
    logs["season"] -= alike.to_numpy()
    logs["level"] += alike.to_numpy()
    raw = np.asarray(model.booster.predict(matrix, raw_score=True, num_threads=threads), float)
    logs["other"] += np.minimum(raw, np.log(model.spec.largest_factor)) - shap.sum(axis=1)
    return pd.DataFrame(in_units(base, logs), index=frame.index)


def _simple(model: DemandForecaster, frame: pd.DataFrame, expected: Floats) -> tuple[Floats, dict[str, Floats]]:
    """The level behind the simple forecast, and the logs of what it holds besides; a floor is a level, no weekday."""
    recent = np.where(expected > SMALLEST_EXPECTED, recent_level(frame), expected)
    base, price, holidays = np.maximum(recent, SMALLEST_BASELINE), np.zeros(len(frame)), np.zeros(len(frame))
    if model.spec.on_baseline and "baseline" in frame:
        parts = frame[list(BASELINE)].to_numpy(float)
        known = ~np.isnan(parts[:, 0])
        base = np.where(known, np.maximum(parts[:, 1], SMALLEST_BASELINE), base)
        price, holidays = np.where(known, parts[:, 2], 0.0), np.where(known, parts[:, 3], 0.0)
    return base, {"season": np.log(expected / base) - price - holidays, "promotion": price, "holidays": holidays}


def in_units(base: Floats, logs: dict[str, Floats]) -> dict[str, Floats]:
    """`base` x exp(sum of `logs`) split into units: `level` gets `base` and its share of the change, others a share.

    Arrays of equal length; `base` is above zero. The units of all groups add up to the product.
    """
    total = np.sum(list(logs.values()), axis=0)
    change = base * np.expm1(total)
    small = np.abs(total) < EQUAL
    per_log = np.where(small, base, change / np.where(small, 1.0, total))
    return {group: per_log * log + (base if group == "level" else 0.0) for group, log in logs.items()}
