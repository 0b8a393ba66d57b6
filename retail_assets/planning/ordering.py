"""configs/ordering.yaml: service level, lead time, review period and case pack of every store-SKU."""

from pathlib import Path
from typing import Annotated, Self

import pandas as pd
from pydantic import Field

from retail_assets.planning.config import Count, Frozen, Share
from retail_assets.resources.environments import PROJECT_ROOT

CONFIG_FILE = PROJECT_ROOT / "configs" / "ordering.yaml"
TERMS = ("service_level", "lead_days", "review_days", "case_pack")
SECTIONS = {"departments": "department", "categories": "category", "stores": "store_id", "skus": "sku"}

ServiceLevel = Annotated[float, Field(ge=0.5, le=0.999)]


class Terms(Frozen):
    """The terms of one store-SKU."""

    service_level: ServiceLevel
    lead_days: Count
    review_days: Count
    case_pack: Count


class SomeTerms(Frozen):
    """Terms that differ from those before; None: not stated."""

    service_level: ServiceLevel | None = None
    lead_days: Count | None = None
    review_days: Count | None = None
    case_pack: Count | None = None


class CalibrationConfig(Frozen):
    """How the quantiles of sums are learnt, and when their check fails."""

    bands: Count
    rows_per_band: Count
    tolerance: Share
    gated_rows: Count


class OrderingConfig(Frozen):
    """The whole file."""

    defaults: Terms
    departments: dict[str, SomeTerms]
    categories: dict[str, SomeTerms]
    stores: dict[str, SomeTerms]
    skus: dict[str, SomeTerms]
    calibration: CalibrationConfig

    @classmethod
    def load(cls, file: Path = CONFIG_FILE) -> Self:
        """Reads the shipped file, or `file`; raises PlanningConfigError."""
        return cls.read(file)

    def service_levels(self) -> list[float]:
        """Every service level that some store-SKU may have, ascending."""
        stated = [t.service_level for section in SECTIONS for t in getattr(self, section).values() if t.service_level]
        return sorted({self.defaults.service_level, *stated})

    def terms(self, series: pd.DataFrame) -> pd.DataFrame:
        """TERMS and `protection_days` for each row of `series` (store_id, sku, department, category).

        An order after closing must last until the next one arrives: lead_days + review_days - 1 days of sales.
        """
        found = {}
        for term in TERMS:
            values = pd.Series(getattr(self.defaults, term), index=series.index)
            for section, column in SECTIONS.items():
                stated = {name: getattr(t, term) for name, t in getattr(self, section).items()}
                own = series[column].map({name: value for name, value in stated.items() if value is not None})
                values = own.astype(float).fillna(values) if own.notna().any() else values
            found[term] = values.astype(float if term == "service_level" else int)
        terms = pd.DataFrame(found, index=series.index)
        return terms.assign(protection_days=terms["lead_days"] + terms["review_days"] - 1)
