"""stub"""

from retail_assets.lineage.document import Trace


def page(trace: Trace) -> str:
    return ""
