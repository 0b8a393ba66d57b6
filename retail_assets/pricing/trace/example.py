"""The trace that the Dagster UI shows with a batch of decisions: one price, told from end to end."""

from datetime import date

from retail_assets.core.errors import RetailError
from retail_assets.pricing.trace.trace import trace_from
from retail_assets.pricing.trace.words import markdown
from retail_assets.resources.environments import pricing_url
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore

EXAMPLE = """
select decision_id from {decisions} where mode = 'batch' and business_date = date '{day}'
order by output::json->>'outcome' <> 'changed', md5(decision_id) limit 1
"""


def example_trace(lake: Lake, store: ModelStore, business_date: date) -> str:
    """Markdown of one traced and replayed decision of a day; what failed, where it cannot be traced."""
    sql = EXAMPLE.format(decisions=lake.scan("decisions", "pricing"), day=business_date.isoformat())
    found = lake.query(sql)["decision_id"].to_pylist()
    if not found:
        return "no decision to trace"
    try:
        said = markdown(trace_from(lake, store, found[0], replay=True))
    except RetailError as error:
        return f"decision {found[0]} cannot be traced: {error}"
    return f"{said}\n\n[The whole trace as a page]({pricing_url()}/trace/{found[0]}?replay=true)"
