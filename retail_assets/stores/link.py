"""A store's side of the line to its centre: an exchange either happened or raises StoreError, and may be repeated.

Nothing counts as an answer of the centre that another server, a captive portal or a proxy, could have given by chance.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

from retail_assets.decisions.spool import Append, SegmentRefused, WentBackwards
from retail_assets.releases.targets import STORE
from retail_assets.resources.environments import STORE_TOKEN, STORE_TOKEN_FILE, Environment, store_token
from retail_assets.stores.bundle import Blob, Bundle, StoreError
from retail_assets.stores.status import StoreStatus

CONNECT_WITHIN_S = 3.0
ANSWER_WITHIN_S = 20.0
WAIT_S = 10.0
MOST_BUNDLE_BYTES = 64 << 20
SHOWN = 80  # characters of an answer that is none


class LineDown(StoreError):
    """The centre cannot be reached, or stopped answering."""


class NotTheCentre(LineDown):
    """Something else answers in place of the centre."""


class Link:
    """The line of one store."""

    def __init__(self, centre: str, target: str, token: str, folder: Path | None = None) -> None:
        """`centre` is the URL of `retail stores centre`. Nothing is sent before the first question.

        `folder` is where a store remembers which bundles it has had; without one that is forgotten with this object.
        """
        if not target.startswith(STORE):
            raise StoreError(f"{target!r} is not a store", todo=f"a store is {STORE}<store id>")
        self.target = target
        self._token, self._folder = token, folder
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
        return cls(environment.centre, target, token, environment.home.root / "store")

    def bundle(self, seen: str | None, wait_s: float = WAIT_S) -> Bundle | None:
        """What this store should hold; None when that is still what the tag `seen` names, after up to `wait_s`.

        Raises NotTrusted for one that the centre has not signed, or that is older than one that came before.
        """
        from retail_assets.stores.keys import Trust

        params = {"wait": str(wait_s)} | ({"seen": seen} if seen else {})
        response = self._get("bundle", MOST_BUNDLE_BYTES, params=params, timeout=self._waiting(wait_s))
        if response.status_code == 304:
            return None
        self._require(response, 200, "application/json")
        return Trust(self._token, self._folder).open(response.content, self.target)

    def part(self, blob: Blob, start: int, length: int) -> bytes:
        """Up to `length` bytes of a file from `start` on."""
        end = min(start + length, blob.size)
        headers = {"Range": f"bytes={start}-{end - 1}"}
        response = self._get(f"files/{blob.sha256}", end - start, headers=headers)
        self._require(response, 206, "application/octet-stream")
        return response.content

    def _get(self, path: str, most_bytes: int, **options: Any) -> httpx.Response:
        """The answer to a question, of which no more than `most_bytes` are read."""
        with self._exchange() as client, client.stream("GET", f"{self._base}/{path}", **options) as response:
            body = bytearray()
            for piece in response.iter_bytes():
                body += piece
                if len(body) > most_bytes and response.is_success:
                    raise NotTheCentre(f"{path} has more than {most_bytes:,} bytes", where=self._base)
                if len(body) > MOST_BUNDLE_BYTES:
                    break
        kept = {"Content-Type": response.headers.get("content-type", "")}
        return httpx.Response(response.status_code, headers=kept, content=bytes(body))

    def send(self, product: str, rows: pa.Table, writer: str, number: int) -> bool:
        """Sends one segment of decisions; the centre adds it once, however often it comes.

        Raises WentBackwards and SegmentRefused where the centre says so.
        """
        target = io.BytesIO()
        pq.write_table(rows, target, compression="zstd")
        url = f"{self._base}/decisions/{product}/{writer.removeprefix('decision-log/')}/{number}"
        with self._exchange() as client:
            response = client.put(url, content=target.getvalue())
        if response.status_code in (409, 422) and (said := _detail(response)) is not None:
            raise (WentBackwards if response.status_code == 409 else SegmentRefused)(said)
        self._require(response, 204)
        return True

    def tell(self, status: StoreStatus) -> None:
        """Sends the word of this store."""
        with self._exchange() as client:
            response = client.put(f"{self._base}/status", content=status.model_dump_json())
        self._require(response, 204)

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

    def _require(self, response: httpx.Response, status: int, media: str | None = None) -> None:
        """Raises LineDown for an answer that is not the centre's, StoreError for what the centre refuses."""
        found = response.headers.get("content-type", "").partition(";")[0]
        if response.status_code == status and media in (None, found):
            return
        if response.status_code >= 400 and (said := _detail(response)) is not None:
            raise StoreError(f"the centre answers {response.status_code}: {said}", where=self._base)
        if response.status_code >= 500:
            raise LineDown(f"the centre answers {response.status_code}", where=self._base)
        begin = " ".join(response.content[:SHOWN].decode(errors="replace").split())
        raise NotTheCentre(
            f"what answers is not the centre: status {response.status_code}, {found or 'no type'}, {begin!r}",
            where=self._base,
            todo="is there a captive portal or a proxy on the line, or another server at this address?",
        )


def _detail(response: httpx.Response) -> str | None:
    """What a centre says of a refusal; None where another server answered."""
    try:
        said = response.json()
    except ValueError:
        return None
    detail = said.get("detail") if isinstance(said, dict) else None
    return detail[:500] if isinstance(detail, str) else None


def decision_sender(environment: Environment, target: str) -> Append:
    """What takes a store's decisions to its centre. Raises StoreError where there is no centre or no token."""
    return Link.of(environment, target).send
