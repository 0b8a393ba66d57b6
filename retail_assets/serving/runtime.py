"""What every product's service is made of: the live model, the decision log, the catalogue and the metrics."""

import gc
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Generic, TypeVar

import duckdb
from deltalake.exceptions import DeltaError

from retail_assets.core.background import Beside, Every
from retail_assets.core.errors import RetailError
from retail_assets.core.manifest import Manifest
from retail_assets.core.products import load as load_code
from retail_assets.decisions.log import DecisionLog
from retail_assets.decisions.spool import Append
from retail_assets.releases.canary_watch import WATCH_EVERY_S, CanaryWatch
from retail_assets.releases.gates import ReleaseConfig
from retail_assets.releases.ledger import Ledger
from retail_assets.releases.rows import CLOUD
from retail_assets.releases.targets import STORE, Targets
from retail_assets.resources.environments import Environment, workers
from retail_assets.resources.model_proof import proven
from retail_assets.resources.model_store import ModelStore
from retail_assets.serving.catalogue import Catalogue
from retail_assets.serving.counts import Siblings
from retail_assets.serving.live import POLL_EVERY_S, LiveModel
from retail_assets.serving.processes.tether import StartedBy
from retail_assets.serving.service_metrics import ServiceMetrics

logger = logging.getLogger(__name__)
Model = TypeVar("Model")

REFRESH_EVERY_S = 5.0
LAKE_ERRORS = (DeltaError, duckdb.Error, OSError, RetailError)
UNREACHED_AFTER_S = 4 * REFRESH_EVERY_S
TARGET_VARIABLE = "RETAIL_TARGET"
STORE_LINE = "retail_assets.stores.link:decision_sender"  # named and not imported: stores stand above services


class GoldGone(RetailError):
    """Gold was there and is not: what is in memory is better than what an empty lake says."""


class Runtime(Generic[Model]):
    """One service process of one product. Nothing runs before `start`."""

    def __init__(
        self,
        product: str,
        environment: Environment,
        load: Callable[[Path, Manifest], Model],
        target: str | None = None,
        also_poll: Callable[[], None] | None = None,
    ) -> None:
        """`load` makes a model of a checked folder; `also_poll` looks at gold every few seconds.

        `target` is what this process answers for, by default what RETAIL_TARGET names, else the cloud. Raises
        LedgerError for one that does not exist.
        """
        lake, home = environment.lake, environment.home
        self.product = product
        self.started_at = datetime.now(UTC)
        segments = ReleaseConfig.load().segments
        target = target or os.environ.get(TARGET_VARIABLE, CLOUD)
        chain = Targets.of(lake, segments).chain(target)
        store = ModelStore.at(home.models)
        self.live = LiveModel(
            product,
            Ledger(lake),
            store,
            load,
            chain,
            lambda: Targets.of(lake, segments),
            lambda version, stopped: proven(store, product, version, stopped),
        )
        self.catalogue = Catalogue(lake)
        self.log = DecisionLog(
            lake,
            product,
            home.root / "spool" / "decisions",
            send=self._sender(environment, target),
            require_lake=self._require_gold,
        )
        siblings = Siblings(home.root / "spool" / "counts", product) if workers() > 1 else None
        self.metrics = ServiceMetrics(product, self._gauges, self._version_labels, siblings)
        self.refreshed_at = monotonic()
        self._lake, self._gold_seen = lake, False
        limits = ReleaseConfig.load().verdicts.get(product) if not chain[0].startswith(STORE) else None
        self.watch = CanaryWatch(
            Ledger(lake),
            limits,
            self.live.canaries,
            lambda aimed: Targets.of(lake, segments).chain(aimed)[1:],
        )
        self._watching = Every(WATCH_EVERY_S, self.watch.look, f"watch-{product}")
        self._also_poll = also_poll
        self._beside = Beside(self.log.record, f"shadow-{product}")
        self._started_by = StartedBy()
        self._following = Every(POLL_EVERY_S, self._follow, f"follow-{product}")
        self._refreshing = Every(REFRESH_EVERY_S, self._refresh, f"refresh-{product}")

    @staticmethod
    def _sender(environment: Environment, target: str) -> Append | None:
        """Where the decisions of a store go; None everywhere else: they go into the lake."""
        if environment.centre is None:
            return None
        sender: Append = load_code(STORE_LINE)(environment, target)
        return sender

    def start(self) -> None:
        """Reads what is known and loads what is live now, then follows both."""
        self.log.start()
        for loop in (self._refreshing, self._following):
            loop.once()
            loop.start()
        self._watching.start()
        gc.collect()
        gc.freeze()  # what is loaded stays: looking through all of it again would hold answers up for 0.2 s

    def _refresh(self) -> None:
        self._require_gold()
        self.catalogue.poll()
        if self._also_poll is not None:
            self._also_poll()
        self.refreshed_at = monotonic()

    def _require_gold(self) -> None:
        """Raises GoldGone when gold was there before and is not."""
        there = self._lake.exists("gold", Catalogue.TABLES["store_id"])
        if self._gold_seen and not there:
            raise GoldGone("gold cannot be reached: answers rest on what is in memory", where=self._lake.uri)
        self._gold_seen = there

    def _follow(self) -> None:
        self.live.poll()
        self.metrics.publish()
        if self._started_by.gone():
            logger.error("the process that started this service is gone: it stops too")
            self._started_by.stop()

    def beside(self, work: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        """Makes rows for the log after the answer has left; dropped, and counted, when too much is waiting."""
        self._beside.take(work)

    def ready(self) -> bool:
        """Whether there is a model to answer with."""
        return self.live.current is not None

    def version(self) -> dict[str, Any]:
        """What answers, since when and by whose word; and what was refused."""
        live, refused = self.live.current, self.live.refused
        return {
            "product": self.product,
            "target": self.live.target,
            "version": live.release.version if live else None,
            "action": live.release.action if live else None,
            "released_at": live.release.at if live else None,
            "released_by": live.release.by if live else None,
            "reason": live.release.reason if live else None,
            "previous": live.release.previous if live else None,
            "loaded_at": live.loaded_at if live else None,
            "git_commit": live.manifest.git_commit if live else None,
            "trained_until": live.manifest.train_until if live else None,
            "stores": self.live.exceptions(),
            "refused": {"version": refused.version, "reason": refused.reason, "at": refused.at} if refused else None,
            "ledger_read_at": self.live.ledger_read_at,
            "started_at": self.started_at,
        }

    def cache_age_s(self) -> float | None:
        """Seconds since gold was last looked at, once that is longer than it should be: gold cannot be reached."""
        age = monotonic() - self.refreshed_at
        return age if age > UNREACHED_AFTER_S else None

    def about(self) -> dict[str, str]:
        """What every log line of this process says."""
        return {"product": self.product} | self._version_labels()

    def _version_labels(self) -> dict[str, str]:
        live = self.live.current
        return {"version": live.release.version if live else "none", "target": self.live.target}

    def _gauges(self) -> dict[str, tuple[str, float]]:
        backlog = self.log.backlog
        waiting = (datetime.now(UTC) - backlog.oldest_at).total_seconds() if backlog.oldest_at else 0.0
        return {
            "model_live": ("1 when a model answers", float(self.ready())),
            "model_swaps": ("Versions taken since the start, the first included", self.live.swaps),
            "model_refusals": ("Released versions that could not be loaded", self.live.refusals),
            "model_refused": ("1 while a released version is refused", float(self.live.refused is not None)),
            "decision_log_backlog_rows": ("Decisions on this machine and not yet in the lake", backlog.rows),
            "decision_log_backlog_seconds": ("Age of the oldest sealed segment", waiting),
            "decision_log_shipped_rows": ("Decisions moved to the lake since the start", backlog.shipped_rows),
            "decision_log_recovered_rows": ("Decisions found from a process that died", backlog.recovered_rows),
            "decision_log_refused_segments": ("Segments that the centre will never take", backlog.refused_segments),
            "decision_log_failures": ("Attempts to reach the lake that failed", backlog.failures),
            "cache_age_seconds": ("Time since gold was last looked at", monotonic() - self.refreshed_at),
            "refresh_failures": ("Looks at gold that failed", self._refreshing.failures),
            "shadow_rows": ("Decisions of shadow versions logged since the start", self._beside.rows),
            "shadow_dropped": (
                "Questions that no shadow was asked, because too many were waiting",
                self._beside.dropped,
            ),
            "shadow_failures": ("Questions that a shadow could not answer", self._beside.failures),
            "canaries_withdrawn": ("Canaries that this process found unsafe", self.watch.withdrawn),
            "canaries_promoted": ("Canaries that this process promoted after good traffic", self.watch.promoted),
            "watch_failures": ("Verdicts that could not be carried out", self._watching.failures),
            "follow_failures": ("Looks at the ledger that failed", self._following.failures),
        }

    def close(self) -> None:
        """Stops following, moves what is logged to the lake and gives the spool back."""
        self.live.stop_loading()
        self._watching.stop()
        self._following.stop()
        self._refreshing.stop()
        self._beside.close()
        self.live.close()
        self.log.close()
