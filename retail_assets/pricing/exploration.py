"""Exploration: a bounded share of a store's prices is set to learn how demand answers. Pure and replayable.

Chosen are store-SKUs whose elasticity is wide open, in turn by lot, weighted by what is to be known there: daily
revenue times the variance of the elasticity, to which the loss of pricing on its mean is proportional (second order).
What is tried is the price that would be best at an elasticity drawn from the belief (Thompson 1933), a new one every
`hold_days`; where that is the price that is best anyway, nothing is tried. Lots and draws are hashes of store, SKU,
period and policy, so that a decision's row is enough to decide it again; the guardrails come after.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from retail_assets.pricing.config import ExplorationPolicy

if TYPE_CHECKING:
    from retail_assets.pricing.model import PriceModel, Response

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]
Hashes = npt.NDArray[np.uint64]
Days = npt.NDArray[np.datetime64]

LOT, DRAW = 1, 2
REMEMBERED = 10_000


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


@dataclass(frozen=True)
class Candidates:
    """The store-SKUs that a model knows recent sales of, sorted by store: what lots are drawn among.

    `value` weighs the lots: revenue per day, in the store's currency, times the variance of the elasticity; `width` is
    that of its 95 % interval.
    """

    stores: dict[str, slice]
    skus: Texts
    keys: Hashes
    value: Floats
    width: Floats
    _known: dict[tuple[str, str, int], frozenset[str]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, model: "PriceModel") -> "Candidates":
        """Reads them from the model's base demand; made once per model."""
        store = np.array(model.base["store_id"].to_pylist(), dtype=object)
        order = np.argsort(store.astype(str), kind="stable")
        store, skus = store[order], np.array(model.base["sku"].to_pylist(), dtype=object)[order]
        revenue = (model.base["units_per_day"].to_numpy() * model.base["price"].to_numpy())[order]
        response = model.response(store, skus, np.full(len(skus), None, dtype=object))
        names, first = np.unique(store.astype(str), return_index=True)
        ends = [*first[1:].tolist(), len(store)]
        return cls(
            stores={n: slice(a, b) for n, a, b in zip(names.tolist(), first.tolist(), ends, strict=True)},
            skus=skus,
            keys=hashes(store, skus),
            value=revenue * response.standard_error**2,
            width=response.hi - response.lo,
        )

    def chosen(self, store: str, policy: ExplorationPolicy, policy_hash: str, period: int) -> frozenset[str]:
        """The SKUs of `store` that explore in `period`: at most `policy.share` of those the model knows there."""
        question = (store, policy_hash, period)
        if question not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[question] = self._draw(store, policy, policy_hash, period)
        return self._known[question]

    def _draw(self, store: str, policy: ExplorationPolicy, policy_hash: str, period: int) -> frozenset[str]:
        """Drawing lots with weights, without replacement: the largest log(weight) + Gumbel noise win."""
        at = self.stores.get(store, slice(0, 0))
        room = int(policy.share * (at.stop - at.start))
        fit = (self.width[at] >= policy.minimum_width) & (self.value[at] > 0)
        noise = -np.log(-np.log(_uniform(self.keys[at], policy_hash, period, LOT)))
        lot = np.where(fit, np.log(np.where(fit, self.value[at], 1.0)) + noise, -np.inf)
        winners = np.argsort(-lot, kind="stable")[: min(room, int(fit.sum()))]
        return frozenset(self.skus[at][winners].tolist())


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
            response, rows, _uniform(hashes(stores[rows], skus[rows]), policy_hash, number, DRAW), policy.method
        )
    return Trial(chosen, tried)


def hashes(stores: Texts, skus: Texts) -> Hashes:
    """64-bit FNV-1a of "store|sku", the same on every machine and in every year."""
    texts = np.char.add(np.char.add(stores.astype(str), "|"), skus.astype(str))
    points = texts.view(np.uint32).reshape(len(texts), -1) if len(texts) else np.empty((0, 0), dtype=np.uint32)
    value = np.full(len(texts), 0xCBF29CE484222325, dtype=np.uint64)
    for column in points.T.astype(np.uint64):
        value = np.where(column > 0, (value ^ column) * np.uint64(0x100000001B3), value)
    return value


def _uniform(keys: Hashes, policy_hash: str, period: int, purpose: int) -> Floats:
    """Numbers in (0, 1) that follow from their arguments alone (splitmix64)."""
    seed = (int(policy_hash[:16], 16) + 4 * period + purpose) * 0x9E3779B97F4A7C15
    mixed = keys ^ np.uint64(seed % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def _drawn(response: "Response", rows: npt.NDArray[np.intp], uniform: Floats, method: str) -> Floats:
    """An elasticity of each row's belief, kept inside the 95 % interval: anywhere, or one of two far ends by lot."""
    from scipy.special import ndtri

    uniform = np.where(uniform < 0.5, 0.1, 0.9) if method == "ends" else uniform
    drawn = response.elasticity[rows] + response.standard_error[rows] * ndtri(uniform)
    return np.clip(drawn, response.lo[rows], response.hi[rows])
