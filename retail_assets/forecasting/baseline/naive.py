"""The forecast that needs no model, no feature store and no lake: what the same weekdays sold."""

from datetime import date, timedelta

import numpy as np
import pandas as pd

from retail_assets.resources.lake import Lake
from retail_assets.resources.table_versions import Versions

SALES = "fct_sales_daily"
NAIVE = "seasonal-naive"
WEEKS = 4


class SeasonalNaive:
    """Mean units of each weekday over the last four weeks, per store and SKU: 28 bytes a series, kept in memory.

    A day without a sale counts as zero; one on which the SKU was out of stock does not count.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._versions = Versions(lake)
        self._made_of: tuple[int | None, date] | None = None
        self._rows: dict[tuple[str, str], int] = {}
        self._means = np.empty((0, 7), dtype=np.float32)

    def poll(self, newest_day: date | None) -> None:
        """Reads the last weeks again when sales have a new version or `newest_day` has moved."""
        made_of = (self._versions.of("gold", SALES)[SALES], newest_day)
        if newest_day is None or made_of[0] is None or made_of == self._made_of:
            return
        first = newest_day - timedelta(days=7 * WEEKS - 1)
        with self._lake.connect() as connection:
            found = connection.execute(
                f"""select store_id, sku, isodow(business_date) - 1 as weekday,
                           sum(gross_units)::double / greatest({WEEKS} - count(*) filter (is_stocked_out), 1) as units
                    from (select store_id, sku, business_date, coalesce(is_stocked_out, false) as is_stocked_out,
                                 case when is_stocked_out then 0 else gross_units end as gross_units
                          from {self._lake.scan("gold", SALES)} where business_date between $first and $last)
                    group by all order by store_id, sku""",
                {"first": first, "last": newest_day},
            ).to_arrow_table()
        keys = zip(found["store_id"].to_pylist(), found["sku"].to_pylist(), strict=True)
        rows: dict[tuple[str, str], int] = {}
        places = [rows.setdefault(key, len(rows)) for key in keys]
        means = np.zeros((len(rows), 7), dtype=np.float32)
        means[places, found["weekday"].to_numpy()] = np.maximum(found["units"].to_numpy(), 0)
        self._rows, self._means, self._made_of = rows, means, (made_of[0], newest_day)

    def of(self, store_id: str, sku: str, newest_day: date | None, horizon: int) -> pd.DataFrame | None:
        """`target_date` and `mean` of the `horizon` days after `newest_day`; None for a series without a sale."""
        row, means = self._rows.get((store_id, sku)), self._means
        if row is None or newest_day is None:
            return None
        days = [newest_day + timedelta(days=ahead) for ahead in range(1, horizon + 1)]
        return pd.DataFrame({"target_date": days, "mean": [float(means[row, day.weekday()]) for day in days]})
