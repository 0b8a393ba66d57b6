"""API keys: who may ask a service what, and how often.

A key is `rk_<id>_<secret>` with 256 random bits of secret. The file keeps ids, scopes and the SHA-256 of each key,
never a key: a hash that is slow by design protects guessable passwords, and these cannot be guessed. A home without
the file asks for no key, which is allowed on loopback only (see exposure.py); once it exists, every service asks.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Annotated

from filelock import FileLock
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from retail_assets.core.errors import RetailError
from retail_assets.core.private import private_folder
from retail_assets.core.token_bucket import TokenBucket
from retail_assets.resources import durable
from retail_assets.serving.config import Rate, ServingConfig
from retail_assets.serving.connections.address_buckets import AddressBuckets

LOOK_EVERY_S = 1.0
KEY = re.compile(rb"rk_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
BEARER, BASIC = b"bearer ", b"basic "
NO_KEY = "0" * 64
WRONG = Rate(per_second=1, burst=30)


class KeyFileError(RetailError):
    """The file of keys cannot be read, or a command names a key or scope that does not exist."""


class Key(BaseModel):
    """One key as it is kept: everything but the key itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    scopes: frozenset[str]
    rate: Rate
    made_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None

    def state(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[Key, ...] = ()


class KeyStore:
    """The file of keys, changed by one command at a time and replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def all(self) -> tuple[Key, ...]:
        """Every key ever made, revoked ones included, oldest first; none without a file. Raises KeyFileError."""
        return read_keys(self.path)

    def add(
        self,
        name: str,
        scopes: frozenset[str],
        config: ServingConfig,
        *,
        rate: Rate | None = None,
        days: int | None = None,
    ) -> tuple[Key, str]:
        """Makes a key for `scopes` that ends after `days` (None: never); returns both.

        Raises KeyFileError for a scope that no route knows, or none.
        """
        unknown = sorted(scopes - config.scopes.keys())
        if unknown or not scopes:
            raise KeyFileError(
                f"unknown scope {', '.join(unknown)}" if unknown else "a key needs a scope",
                todo=f"scopes are {', '.join(sorted(config.scopes))}",
            )
        now, key_id = datetime.now(UTC), secrets.token_hex(6)
        secret = f"rk_{key_id}_{secrets.token_urlsafe(32)}"
        made = Key(
            id=key_id,
            name=name,
            sha256=hashlib.sha256(secret.encode()).hexdigest(),
            scopes=scopes,
            rate=rate or config.rate,
            made_at=now,
            expires_at=None if days is None else now + timedelta(days=days),
        )
        with self._locked():
            self._write((*self.all(), made))
        return made, secret

    def revoke(self, key_id: str) -> Key:
        """Ends a key; services refuse it within a second. Revoking twice changes nothing. Raises KeyFileError."""
        with self._locked():
            keys = {key.id: key for key in self.all()}
            if key_id not in keys:
                raise KeyFileError(f"there is no key {key_id}", where=str(self.path), todo="see `retail keys list`")
            if keys[key_id].revoked_at is None:
                keys[key_id] = keys[key_id].model_copy(update={"revoked_at": datetime.now(UTC)})
                self._write(tuple(keys.values()))
            return keys[key_id]

    def _locked(self) -> FileLock:
        private_folder(self.path.parent)
        return FileLock(f"{self.path}.lock")

    def _write(self, keys: tuple[Key, ...]) -> None:
        durable.write(self.path, _File(keys=keys).model_dump_json(indent=2) + "\n", mode=0o600)


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys of a file, none where it does not exist; raises KeyFileError when it is not a file of keys."""
    if not path.exists():
        return ()
    try:
        return _File.model_validate(json.loads(path.read_bytes())).keys
    except (OSError, ValueError, ValidationError) as error:
        raise KeyFileError(
            "the file of API keys cannot be read, so nobody is let in",
            where=str(path),
            todo=f"repair it, or move it away and make new keys with `retail keys add` ({type(error).__name__})",
        ) from error


@dataclass(slots=True)
class Caller:
    """A key that was presented, its bucket, and how many of its requests are answered now."""

    key: Key
    bucket: TokenBucket
    active: int = 0


class KeyRing:
    """The keys as a service holds them: read again within a second of a change, without a thread of its own."""

    def __init__(self, path: Path, wrong: Rate = WRONG) -> None:
        """Reads `path`; a broken file lets nobody in and is tried again with its next change.

        `wrong` is how often one address may present a wrong key.
        """
        self.wrong = AddressBuckets(wrong.per_second, wrong.burst)
        self.broken: KeyFileError | None = None
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._looked = 0.0
        self._callers: dict[bytes, Caller] = {}
        self.required = False
        self._look()

    def _look(self) -> None:
        self._looked = monotonic()
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        if stamp is None:
            # What was closed stays closed: a file that vanishes must not open a running service.
            self._callers, self.broken = {}, None
            return
        try:
            keys = read_keys(self._path)
        except KeyFileError as error:
            self._callers, self.broken, self.required = {}, error, True
            return
        self.broken, self.required = None, True
        before = self._callers
        self._callers = {key.id.encode(): self._caller(key, before) for key in keys}

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    @staticmethod
    def _caller(key: Key, before: dict[bytes, Caller]) -> Caller:
        known = before.get(key.id.encode())
        if known is None or known.key.rate != key.rate:
            bucket = TokenBucket(key.rate.per_second, key.rate.burst)
        else:
            bucket = known.bucket
        if known is None:
            return Caller(key, bucket)
        known.key, known.bucket = key, bucket  # one object for one key: requests that are answered now count in it
        return known

    def asks_for_keys(self) -> bool:
        """Whether a request needs a key now."""
        if monotonic() - self._looked > LOOK_EVERY_S:
            self._look()
        return self.required

    def id_of(self, authorization: bytes | None) -> bytes:
        """The id of the key in this header; empty where keys are not asked for, or it is none that is let in."""
        found = self.find(authorization) if self.required and authorization is not None else None
        return found.key.id.encode() if found is not None else b""

    def find(self, authorization: bytes | None) -> Caller | None:
        """Who the header `Authorization: Bearer <key>` is of; None for no key, an unknown, expired or revoked one.

        A browser asks a person for a name and a password and sends both as Basic: the key is the password.
        Costs one SHA-256 and one comparison in constant time, whether or not the id is known.
        """
        presented = _presented(authorization or b"")
        match = KEY.fullmatch(presented)
        caller = self._callers.get(match.group(1)) if match else None
        kept = caller.key.sha256 if caller is not None else NO_KEY
        equal = hmac.compare_digest(hashlib.sha256(presented).hexdigest(), kept)
        if not equal or caller is None:
            return None
        key = caller.key
        if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= datetime.now(UTC)):
            return None
        return caller


def _presented(authorization: bytes) -> bytes:
    """The key in a header, empty where there is none."""
    if authorization[:7].lower() == BEARER:
        return authorization[7:].strip()
    if authorization[:6].lower() != BASIC:
        return b""
    try:
        return base64.b64decode(authorization[6:].strip(), validate=True).partition(b":")[2]
    except binascii.Error:
        return b""
