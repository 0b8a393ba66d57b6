"""What `retail status` says of a home on which a day was decided twice."""

from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.commands.status import price_status
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake


def test_a_price_that_was_decided_again_counts_once(tiny_copy: Home) -> None:
    lake = Lake.at(tiny_copy.lake)
    before, rows = price_status(lake), lake.open("decisions", "pricing").to_pyarrow_table()
    again = rows.filter(pc.equal(rows["mode"], "batch")).slice(0, 10)
    for name, values in (("decision_id", [f"again-{n}" for n in range(10)]),
                         ("at", [at + timedelta(hours=1) for at in again["at"].to_pylist()])):  # fmt: skip
        place = again.schema.get_field_index(name)
        again = again.set_column(place, again.schema.field(place), pa.array(values, again.schema.field(place).type))
    lake.append("decisions", "pricing", again)
    after = price_status(lake)
    assert before is not None and after is not None
    assert (after.decided, after.changed) == (before.decided, before.changed)
    assert after.decided > 10
