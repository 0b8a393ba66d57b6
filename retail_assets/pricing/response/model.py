"""The demand response model as decisions use it: elasticities with their intervals, read from text files."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pydantic_core import from_json

from retail_assets.pricing.response.candidates import Candidates
from retail_assets.pricing.response.cross import Cross
from retail_assets.pricing.response.local import Differences
from retail_assets.pricing.response.response import Fit
from retail_assets.pricing.response.shrinkage import Posterior, truncate
from retail_assets.pricing.response.soundness import (
    Document,
    PriceModelError,
    refuse_base,
    refuse_shapes,
    require,
    whole,
)
from retail_assets.pricing.response.training_frames import ResponseFrame

PRODUCT = "pricing"
RESPONSE_FILE = "response.json"
BASE_FILE = "base_demand.txt"
STORES_FILE = "store_elasticities.txt"
FORMAT = 3
READABLE = (1, 2, FORMAT)  # 1 knew no stores, 2 no substitution
SOURCES = ("sku", "category", "chain", "store")
MEASURES = ("elasticity", "standard_error", "lo", "hi", "prior", "weight")
SUBSTITUTION = ("mean", "standard_error", "lo", "hi")
BASE_COLUMNS = ["store_id", "sku", "units_per_day", "price"]
NORMAL_95 = 1.96

Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Response:
    """Demand response of each row asked for, arrays of shape (rows,).

    `elasticity` is the percentage change of units for one percent of price, below zero; `lo` and `hi` its 95 %
    interval; `prior` what the category alone says; `weight` the share of the SKU's own sales in it (0 to 1); `source`
    an index into SOURCES: whether the SKU, only its category, or neither was learnt from, or the SKU in this store.
    `substitution` is the percentage by which its category's others sell more for one percent of its price (summed over
    them, as a share of its own units where items are alike), at least 0; 0 where nothing is known.
    """

    elasticity: Floats
    standard_error: Floats
    lo: Floats
    hi: Floats
    prior: Floats
    weight: Floats
    source: npt.NDArray[np.int8]
    substitution: Floats


@dataclass(frozen=True)
class Local:
    """Responses that differ by store: `table` has a row per known store-SKU, sorted by them; its columns are MEASURES.

    `store` indexes `stores`, `sku` the SKUs of the model.
    """

    stores: tuple[str, ...] = ()
    store: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    sku: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    table: Floats = field(default_factory=lambda: np.zeros((0, len(MEASURES))))


@dataclass(frozen=True)
class BaseDemand:
    """Units of a store-SKU on a day with stock in the recent past, at the mean price it was sold for (currency)."""

    units_per_day: float
    price: float


@dataclass(frozen=True)
class PriceModel:
    """Demand response per SKU, with its category and the whole chain as what is known of SKUs never seen.

    `table` has a row per SKU, then one per category, then one for the chain; its columns are MEASURES. `local` has rows
    where answers that differ by store predict held-back weeks better than those of the SKU. `substitution` has a row
    per category, columns SUBSTITUTION: the cross-elasticity within it and its 95 % interval, cut off at 0; it is empty
    where none could be learnt.
    """

    version: str
    until: str
    skus: tuple[str, ...]
    categories: tuple[str, ...]
    table: Floats
    base: pa.Table
    local: Local = field(default_factory=Local)
    substitution: Floats = field(default_factory=lambda: np.zeros((0, len(SUBSTITUTION))))

    @classmethod
    def load(cls, path: Path | str) -> "PriceModel":
        """Reads a model from its folder in the model store; the folder's name is its version.

        Raises PriceModelError for one that cannot be read, or whose tables do not fit each other.
        """
        folder = Path(path)
        try:
            document = _read_document((folder / RESPONSE_FILE).read_bytes())
            base = _read_base((folder / BASE_FILE).read_text(encoding="utf-8"))
            local = _read_local(folder, document) if document.stores else Local()
        except PriceModelError as error:
            raise PriceModelError(error.what, where=str(folder), todo=error.todo) from error
        except (OSError, ValueError, csv.Error) as error:  # pydantic's errors are ValueErrors
            raise PriceModelError(f"the pricing model cannot be read: {error}", where=str(folder)) from error
        return cls(
            version=folder.name,
            until=document.until,
            skus=tuple(document.skus),
            categories=tuple(document.categories),
            table=np.column_stack([np.array(getattr(document, name), dtype=np.float64) for name in MEASURES]),
            base=base,
            local=local,
            substitution=_read_substitution(document),
        )

    def files(self) -> dict[str, bytes]:
        """The model as text files, the same bytes for the same model."""
        document: dict[str, Any] = {"format": FORMAT, "until": self.until}
        document |= {"skus": list(self.skus), "categories": list(self.categories), "stores": list(self.local.stores)}
        document |= {name: self.table[:, i].tolist() for i, name in enumerate(MEASURES)}
        document["substitution"] = {name: self.substitution[:, i].tolist() for i, name in enumerate(SUBSTITUTION)}
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        files = {RESPONSE_FILE: text.encode(), BASE_FILE: _write_base(self.base)}
        return files | ({STORES_FILE: _write_local(self.local)} if self.local.stores else {})

    def response(
        self, stores: Sequence[str] | Texts, skus: Sequence[str] | Texts, categories: Sequence[str | None] | Texts
    ) -> Response:
        """The response of each (store, SKU, category): that of the SKU there, else the SKU's, category's, chain's."""
        sku_row = self._sku_index.get_indexer(pd.Index(skus, dtype=object))
        category_row = self._category_index.get_indexer(pd.Index(categories, dtype=object))
        row = np.where(category_row >= 0, category_row + len(self.skus), len(self.table) - 1)
        row = np.where(sku_row >= 0, sku_row, row)
        source = np.where(sku_row >= 0, 0, np.where(category_row >= 0, 1, 2)).astype(np.int8)
        picked = self.table[row]
        if self.local.stores:
            found = self._local_rows(stores, sku_row)
            picked = np.where((found >= 0)[:, None], self.local.table[found], picked)
            source[found >= 0] = SOURCES.index("store")
        measures = {name: np.ascontiguousarray(picked[:, i]) for i, name in enumerate(MEASURES)}
        return Response(**measures, source=source, substitution=self._cross[category_row])

    def _local_rows(self, stores: Sequence[str] | Texts, sku_row: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """The row of `local.table` of each store and SKU, -1 where there is none."""
        store = self._store_index.get_indexer(pd.Index(stores, dtype=object))
        wanted = store * len(self.skus) + sku_row
        at = np.minimum(np.searchsorted(self._local_keys, wanted), len(self._local_keys) - 1)
        return np.where((self._local_keys[at] == wanted) & (store >= 0) & (sku_row >= 0), at, -1)

    def base_demand(self, store_id: str, sku: str) -> BaseDemand | None:
        """What the store sold of the SKU in the recent past; None where it sold none in that time."""
        return self._base_index.get((store_id, sku))

    def unsound(self) -> tuple[int, list[str]]:
        """How many rows of both tables are not finite, below zero and inside their interval, and of which SKUs."""
        table = np.concatenate([self.table, self.local.table])
        elasticity, _, lo, hi, _, _ = table.T
        sound = (lo <= elasticity) & (elasticity <= hi) & (hi < 0) & np.isfinite(table).all(axis=1)
        wrong = np.flatnonzero(~sound)
        rows = np.r_[np.arange(len(self.skus)), np.full(len(self.table) - len(self.skus), -1), self.local.sku]
        return len(wrong), [self.skus[row] for row in np.unique(rows[wrong]).tolist() if row >= 0]

    @property
    def substitutes(self) -> bool:
        """Whether any category's others are known to win what one of its items loses."""
        return bool(self.substitution[:, 0].any())

    @cached_property
    def _cross(self) -> Floats:
        """The cross-elasticity of each category; the last is 0, of those not known (index -1)."""
        known = self.substitution[:, 0] if len(self.substitution) else np.zeros(len(self.categories))
        return np.append(known, 0.0)

    @cached_property
    def candidates(self) -> Candidates:
        """The store-SKUs that exploration chooses among."""
        return Candidates.of(self)

    @cached_property
    def _sku_index(self) -> "pd.Index[Any]":
        return pd.Index(self.skus, dtype=object)

    @cached_property
    def _store_index(self) -> "pd.Index[Any]":
        return pd.Index(self.local.stores, dtype=object)

    @cached_property
    def _local_keys(self) -> npt.NDArray[np.int64]:
        return self.local.store * len(self.skus) + self.local.sku

    @cached_property
    def _category_index(self) -> "pd.Index[Any]":
        return pd.Index(self.categories, dtype=object)

    @cached_property
    def _base_index(self) -> dict[tuple[str, str], BaseDemand]:
        columns = [self.base[name].to_pylist() for name in ("store_id", "sku", "units_per_day", "price")]
        return {(store, sku): BaseDemand(units, price) for store, sku, units, price in zip(*columns, strict=True)}


def model_of(
    frame: ResponseFrame,
    fit: Fit,
    base: pa.Table,
    until: str,
    ceiling: float,
    by_store: Differences | None = None,
    cross: Cross | None = None,
) -> PriceModel:
    """The model that a fit gives: posteriors cut off at `ceiling`, so that every elasticity is below zero.

    `by_store` moves the elasticity of each store-SKU of the frame away from its SKU's; `cross` is what the rest of a
    category wins.
    """
    posterior, prior = fit.posterior, fit.posterior.prior
    mean = np.concatenate([posterior.mean[:, 0], prior.mean[:, 0], prior.chain_mean[:1]])
    category_variance = prior.variance[:, 0] + prior.mean_variance[:, 0]
    chain_variance = prior.chain_variance[:1] + prior.variance[:, 0].mean()
    variance = np.concatenate([posterior.covariance[:, 0, 0], category_variance, chain_variance])
    own, categories = frame.category_of_sku, len(frame.categories)
    expected = truncate(mean, np.sqrt(variance), ceiling)[0][len(frame.skus) :]
    known = np.concatenate([posterior.own_weight(own, 0), np.zeros(categories + 1)])
    table = _measures(mean, variance, np.concatenate([expected[own], expected]), known, ceiling)
    return PriceModel(
        version="",
        until=until,
        skus=tuple(frame.skus),
        categories=tuple(frame.categories),
        table=table,
        base=base,
        local=Local() if by_store is None else _local(frame, posterior, by_store, table, ceiling),
        substitution=np.zeros((0, len(SUBSTITUTION))) if cross is None else _substitution(cross),
    )


def _substitution(cross: Cross) -> Floats:
    """Columns SUBSTITUTION of each category, six decimals; no item sells less when others get dearer."""
    error = np.sqrt(cross.variance)
    columns = (cross.mean, error, cross.mean - NORMAL_95 * error, cross.mean + NORMAL_95 * error)
    table = np.round(np.column_stack(columns), 6)
    table[:, [0, 2, 3]] = np.maximum(table[:, [0, 2, 3]], 0.0)
    return table.astype(np.float64, copy=False)


def _local(frame: ResponseFrame, posterior: Posterior, by_store: Differences, table: Floats, ceiling: float) -> Local:
    order = np.lexsort((frame.sku_of_series, frame.store_of_series))
    sku = frame.sku_of_series[order]
    mean = posterior.mean[sku, 0] + by_store.mean[order]
    variance = posterior.covariance[sku, 0, 0] + by_store.variance[order]
    prior, weight = (table[sku, MEASURES.index(name)] for name in ("prior", "weight"))
    return Local(
        stores=tuple(frame.stores),
        store=frame.store_of_series[order],
        sku=sku,
        table=_measures(mean, variance, prior, weight, ceiling),
    )


def _measures(mean: Floats, variance: Floats, prior: Floats, weight: Floats, ceiling: float) -> Floats:
    """Columns MEASURES of normals cut off at `ceiling`, six decimals."""
    elasticity, error, lo, hi = truncate(mean, np.sqrt(variance), ceiling)
    columns = (elasticity, error, lo, hi, prior, weight)
    return np.round(np.column_stack(columns), 6).astype(np.float64, copy=False)


def _write_local(local: Local) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["store", "sku", *MEASURES])
    writer.writerows(zip(local.store.tolist(), local.sku.tolist(), *local.table.T.tolist(), strict=True))
    return text.getvalue().encode()


def _read_document(content: bytes) -> Document:
    raw = from_json(content)  # refuses what is nested so deeply that json.loads would end the process
    require(isinstance(raw, dict), f"{RESPONSE_FILE} holds no object")
    if raw.get("format") not in READABLE:
        raise PriceModelError(f"the pricing model has format {raw.get('format')}, this code reads {READABLE}")
    document = Document.model_validate(raw)
    refuse_shapes(document, MEASURES, SUBSTITUTION)
    return document


def _read_local(folder: Path, document: Document) -> Local:
    values = np.loadtxt(folder / STORES_FILE, delimiter=",", skiprows=1, ndmin=2)
    require(values.shape[1] == 2 + len(MEASURES), f"{STORES_FILE} has {values.shape[1]} columns")
    store = whole(values[:, 0], len(document.stores), "store")
    sku = whole(values[:, 1], len(document.skus), "SKU")
    ascending = np.diff(store * len(document.skus) + sku) > 0
    require(bool(ascending.all()), f"{STORES_FILE} is not sorted by store and SKU")
    return Local(tuple(document.stores), store, sku, np.ascontiguousarray(values[:, 2:]))


def _read_substitution(document: Document) -> Floats:
    columns = document.substitution or dict.fromkeys(SUBSTITUTION, [])
    return np.column_stack([np.array(columns[name], dtype=np.float64) for name in SUBSTITUTION])


def _write_base(base: pa.Table) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(BASE_COLUMNS)
    columns = [base[name].to_pylist() for name in ("store_id", "sku")]
    numbers = [np.round(base[name].to_numpy(), 6).tolist() for name in ("units_per_day", "price")]
    writer.writerows(zip(*columns, *numbers, strict=True))
    return text.getvalue().encode()


def _read_base(text: str) -> pa.Table:
    head, *rows = [*csv.reader(io.StringIO(text))] or [[]]
    require(head == BASE_COLUMNS and all(len(row) == len(head) for row in rows), f"{BASE_FILE} has other columns")
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    units, price = (np.array(columns[i], dtype=np.float64) for i in (2, 3))
    refuse_base(units, price)
    texts = {name: pa.array(columns[i], pa.string()) for i, name in enumerate(BASE_COLUMNS[:2])}
    return pa.table(texts | {"units_per_day": units, "price": price})
