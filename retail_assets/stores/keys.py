"""Who speaks for a centre: the keys it signs bundles with, and what a store believes of them.

A store's token carries the public key of the centre that made it, so a store has it before it asks for anything. Where
a centre takes a new key, the one before it signs the new one, and stores follow by themselves; a token that is made
later carries the newest. Keys and signatures are Ed25519 (RFC 8032), as base64 for URLs without padding.
"""

import base64
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from filelock import FileLock
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from retail_assets.resources import durable
from retail_assets.stores.bundle import Bundle, StoreError

logger = logging.getLogger(__name__)

KEYS = "signing_keys.json"
TRUST = "trust.json"
BUNDLE, KEY = b"retail-assets store bundle 1\0", b"retail-assets centre key 1\0"
"""What a signature is for: one over a bundle is none over a key."""


class NotTrusted(StoreError):
    """A bundle that this store's centre did not sign, or that it signed before one this store has had."""


class Endorsement(BaseModel):
    """A public key of a centre; `signature` is by the key before it, absent for the first."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    public: str = Field(min_length=43, max_length=43)
    since: AwareDatetime
    signature: str | None = None

    def signed(self) -> bytes:
        """What the key before it signs."""
        return KEY + f"{self.public} {self.since.isoformat()}".encode()


class SignedBundle(BaseModel):
    """What a centre answers: a bundle as text, the keys it had from the first to the newest, the newest's signature."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    bundle: str
    keys: tuple[Endorsement, ...] = Field(min_length=1, max_length=1_000)
    signature: str


class CentreKeys:
    """The keys of a centre in a file that only its user can read. Safe beside other processes."""

    def __init__(self, folder: Path) -> None:
        """The first key is made when it is first asked for."""
        self._file = folder / KEYS
        self._read_at: tuple[int, int] | None = None
        self._private: Ed25519PrivateKey | None = None
        self._chain: tuple[Endorsement, ...] = ()

    @property
    def public(self) -> str:
        """The newest public key."""
        self._load()
        return self._chain[-1].public

    def sign(self, bundle: Bundle) -> SignedBundle:
        """The bundle as it goes over the line."""
        private, text = self._load(), bundle.model_dump_json()
        return SignedBundle(bundle=text, keys=self._chain, signature=_text(private.sign(BUNDLE + text.encode())))

    def rotate(self) -> str:
        """Takes a new key, signed by the one before it, and returns it. The private key before it is forgotten."""
        self._load()
        with self._alone():
            private, chain = self._parse(json.loads(self._file.read_text()))
            return self._write(Ed25519PrivateKey.generate(), chain, private)

    def _load(self) -> Ed25519PrivateKey:
        try:
            found = self._file.stat()
        except FileNotFoundError:
            with self._alone():
                if not self._file.exists():
                    self._write(Ed25519PrivateKey.generate(), (), None)
            found = self._file.stat()
        if self._private is None or self._read_at != (found.st_mtime_ns, found.st_ino):
            try:
                self._private, self._chain = self._parse(json.loads(self._file.read_text()))
            except (ValueError, KeyError, TypeError) as error:
                raise StoreError(
                    f"the signing keys of this centre cannot be read: {error}",
                    where=str(self._file),
                    todo="restore the file from a backup; without one delete it and give every store a new token",
                ) from error
            self._read_at = (found.st_mtime_ns, found.st_ino)
        return self._private

    @staticmethod
    def _parse(document: dict[str, Any]) -> tuple[Ed25519PrivateKey, tuple[Endorsement, ...]]:
        private = Ed25519PrivateKey.from_private_bytes(_bytes(document["private"]))
        chain = tuple(Endorsement.model_validate(one) for one in document["keys"])
        if not chain or chain[-1].public != _text(private.public_key().public_bytes_raw()):
            raise ValueError("the private key is not the one of the newest public key")
        return private, chain

    def _write(
        self, private: Ed25519PrivateKey, chain: tuple[Endorsement, ...], before: Ed25519PrivateKey | None
    ) -> str:
        new = Endorsement(public=_text(private.public_key().public_bytes_raw()), since=datetime.now(UTC))
        if before is not None:
            new = new.model_copy(update={"signature": _text(before.sign(new.signed()))})
        keys = [one.model_dump(mode="json") for one in (*chain, new)]
        document = {"private": _text(private.private_bytes_raw()), "keys": keys}
        durable.write(self._file, json.dumps(document, indent=1).encode(), mode=0o600)
        return new.public

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(self._file.with_suffix(".lock"), mode=0o600):
            yield


class Trust:
    """What one store believes: the centre's key it follows, and the number of the newest bundle it has had."""

    def __init__(self, token: str, folder: Path | None = None) -> None:
        """The token names the key to begin with; `folder` is where a store remembers how that went on."""
        self._first = token.rpartition(".")[2]
        self._file = folder / TRUST if folder is not None else None
        self._known: dict[str, Any] = {}

    def open(self, document: bytes, target: str) -> Bundle:
        """The bundle in what a centre sent for `target`. Nothing is believed or written before all of it is checked.

        Raises NotTrusted for a signature that is not the centre's, another store's bundle, and one that is older than
        one this store has had; StoreError where it is signed and cannot be read.
        """
        if len(self._first) != 43:
            raise StoreError(
                "the token of this store names no key of its centre",
                todo=f"`retail stores token {target}` at the centre makes one that does",
            )
        try:
            signed = SignedBundle.model_validate_json(document)
        except ValidationError as error:
            raise NotTrusted("what came is no signed bundle", todo=_ASK) from error
        known = self._read()
        key = self._newest(signed, known["key"], target)
        if not _is_signed(key, signed.signature, BUNDLE + signed.bundle.encode()):
            raise NotTrusted(f"a bundle for {target} is not signed by its centre", todo=_ASK)
        try:
            bundle = Bundle.model_validate_json(signed.bundle)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, problem["loc"]))
            raise StoreError(
                f"the bundle of {target} cannot be read: {where}: {problem['msg']}",
                todo="does this store run an older version of the code than its centre?",
            ) from error
        self._refuse_other(bundle, target, known)
        self._write(known | {"key": key, "number": bundle.number, "etag": bundle.etag})
        return bundle

    def _newest(self, signed: SignedBundle, known: str, target: str) -> str:
        """The newest key that the chain leads to from the `known` one."""
        publics = [key.public for key in signed.keys]
        if known not in publics:
            raise NotTrusted(
                f"a bundle for {target} is signed by a centre that this store does not know",
                todo=f"if the centre was set up anew, give this store a token of it: `retail stores token {target}`",
            )
        start = publics.index(known)
        for before, key in zip(signed.keys[start:], signed.keys[start + 1 :], strict=False):
            if key.signature is None or not _is_signed(before.public, key.signature, key.signed()):
                raise NotTrusted(f"a new key of the centre of {target} is not signed by the one before it", todo=_ASK)
        return publics[-1]

    @staticmethod
    def _refuse_other(bundle: Bundle, target: str, known: dict[str, Any]) -> None:
        if bundle.target != target:
            raise NotTrusted(f"{target} was given the bundle of {bundle.target}", todo=_ASK)
        number, etag = known.get("number", 0), known.get("etag")
        if bundle.number < number or (bundle.number == number and etag not in (None, bundle.etag)):
            raise NotTrusted(
                f"{target} was given an old bundle: number {bundle.number}, and it has had {number}", todo=_ASK
            )

    def _read(self) -> dict[str, Any]:
        """What is known; begun anew where the token names another key than it did, or the file cannot be read."""
        if self._file is not None and self._file.is_file():
            try:
                found = json.loads(self._file.read_bytes())
                self._known = found if isinstance(found, dict) and isinstance(found.get("key"), str) else {}
            except ValueError:
                logger.error("%s cannot be read: the key of the token counts", self._file)
                self._known = {}
        first = sha256(self._first.encode()).hexdigest()
        if self._known.get("first") != first:
            self._known = {"first": first, "key": self._first}
        return self._known

    def _write(self, known: dict[str, Any]) -> None:
        if known != self._known and self._file is not None:
            durable.write(self._file, json.dumps(known, indent=1, sort_keys=True).encode())
        self._known = known


_ASK = "nothing was changed; if it goes on, find out who answers in place of the centre"


def _is_signed(public: str, signature: str, content: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(_bytes(public)).verify(_bytes(signature), content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
