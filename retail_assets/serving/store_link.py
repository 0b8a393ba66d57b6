"""A store's side of the line to its centre: an exchange either happened or raises StoreError, and may be repeated."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

from retail_assets.environments import STORE_TOKEN, STORE_TOKEN_FILE, Environment, store_token
from retail_assets.serving.decision_spool import Append
from retail_assets.serving.store_bundle import Blob, Bundle, StoreError
from retail_assets.serving.store_status import StoreStatus
from retail_assets.serving.targets import STORE

CONNECT_WITHIN_S = 3.0
ANSWER_WITHIN_S = 20.0
WAIT_S = 10.0


class LineDown(StoreError):
    """The centre cannot be reached, or stopped answering."""


class Link:
    """The line of one store."""

    def __init__(self, centre: str, target: str, token: str) -> None:
        """`centre` is the URL of `retail stores centre`. Nothing is sent before the first question."""
        if not target.startswith(STORE):
            raise StoreError(f"{target!r} is not a store", todo=f"a store is {STORE}<store id>")
        self.target = target
        self._base = f"{centre.rstrip('/')}/v1/stores/{target}"
        timeout = httpx.Timeout(ANSWER_WITHIN_S, connect=CONNECT_WITHIN_S)
        self._client = httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=timeout)

    @classmethod
    def of(cls, environment: Environment, target: str) -> "Link":
        """The line that an environment names. Raises StoreError where there is no centre or no token."""
        if environment.centre is None:
            raise StoreError("this process has no centre", todo="set RETAIL_CENTRE to its URL")
        token = store_token(environment.home)
        if token is None:
            raise StoreError(
                f"{target} has no token",
                todo=f"`retail stores token {target}` at the centre; put it in {STORE_TOKEN} or {STORE_TOKEN_FILE}",
            )
        return cls(environment.centre, target, token)

    def bundle(self, seen: str | None, wait_s: float = WAIT_S) -> Bundle | None:
        """What this store should hold; None when that is still what `seen` names, after up to `wait_s`."""
        params = {"wait": str(wait_s)} | ({"seen": seen} if seen else {})
        with self._exchange() as client:
            response = client.get(f"{self._base}/bundle", params=params, timeout=self._waiting(wait_s))
        if response.status_code == 304:
            return None
        return Bundle.model_validate_json(self._good(response).content)

    def part(self, blob: Blob, start: int, length: int) -> bytes:
        """Up to `length` bytes of a file from `start` on."""
        headers = {"Range": f"bytes={start}-{min(start + length, blob.size) - 1}"}
        with self._exchange() as client:
            response = client.get(f"{self._base}/files/{blob.sha256}", headers=headers)
        return self._good(response).content

    def send(self, product: str, rows: pa.Table, writer: str, number: int) -> bool:
        """Sends one segment of decisions; the centre adds it once, however often it comes."""
        target = io.BytesIO()
        pq.write_table(rows, target, compression="zstd")
        url = f"{self._base}/decisions/{product}/{writer.removeprefix('decision-log/')}/{number}"
        with self._exchange() as client:
            self._good(client.put(url, content=target.getvalue()))
        return True

    def tell(self, status: StoreStatus) -> None:
        """Sends the word of this store."""
        with self._exchange() as client:
            self._good(client.put(f"{self._base}/status", content=status.model_dump_json()))

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    @staticmethod
    def _waiting(wait_s: float) -> httpx.Timeout:
        return httpx.Timeout(wait_s + ANSWER_WITHIN_S, connect=CONNECT_WITHIN_S)

    @contextmanager
    def _exchange(self) -> Iterator[httpx.Client]:
        try:
            yield self._client
        except httpx.HTTPError as error:
            raise LineDown(
                f"the centre cannot be reached: {type(error).__name__} {error}".rstrip(), where=self._base
            ) from error

    def _good(self, response: httpx.Response) -> httpx.Response:
        if response.status_code >= 500:
            raise LineDown(f"the centre answers {response.status_code}", where=self._base)
        if response.status_code >= 400:
            said = response.text[:500]
            raise StoreError(f"the centre answers {response.status_code}: {said}", where=self._base)
        return response


def decision_sender(environment: Environment, target: str) -> Append | None:
    """Where a store's decisions go; None everywhere else: they go into the lake."""
    return None if environment.centre is None else Link.of(environment, target).send
