"""The demand response model as decisions use it: elasticities with their intervals, read from text files."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from retail_assets.core.errors import RetailError
from retail_assets.pricing.frames import ResponseFrame
from retail_assets.pricing.response import Fit
from retail_assets.pricing.shrinkage import truncate

PRODUCT = "pricing"
RESPONSE_FILE = "response.json"
BASE_FILE = "base_demand.txt"
FORMAT = 1
SOURCES = ("sku", "category", "chain")
MEASURES = ("elasticity", "standard_error", "lo", "hi", "prior", "weight")

Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]


class PriceModelError(RetailError):
    """A stored model that cannot be read."""


@dataclass(frozen=True)
class Response:
    """Demand response of each row asked for, arrays of shape (rows,).

    `elasticity` is the percentage change of units for one percent of price, below zero; `lo` and `hi` its 95 %
    interval; `prior` what the category alone says; `weight` the share of the SKU's own sales in it (0 to 1); `source`
    an index into SOURCES: whether the SKU, only its category, or neither was learnt from.
    """

    elasticity: Floats
    standard_error: Floats
    lo: Floats
    hi: Floats
    prior: Floats
    weight: Floats
    source: npt.NDArray[np.int8]


@dataclass(frozen=True)
class BaseDemand:
    """Units of a store-SKU on a day with stock in the recent past, at the mean price it was sold for (currency)."""

    units_per_day: float
    price: float


@dataclass(frozen=True)
class PriceModel:
    """Demand response per SKU, with its category and the whole chain as what is known of SKUs never seen.

    `table` has a row per SKU, then one per category, then one for the chain; its columns are MEASURES.
    """

    version: str
    until: str
    skus: tuple[str, ...]
    categories: tuple[str, ...]
    table: Floats
    base: pa.Table

    @classmethod
    def load(cls, path: Path | str) -> "PriceModel":
        """Reads a model from its folder in the model store; the folder's name is its version."""
        folder = Path(path)
        try:
            document = json.loads((folder / RESPONSE_FILE).read_bytes())
            base = _read_base((folder / BASE_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise PriceModelError(f"the pricing model cannot be read: {error}", where=str(folder)) from error
        if document["format"] != FORMAT:
            raise PriceModelError(
                f"the pricing model has format {document['format']}, this code reads {FORMAT}", where=str(folder)
            )
        return cls(
            version=folder.name,
            until=document["until"],
            skus=tuple(document["skus"]),
            categories=tuple(document["categories"]),
            table=np.column_stack([np.array(document[name], dtype=np.float64) for name in MEASURES]),
            base=base,
        )

    def files(self) -> dict[str, bytes]:
        """The model as text files, the same bytes for the same model."""
        document: dict[str, Any] = {"format": FORMAT, "until": self.until}
        document |= {"skus": list(self.skus), "categories": list(self.categories)}
        document |= {name: self.table[:, i].tolist() for i, name in enumerate(MEASURES)}
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        return {RESPONSE_FILE: text.encode(), BASE_FILE: _write_base(self.base)}

    def response(self, skus: Sequence[str] | Texts, categories: Sequence[str | None] | Texts) -> Response:
        """The response of each (SKU, category): the SKU's own, else its category's, else the chain's."""
        sku_row = self._sku_index.get_indexer(pd.Index(skus, dtype=object))
        category_row = self._category_index.get_indexer(pd.Index(categories, dtype=object))
        row = np.where(category_row >= 0, category_row + len(self.skus), len(self.table) - 1)
        row = np.where(sku_row >= 0, sku_row, row)
        source = np.where(sku_row >= 0, 0, np.where(category_row >= 0, 1, 2)).astype(np.int8)
        picked = self.table[row]
        measures = {name: np.ascontiguousarray(picked[:, i]) for i, name in enumerate(MEASURES)}
        return Response(**measures, source=source)

    def base_demand(self, store_id: str, sku: str) -> BaseDemand | None:
        """What the store sold of the SKU in the recent past; None where it sold none in that time."""
        return self._base_index.get((store_id, sku))

    def unsound(self) -> tuple[int, list[str]]:
        """How many rows (SKUs, categories, chain) are not finite, below zero and inside their interval; which SKUs."""
        elasticity, _, lo, hi, _, _ = self.table.T
        sound = (lo <= elasticity) & (elasticity <= hi) & (hi < 0) & np.isfinite(self.table).all(axis=1)
        wrong = np.flatnonzero(~sound)
        return len(wrong), [self.skus[row] for row in wrong.tolist() if row < len(self.skus)]

    @cached_property
    def _sku_index(self) -> "pd.Index[Any]":
        return pd.Index(self.skus, dtype=object)

    @cached_property
    def _category_index(self) -> "pd.Index[Any]":
        return pd.Index(self.categories, dtype=object)

    @cached_property
    def _base_index(self) -> dict[tuple[str, str], BaseDemand]:
        columns = [self.base[name].to_pylist() for name in ("store_id", "sku", "units_per_day", "price")]
        return {(store, sku): BaseDemand(units, price) for store, sku, units, price in zip(*columns, strict=True)}


def model_of(frame: ResponseFrame, fit: Fit, base: pa.Table, until: str, ceiling: float) -> PriceModel:
    """The model that a fit gives: posteriors cut off at `ceiling`, so that every elasticity is below zero."""
    posterior, prior = fit.posterior, fit.posterior.prior
    mean = np.concatenate([posterior.mean[:, 0], prior.mean[:, 0], prior.chain_mean[:1]])
    category_variance = prior.variance[:, 0] + prior.mean_variance[:, 0]
    chain_variance = prior.chain_variance[:1] + prior.variance[:, 0].mean()
    variance = np.concatenate([posterior.covariance[:, 0, 0], category_variance, chain_variance])
    elasticity, error, lo, hi = truncate(mean, np.sqrt(variance), ceiling)
    own = frame.category_of_sku
    known = posterior.own_weight(own, 0)
    categories = len(frame.categories)
    expected = elasticity[len(frame.skus) :]
    columns = {
        "elasticity": elasticity,
        "standard_error": error,
        "lo": lo,
        "hi": hi,
        "prior": np.concatenate([expected[own], expected]),
        "weight": np.concatenate([known, np.zeros(categories + 1)]),
    }
    return PriceModel(
        version="",
        until=until,
        skus=tuple(frame.skus),
        categories=tuple(frame.categories),
        table=np.column_stack([np.round(columns[name], 6) for name in MEASURES]),
        base=base,
    )


def _write_base(base: pa.Table) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["store_id", "sku", "units_per_day", "price"])
    columns = [base[name].to_pylist() for name in ("store_id", "sku")]
    numbers = [np.round(base[name].to_numpy(), 6).tolist() for name in ("units_per_day", "price")]
    writer.writerows(zip(*columns, *numbers, strict=True))
    return text.getvalue().encode()


def _read_base(text: str) -> pa.Table:
    rows = list(csv.reader(io.StringIO(text)))
    columns = list(zip(*rows[1:], strict=True)) or [(), (), (), ()]
    return pa.table(
        {
            "store_id": pa.array(columns[0], pa.string()),
            "sku": pa.array(columns[1], pa.string()),
            "units_per_day": pa.array([float(v) for v in columns[2]], pa.float64()),
            "price": pa.array([float(v) for v in columns[3]], pa.float64()),
        }
    )
