"""How complete a training set is."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from retail_assets.features.registry import repository
from retail_assets.features.training import base_table, entity_columns

if TYPE_CHECKING:
    from retail_assets.features.store import FeatureStore


@dataclass(frozen=True)
class Completeness:
    """Rows of a training set against the keys and days of gold, and the share whose base features were known."""

    rows: int
    expected: int
    known_share: float
    start: date | None
    end: date | None


def training_completeness(features: "FeatureStore", service_name: str, days: int) -> Completeness:
    """Builds the training set of the newest `days` days. A known share of 1 and no rows for an empty gold."""
    service = repository().service(service_name)
    source = features.lake.scan("gold", base_table(service))
    newest = features.lake.query(f"select max(business_date) as day from {source}")["day"][0].as_py()
    if newest is None:
        return Completeness(0, 0, 1.0, None, None)
    start = newest - timedelta(days=days - 1)
    keys = ", ".join([*entity_columns(service), "business_date"])
    expected = features.lake.query(
        f"select count(*) as n from (select distinct {keys} from {source} where business_date >= date '{start}')"
    )["n"][0].as_py()
    table = features.training_set(service_name, start, newest)
    base = service.feature_view_projections[0]
    known = pc.invert(pc.is_null(table[base.features[0].name]))
    return Completeness(table.num_rows, expected, pc.mean(pc.cast(known, "float64")).as_py() or 0.0, start, newest)
