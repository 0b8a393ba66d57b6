"""Which batches wait for a person whatever the mode: the first of a home, of a store, and of a new kind of model. Pure.

A model that has priced nothing yet has proven nothing yet: a person looks at its first prices before they follow the
mode.
"""

from collections.abc import Iterable

from retail_assets.core.manifest import Manifest
from retail_assets.pricing.publish.publication import Publication, is_correction

FIRST = "the first batch of a"


def model_kind(manifest: Manifest) -> str:
    """What a version is of: its code, and whether it tells stores apart."""
    level = "store and SKU" if manifest.metrics.get("store_level") else "SKU"
    return f"code {manifest.config.get('code_version', '?')}, elasticities per {level}"


def waits_for_a_person(store_id: str, kind: str, log: Iterable[Publication]) -> str | None:
    """Why the batch of a store waits; None where it may follow the mode.

    `log` are the rows of ops/price_publications. One from before kinds were recorded says that any kind was looked at.
    """
    published = [row for row in log if row.status == "published" and not is_correction(row.batch_id)]
    if not published:
        return f"{FIRST} home waits for a person"
    known = {row.model_kind for row in published if row.store_id == store_id}
    if not known:
        return f"{FIRST} store waits for a person"
    if None in known or kind in known:
        return None
    return f"{FIRST} new kind of model waits for a person: {kind}"
