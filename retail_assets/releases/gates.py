"""Gates in action: the newest version of each product goes live when it proves itself, else the old one stays."""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from retail_assets.core.errors import RetailError
from retail_assets.core.gates import Gate
from retail_assets.core.settings import did_you_mean, read_model
from retail_assets.releases.evidence import evidence
from retail_assets.releases.ledger import Ledger
from retail_assets.releases.policy import ReleaseDecision, decide
from retail_assets.releases.refused import record
from retail_assets.releases.rows import CLOUD
from retail_assets.releases.verdicts import Limits
from retail_assets.resources.environments import PROJECT_ROOT
from retail_assets.resources.model_store import ModelStore

CONFIG_FILE = PROJECT_ROOT / "configs" / "releases.yaml"


class ReleaseConfigError(RetailError):
    """configs/releases.yaml has an unknown key or a gate that decides nothing."""


class ReleaseConfig(BaseModel):
    """The gates of each product, one key each; what its canaries may do; the segments that releases can be aimed at.

    A canary of a product without `verdicts` is ended by people only.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    __pydantic_extra__: dict[str, list[Gate]]
    segments: dict[str, list[str]] = {}
    verdicts: dict[str, Limits] = {}

    @classmethod
    def load(cls, file: Path = CONFIG_FILE) -> "ReleaseConfig":
        """Reads and checks `file`; raises ReleaseConfigError that names the key and the value."""
        return read_model(file, cls, ReleaseConfigError)[0]

    def gates(self, product: str) -> list[Gate]:
        """The gates of `product`; raises ReleaseConfigError for what is no product."""
        if product not in self.products():
            hint = did_you_mean(product, self.products())
            todo = f"use {' or '.join(self.products())}; a new product needs gates in {CONFIG_FILE.name}"
            raise ReleaseConfigError(f"there is no product {product!r}{hint}", where=str(CONFIG_FILE), todo=todo)
        return self.__pydantic_extra__[product]

    def products(self) -> tuple[str, ...]:
        """The products that can be released, sorted."""
        return tuple(sorted(self.__pydantic_extra__))


def decide_newest(
    product: str, version: str, store: ModelStore, ledger: Ledger, gates: list[Gate], target: str = CLOUD
) -> ReleaseDecision:
    """What is to be done with a stored version now; changes nothing."""
    live = ledger.live(product, target)
    metrics, live_metrics = evidence(ledger.lake, store, product, version, live.version if live else None, gates)
    return decide(product, version, metrics, live_metrics, gates, ledger.log(), target)


def release_if_passed(
    product: str,
    version: str,
    store: ModelStore,
    ledger: Ledger,
    gates: list[Gate],
    *,
    by: str,
    target: str = CLOUD,
    run_id: str | None = None,
) -> ReleaseDecision:
    """Decides on a stored version and promotes it in the ledger when it passed; of a rejected one is noted why.

    The bytes of the version are verified before it goes live. Raises ModelStoreError when they were changed, and
    LedgerConflict when somebody released the product meanwhile.
    """
    decision = decide_newest(product, version, store, ledger, gates, target)
    if decision.outcome == "promote" and decision.report is not None:
        store.path(product, version)
        report = json.dumps(decision.report.as_dict(), sort_keys=True)
        ledger.promote(
            product, version, by=by, reason=_reason(decision), target=target, gate_report=report, run_id=run_id
        )
    record(ledger.lake, decision, run_id, target)
    return decision


def _reason(decision: ReleaseDecision) -> str:
    compared = len(decision.report.comparisons) if decision.report else 0
    return f"passed {compared} comparisons with floors, baselines and {decision.live or 'nothing live before it'}"
