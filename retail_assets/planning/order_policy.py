"""Pure decisions about a batch of order proposals (rows of gold/order_proposals, of one origin)."""

import pandas as pd

from retail_assets.forecasting.policy import Verdict
from retail_assets.planning.ordering import CalibrationConfig

SERIES = ["store_id", "sku"]


def proposed_for_all(proposals: pd.DataFrame, forecasts: pd.DataFrame) -> Verdict:
    """Each forecast store-SKU has exactly one proposal, and no other has any."""
    expected = forecasts[SERIES].drop_duplicates()
    both = expected.merge(proposals[SERIES], how="outer", indicator=True)
    wrong = int((both["_merge"] != "both").sum()) + int(proposals.duplicated(SERIES).sum())
    reasons = (f"{wrong} store-SKUs have no proposal, several, or no forecast",) if wrong else ()
    return Verdict(not wrong, reasons, {"series": float(len(expected)), "wrong": float(wrong)})


def whole_cases(proposals: pd.DataFrame) -> Verdict:
    """Proposed units are proposed cases times the case pack, zero or more."""
    units, cases = proposals["proposed_units"], proposals["proposed_cases"]
    bad = int((~((units >= 0) & (units == cases * proposals["case_pack"]))).sum())
    return Verdict(not bad, (f"{bad} orders are negative or no whole cases",) if bad else (), {"bad": float(bad)})


def needs_covered(proposals: pd.DataFrame) -> Verdict:
    """Where stock was counted, the order fills the gap with less than a case too much; elsewhere it is nothing."""
    counted = proposals[proposals["on_hand"].notna()]
    have = counted["on_hand"].clip(lower=0) + counted["on_order"]
    gap = (counted["needed_units"] - have).clip(lower=0)
    over = counted["proposed_units"] - gap
    short, much = int((over < 0).sum()), int((over >= counted["case_pack"]).sum())
    blind = int((proposals.loc[proposals["on_hand"].isna(), "proposed_units"] != 0).sum())
    reasons = [f"{short} orders leave less than is needed"] if short else []
    reasons += [f"{much} orders are a case or more too much"] if much else []
    reasons += [f"{blind} orders of what was not counted"] if blind else []
    return Verdict(not reasons, tuple(reasons), {"counted": float(len(counted))})


def sums_calibrated(shares: dict[float, float], periods: int, config: CalibrationConfig) -> Verdict:
    """The share of held-back periods within what was needed is each service level; counts may cover more."""
    numbers = {f"covered/{level:g}": share for level, share in shares.items()} | {"periods": float(periods)}
    if periods < config.gated_rows:
        return Verdict(True, (), numbers)
    reasons = [
        f"{share:.1%} of the periods stayed within what was needed for {level:.1%}"
        for level, share in shares.items()
        if not level - config.tolerance <= share <= level + config.tolerance
    ]
    return Verdict(not reasons, tuple(reasons), numbers)
