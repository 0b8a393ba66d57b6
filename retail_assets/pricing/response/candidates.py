"""The store-SKUs that a demand model knows recent sales of, and the lots that exploration draws among them. Pure."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retail_assets.pricing.config import ExplorationPolicy

Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]
Hashes = npt.NDArray[np.uint64]

LOT = 1  # what a number is drawn for; exploration.py draws others
REMEMBERED = 10_000


class Elasticities(Protocol):
    """What of a response is needed here, (rows,) each: the 95 % interval of the elasticity and its standard error."""

    @property
    def standard_error(self) -> Floats: ...
    @property
    def lo(self) -> Floats: ...
    @property
    def hi(self) -> Floats: ...


class Responds(Protocol):
    """What of a demand model is needed here."""

    @property
    def base(self) -> pa.Table:
        """What each store-SKU sold of late."""

    def response(self, stores: Texts, skus: Texts, categories: Texts) -> Elasticities:
        """The elasticity of each row."""


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
    def of(cls, model: Responds) -> "Candidates":
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
        noise = -np.log(-np.log(uniform(self.keys[at], policy_hash, period, LOT)))
        lot = np.where(fit, np.log(np.where(fit, self.value[at], 1.0)) + noise, -np.inf)
        winners = np.argsort(-lot, kind="stable")[: min(room, int(fit.sum()))]
        return frozenset(self.skus[at][winners].tolist())


def hashes(stores: Texts, skus: Texts) -> Hashes:
    """64-bit FNV-1a of "store|sku", the same on every machine and in every year."""
    texts = np.char.add(np.char.add(stores.astype(str), "|"), skus.astype(str))
    points = texts.view(np.uint32).reshape(len(texts), -1) if len(texts) else np.empty((0, 0), dtype=np.uint32)
    value = np.full(len(texts), 0xCBF29CE484222325, dtype=np.uint64)
    for column in points.T.astype(np.uint64):
        value = np.where(column > 0, (value ^ column) * np.uint64(0x100000001B3), value)
    return value


def uniform(keys: Hashes, policy_hash: str, period: int, purpose: int) -> Floats:
    """Numbers in (0, 1) that follow from their arguments alone (splitmix64)."""
    seed = (int(policy_hash[:16], 16) + 4 * period + purpose) * 0x9E3779B97F4A7C15
    mixed = keys ^ np.uint64(seed % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
