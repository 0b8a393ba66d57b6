"""RETAIL_ENV and RETAIL_HOME: which outside systems this process talks to, and where they are."""

import os
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from retail_assets.core.errors import RetailError
from retail_assets.resources.fanout import Fanout
from retail_assets.resources.lake import Lake

READY = ("local", "test")
PLANNED = ("acceptance", "production")
CENTRE, STORE_TOKEN, STORE_TOKEN_FILE = "RETAIL_CENTRE", "RETAIL_STORE_TOKEN", "store.token"
KEYS, KEYS_FILE, WORKERS = "RETAIL_KEYS", "keys.json", "RETAIL_WORKERS"
PRICING_URL = "RETAIL_PRICING_URL"
ALLOWED_HOSTS = "RETAIL_ALLOWED_HOSTS"
DASK = "RETAIL_DASK"
PROJECT_ROOT = Path(__file__).resolve().parents[2]


ODD = re.compile(r"[#?\[\]\\|^\x00-\x1f\x7f]|%[0-9A-Fa-f]{2}")
"""Signs in a path that delta-rs or DuckDB take for something else: they use another folder, or stop. Both follow links
and make URLs of what they find, so no other name of the folder would help.
"""


class UnavailableEnvironment(RetailError):
    """RETAIL_ENV names an environment that does not exist, or not yet."""


class Home(BaseModel):
    """The folder of one retailer (one banner): nothing in it is ever shared with another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: Path

    @classmethod
    def at(cls, root: Path | str) -> "Home":
        """A home rooted at `root`, made absolute; nothing is created. Raises UnavailableEnvironment for odd names."""
        path = Path(root).expanduser().resolve()
        if found := ODD.search(str(path)):
            raise UnavailableEnvironment(
                f"no home can be below a folder with {found.group()!r} in its name: its tables would lie elsewhere",
                where=str(path),
                todo="use a folder without # ? [ ] \\ | ^, control characters, or % before two hexadecimal digits",
            )
        return cls(root=path)

    @property
    def landing(self) -> Path:
        """Files as they were delivered."""
        return self.root / "landing"

    @property
    def truth(self) -> Path:
        """What the simulator knows and no asset upstream of an evaluation may read."""
        return self.root / "truth"

    @property
    def lake(self) -> Path:
        """Delta tables: bronze, quarantine, gold, ops, decisions."""
        return self.root / "lake"

    @property
    def warehouse(self) -> Path:
        """dbt's private DuckDB file; may be deleted at any time."""
        return self.root / "warehouse" / "retail.duckdb"

    @property
    def features(self) -> Path:
        """Feast's registry and online store."""
        return self.root / "features"

    @property
    def models(self) -> Path:
        """BentoML's home: its model store and the Bentos built from it."""
        return self.root / "models"

    @property
    def dagster(self) -> Path:
        """Dagster's instance: runs, event log, schedules."""
        return self.root / "dagster"

    @property
    def outbox(self) -> Path:
        """Files for other systems, such as price files."""
        return self.root / "outbox"

    @property
    def logs(self) -> Path:
        """Output of the servers that `retail dev` starts."""
        return self.root / "logs"


class Environment(BaseModel):
    """One named set of outside systems. `centre` is the URL that a store pulls from; None everywhere else."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    home: Home
    lake: Lake
    centre: str | None = None


def pricing_url() -> str:
    """Where people reach the pricing service: RETAIL_PRICING_URL, or the port of `retail dev`. Without a last slash."""
    return os.environ.get(PRICING_URL, "http://localhost:3002").rstrip("/")


def keys_file(home: Home) -> Path:
    """Where the API keys of a home are kept: RETAIL_KEYS, or keys.json in the home."""
    return Path(os.environ.get(KEYS) or home.root / KEYS_FILE)


def allowed_hosts() -> tuple[str, ...]:
    """By which names callers may ask besides those of configs/serving.yaml: RETAIL_ALLOWED_HOSTS, with commas."""
    return tuple(name.strip() for name in os.environ.get(ALLOWED_HOSTS, "").split(",") if name.strip())


def workers() -> int:
    """How many processes answer for each service: RETAIL_WORKERS, by default 1. Raises UnavailableEnvironment."""
    stated = os.environ.get(WORKERS, "1")
    if not stated.isdecimal() or int(stated) < 1:
        raise UnavailableEnvironment(f"{WORKERS}={stated!r} is not a number of processes", todo="use 1 or more")
    return int(stated)


def fanout(processes: int = 1) -> Fanout:
    """Where training and forecasts fan out: the Dask scheduler at RETAIL_DASK, or `processes` of this machine."""
    return Fanout(processes=processes, scheduler=os.environ.get(DASK) or None)


def store_token(home: Home) -> str | None:
    """What a store shows its centre: RETAIL_STORE_TOKEN, or the file store.token in its home; None where neither is."""
    if stated := os.environ.get(STORE_TOKEN):
        return stated
    file = home.root / STORE_TOKEN_FILE
    return (file.read_text(encoding="utf-8").strip() or None) if file.is_file() else None


def current() -> Environment:
    """The environment RETAIL_ENV names (default `local`) with the home RETAIL_HOME names (default `.retail`).

    Raises UnavailableEnvironment for a name that is unknown or whose systems do not exist yet. Touches no file.
    """
    name = os.environ.get("RETAIL_ENV", "local")
    if name in PLANNED:
        raise UnavailableEnvironment(
            f"RETAIL_ENV={name!r} is planned but has no resources yet",
            where="retail_assets/resources/environments.py",
            todo=f"use one of {', '.join(READY)}",
        )
    if name not in READY:
        raise UnavailableEnvironment(
            f"RETAIL_ENV={name!r} is not an environment", todo=f"use one of {', '.join(READY + PLANNED)}"
        )
    home = Home.at(os.environ.get("RETAIL_HOME") or PROJECT_ROOT / ".retail")
    return Environment(name=name, home=home, lake=Lake.at(home.lake), centre=os.environ.get(CENTRE) or None)
