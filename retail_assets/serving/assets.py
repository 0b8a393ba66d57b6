"""The asset of the Bentos."""

import dagster as dg

from retail_assets.core.markdown import table
from retail_assets.resources.environments import Home


@dg.asset(
    key=["serving", "bentos"],
    group_name="serving",
    owners=["team:data-platform"],
    kinds={"bentoml"},
    code_version="1",
    description="One Bento per product, of this code and exact package versions, for the cloud and every store; what "
    "they serve is named by the release ledger. Not part of a refresh: materialise it when the code is released.",
)
def bentos(home: dg.ResourceParam[Home]) -> dg.MaterializeResult:
    """Builds what has changed."""
    from retail_assets.serving.processes.bentos import build_all

    built = build_all(home.models)
    rows = ((product, tag, "yes" if new else "no") for product, (tag, _, new) in built.items())
    made = dg.MetadataValue.md(table(("product", "Bento", "built now"), rows))
    return dg.MaterializeResult(metadata={"bentos": made, "dagster/row_count": len(built)})


ASSETS = [bentos]
