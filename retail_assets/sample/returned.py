"""Lines that come back."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from retail_assets.sample.arrays import Bools, Ints


@dataclass(frozen=True)
class Returns:
    """Lines on their way back, with the day, receipt number and line of the sale they refer to."""

    due: Ints
    shop: Ints
    customer: Ints
    sku: Ints
    quantity: Ints
    unit_cents: Ints
    list_cents: Ints
    promo: Ints
    sold_day: Ints
    sold_number: Ints
    sold_line: Ints

    @classmethod
    def none(cls) -> Returns:
        """No returns."""
        return cls(*(np.zeros(0, dtype=np.int64) for _ in fields(cls)))

    @property
    def count(self) -> int:
        """Number of lines."""
        return int(self.shop.size)

    def where(self, mask: Bools) -> Returns:
        """The lines that `mask` keeps."""
        return Returns(*(getattr(self, field.name)[mask] for field in fields(self)))

    def plus(self, other: Returns) -> Returns:
        """Both sets of lines."""
        return Returns(*(np.r_[getattr(self, f.name), getattr(other, f.name)] for f in fields(self)))
