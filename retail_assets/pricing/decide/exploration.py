"""Exploration: a bounded share of a store's prices is set to learn how demand answers. Pure and replayable.

Chosen are store-SKUs whose elasticity is wide open, in turn by lot, weighted by what is to be known there: daily
revenue times the variance of the elasticity, to which the loss of pricing on its mean is proportional (second order).
What is tried is the price that would be best at an elasticity drawn from the belief (Thompson 1933), a new one every
`hold_days`; where that is the price that is best anyway, nothing is tried. Lots and draws are hashes of store, SKU,
period and policy, so that a decision's row is enough to decide it again; the guardrails come after.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from retail_assets.pricing.config import ExplorationPolicy
from retail_assets.pricing.response.candidates import hashes, uniform

if TYPE_CHECKING:
    from retail_assets.pricing.response.model import PriceModel, Response

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]
Days = npt.NDArray[np.datetime64]

DRAW = 2


@dataclass(frozen=True)
class Trial:
    """Which rows explore, and the elasticity each row's price is made best for; shapes (rows,).

    `elasticity` is the expected one where a row does not explore, and inside the 95 % interval where it does.
    """

    chosen: Flags
    elasticity: Floats

    def only(self, matters: Flags, response: "Response") -> "Trial":
        """Without the rows where what is tried would be the same price."""
        chosen = self.chosen & matters
        return Trial(chosen, np.where(chosen, self.elasticity, response.elasticity))


def try_elasticities(
    model: "PriceModel",
    policy: ExplorationPolicy,
    policy_hash: str,
    days: Days,
    stores: Texts,
    skus: Texts,
    response: "Response",
    allowed: Flags,
) -> Trial:
    """What each row is priced for; arrays of shape (rows,), one row's answer does not depend on the other rows.

    `days` are the business dates (datetime64[D]), `allowed` says where exploration is not ruled out by anything else.
    """
    period = days.astype(np.int64) // policy.hold_days
    chosen = np.zeros(len(skus), dtype=bool)
    for store in set(stores.tolist()):
        for number in np.unique(period[stores == store]).tolist():
            rows = np.flatnonzero((stores == store) & (period == number) & allowed)
            won = model.candidates.chosen(store, policy, policy_hash, number)
            chosen[rows] = pd.Index(skus[rows]).isin(won)
    tried = response.elasticity.copy()
    at = np.flatnonzero(chosen)
    for number in np.unique(period[at]).tolist():
        rows = at[period[at] == number]
        tried[rows] = _drawn(
            response, rows, uniform(hashes(stores[rows], skus[rows]), policy_hash, number, DRAW), policy.method
        )
    return Trial(chosen, tried)


def _drawn(response: "Response", rows: npt.NDArray[np.intp], at: Floats, method: str) -> Floats:
    """An elasticity of each row's belief, kept inside the 95 % interval: anywhere, or one of two far ends by lot."""
    from scipy.special import ndtri

    at = np.where(at < 0.5, 0.1, 0.9) if method == "ends" else at
    drawn = response.elasticity[rows] + response.standard_error[rows] * ndtri(at)
    return np.clip(drawn, response.lo[rows], response.hi[rows])
