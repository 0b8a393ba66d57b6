"""What the stock clients of other languages send, byte by byte, on every route of every service.

Java's HttpClient offers h2c with each request, .NET and curl wait for 100, Go and Node send chunks, PHP sends absolute
targets and closes. None may lose its body, hang, or be answered with a 500.
"""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from retail_assets.resources.environments import Home
from retail_assets.serving.gateway.gateway import PAGES, PROBES
from retail_assets.serving.processes.openapi import application
from retail_assets.serving.processes.products import products
from retail_assets.stores.centre import Tokens, folder_of
from tests.services.centre import centre_of, environment_of
from tests.services.harness import Served
from tests.services.wire_client import LIVE, Answer, WireClient, chunked

STORE = "store-UK-001"
ITEM = b'{"store_id": "UK-001", "sku": "SKU-00001"}'
DECISION = "01a1b874-6c00-7cac-a220-ee2fa5f10fea"
OFFER = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
)
WEBSOCKET = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n"
)
CHUNKS = b"Transfer-Encoding: chunked\r\n"
BEYOND = 20 << 20


@dataclass(frozen=True)
class Asked:
    """A route that takes a body: what it is sent, and how it answers that."""

    service: str
    method: str
    path: str
    body: bytes
    status: int
    says: bytes

    def request(
        self,
        head: bytes = b"",
        body: bytes | None = None,
        line: str = "{method} {path} HTTP/1.1",
        base: bytes | None = None,
        has_length: bool = True,
    ) -> bytes:
        """The bytes of a request; `{token}` stands where the centre's token goes."""
        content = self.body if body is None else body
        base = b"Host: localhost\r\nContent-Type: application/json\r\n" if base is None else base
        base += b"Authorization: Bearer {token}\r\n" if self.service == "centre" else b""
        length = b"Content-Length: %d\r\n" % len(content) if has_length else b""
        first = line.format(method=self.method, path=self.path).encode()
        return first + b"\r\n" + base + length + head + b"\r\n" + content


ROUTES = [
    Asked("pricing", "POST", "/price", ITEM, 200, b'"price"'),
    Asked("pricing", "POST", "/prices", b'{"items": [' + ITEM + b"]}", 200, b'"price"'),
    Asked("forecasting", "POST", "/forecast", ITEM, 200, b'"days"'),
    Asked("centre", "PUT", f"/v1/stores/{STORE}/status",
          b'{"target": "store-UK-001", "started_at": "2026-01-01T00:00:00Z"}', 204, b""),
]  # fmt: skip
BODIES = pytest.mark.parametrize("asked", ROUTES, ids=lambda route: route.path.strip("/"))


@pytest.fixture(scope="session")
def centre(served_home: Home) -> Iterator[tuple[int, bytes]]:
    """A running centre: its port and the token of a store."""
    token = Tokens(folder_of(environment_of(served_home))).issue(STORE)
    with centre_of(served_home) as url:
        yield int(url.rsplit(":", 1)[1]), token.encode()


@pytest.fixture
def connect(
    pricing: Served, forecasting: Served, centre: tuple[int, bytes]
) -> Callable[[str], tuple[WireClient, Callable[[bytes], bytes]]]:
    """Opens a connection to a service by its name; also gives what puts the token into a request."""
    ports = {"pricing": pricing.spec.port, "forecasting": forecasting.spec.port, "centre": centre[0]}

    def opened(service: str) -> tuple[WireClient, Callable[[bytes], bytes]]:
        port = ports[service]
        assert port is not None
        return WireClient(port), lambda request: request.replace(b"{token}", centre[1])

    return opened


Connect = Callable[[str], tuple[WireClient, Callable[[bytes], bytes]]]


def said(connect: Connect, service: str, request: bytes, method: str = "POST") -> Answer:
    """The answer to a request; after it the connection ends as it says, or takes another request."""
    client, complete = connect(service)
    with client:
        client.send(complete(request))
        answer = client.answer(method)
        if answer.closes():
            assert client.is_closed()
        else:
            client.send(LIVE)
            assert client.answer().status == 200
        return answer


TAKEN: dict[str, Callable[[Asked], bytes]] = {
    "as it is": lambda r: r.request(),
    "Java offers h2c": lambda r: r.request(OFFER),
    "Java offers h2c, in chunks": lambda r: r.request(OFFER + CHUNKS, chunked(r.body), has_length=False),
    "a websocket is offered": lambda r: r.request(WEBSOCKET),
    "TLS is offered": lambda r: r.request(b"Connection: Upgrade\r\nUpgrade: TLS/1.0, HTTP/2.0\r\n"),
    "an upgrade without a connection": lambda r: r.request(b"Upgrade: h2c\r\n"),
    "a connection without an upgrade": lambda r: r.request(b"Connection: upgrade\r\n"),
    "expects 100 and does not wait": lambda r: r.request(b"Expect: 100-Continue\r\n"),
    "expects what nobody knows": lambda r: r.request(b"Expect: tea\r\n"),
    "odd chunks": lambda r: r.request(CHUNKS, chunked(r.body), has_length=False),
    "chunk extensions": lambda r: r.request(CHUNKS, chunked(r.body, extension=b';a=b;c="d"'), has_length=False),
    "trailers": lambda r: r.request(
        CHUNKS + b"Trailer: Content-Type\r\n",
        chunked(r.body, trailer=b"Content-Type: text/plain\r\n"),
        has_length=False,
    ),
    "a trailer that closes": lambda r: r.request(
        CHUNKS, chunked(r.body, trailer=b"Connection: close\r\n"), has_length=False
    ),
    "one chunk, zeros before its size": lambda r: r.request(
        b"transfer-encoding: Chunked\r\n", b"0000%X\r\n%b\r\n000\r\n\r\n" % (len(r.body), r.body), has_length=False
    ),
    "an encoding that is none": lambda r: r.request(b"Content-Encoding: identity\r\n"),
    "takes compressed answers": lambda r: r.request(b"Accept-Encoding: gzip, br\r\n"),
    "closes": lambda r: r.request(b"Connection: close\r\n"),
    "closes, with TE": lambda r: r.request(b"Connection: TE, close\r\nTE: trailers, deflate;q=0.5\r\n"),
    "stays": lambda r: r.request(b"Connection: Keep-Alive\r\nKeep-Alive: 300\r\n"),
    "stays, with TE": lambda r: r.request(b"Connection: keep-alive, TE\r\nTE: trailers\r\n"),
    "says both": lambda r: r.request(b"Connection: keep-alive\r\nConnection: close\r\n"),
    "HTTP/1.0": lambda r: r.request(line="{method} {path} HTTP/1.0"),
    "HTTP/1.0 that stays": lambda r: r.request(b"Connection: keep-alive\r\n", line="{method} {path} HTTP/1.0"),
    "PHP's absolute target": lambda r: r.request(line="{method} http://localhost:80{path} HTTP/1.1"),
    "an absolute target, which counts": lambda r: r.request(
        line="{method} http://127.0.0.1{path} HTTP/1.1", base=b"Host: elsewhere\r\nContent-Type: application/json\r\n"
    ),
    "an absolute target with a user": lambda r: r.request(line="{method} https://u:p@localhost{path}?a=b HTTP/1.1"),
    "headers in capitals": lambda r: r.request(base=b"HOST: LOCALHOST\r\nCONTENT-TYPE: APPLICATION/JSON\r\n"),
    "headers without spaces": lambda r: r.request(
        base=b"host:localhost\r\ncontent-type:application/json;charset=utf-8\r\n"
    ),
    "a header that is not ASCII": lambda r: r.request("X-Name: caf\u00e9 \u65e5\u672c\r\n".encode()),
    "a long header": lambda r: r.request(b"X-Long: " + b"a" * 60_000 + b"\r\n"),
    "an empty line before it": lambda r: b"\r\n" + r.request(),
    "a byte order mark": lambda r: r.request(body=b"\xef\xbb\xbf" + r.body),
}  # fmt: skip


@BODIES
@pytest.mark.parametrize("sent", TAKEN)
def test_what_clients_send_is_taken_with_its_body(connect: Connect, asked: Asked, sent: str) -> None:
    answer = said(connect, asked.service, TAKEN[sent](asked))
    assert (answer.status, asked.says in answer.body) == (asked.status, True), answer


@BODIES
@pytest.mark.parametrize("cut", [0, 1, 20])
def test_an_offer_may_come_in_pieces(connect: Connect, asked: Asked, cut: int) -> None:
    client, complete = connect(asked.service)
    with client:
        whole = complete(asked.request(OFFER))
        end = whole.index(b"\r\n\r\n") + 4 + cut
        client.send(whole[:15], whole[15:end], whole[end:])
        assert client.answer("POST").status == asked.status


@BODIES
def test_answers_come_in_the_order_of_the_requests(connect: Connect, asked: Asked) -> None:
    client, complete = connect(asked.service)
    with client:
        client.send(complete(asked.request() + asked.request(OFFER) + asked.request() + b"\x16\x03nonsense\r\n\r\n"))
        assert [client.answer("POST").status for _ in range(4)] == [asked.status] * 3 + [400]
        assert client.is_closed()


@BODIES
def test_a_client_that_waits_for_100_is_told_to_go_on(connect: Connect, asked: Asked) -> None:
    client, complete = connect(asked.service)
    with client:
        head, _, body = complete(asked.request(b"Expect: 100-continue\r\n")).partition(b"\r\n\r\n")
        client.send(head + b"\r\n\r\n")
        assert client.interim() == 100
        client.send(body)
        assert client.answer("POST").status == asked.status


@BODIES
def test_http_1_0_knows_no_100(connect: Connect, asked: Asked) -> None:
    request = asked.request(b"Expect: 100-continue\r\n", line="{method} {path} HTTP/1.0")
    answer = said(connect, asked.service, request)
    assert (answer.status, answer.before) == (asked.status, [])


@BODIES
def test_a_client_that_waits_for_100_in_vain_need_not_send(connect: Connect, asked: Asked) -> None:
    refused = asked.request(b"Expect: 100-continue\r\nContent-Length: 99999999\r\n", b"", has_length=False)
    for request, status in ((refused, 413), (refused.replace(asked.method.encode(), b"DELETE", 1), 405)):
        answer = said(connect, asked.service, request)
        assert answer.status == status
        assert answer.closes() and not answer.before


REFUSED: dict[str, tuple[int, Callable[[Asked], bytes]]] = {
    "a length and chunks": (400, lambda r: r.request(CHUNKS, chunked(r.body))),
    "chunks that hide a request": (400, lambda r: r.request(CHUNKS, b"0\r\n\r\n" + LIVE)),
    "chunks twice": (400, lambda r: r.request(CHUNKS + CHUNKS, chunked(r.body), has_length=False)),
    "a coding that does not end": (400, lambda r: r.request(b"Transfer-Encoding: gzip\r\n", has_length=False)),
    "a coding before chunks": (501, lambda r: r.request(b"Transfer-Encoding: gzip, chunked\r\n", has_length=False)),
    "chunks in HTTP/1.0": (
        400, lambda r: r.request(CHUNKS, chunked(r.body), line="{method} {path} HTTP/1.0", has_length=False)
    ),
    "a chunk of no size": (400, lambda r: r.request(CHUNKS, b"zz\r\nhello\r\n0\r\n\r\n", has_length=False)),
    "a chunk below nothing": (400, lambda r: r.request(CHUNKS, b"-5\r\nhello\r\n0\r\n\r\n", has_length=False)),
    "a chunk beyond all": (400, lambda r: r.request(CHUNKS, b"F" * 17 + b"\r\nhello\r\n", has_length=False)),
    "two lengths": (400, lambda r: r.request(b"Content-Length: 5\r\n")),
    "a list of lengths": (400, lambda r: r.request(b"Content-Length: 5, 5\r\n", has_length=False)),
    "a length below nothing": (400, lambda r: r.request(b"Content-Length: -5\r\n", has_length=False)),
    "a length beyond all": (400, lambda r: r.request(b"Content-Length: " + b"9" * 30 + b"\r\n", has_length=False)),
    "no host": (400, lambda r: r.request(base=b"Content-Type: application/json\r\n")),
    "two hosts": (400, lambda r: r.request(b"Host: y\r\n")),
    "an unknown host": (421, lambda r: r.request(base=b"Host: evil.example\r\nContent-Type: application/json\r\n")),
    "an empty host": (421, lambda r: r.request(base=b"Host:\r\nContent-Type: application/json\r\n")),
    "HTTP/1.0 without a host": (
        421, lambda r: r.request(line="{method} {path} HTTP/1.0", base=b"Content-Type: application/json\r\n")
    ),
    "an absolute target elsewhere": (421, lambda r: r.request(line="{method} http://evil.example{path} HTTP/1.1")),
    "a host that is none": (400, lambda r: r.request(base=b"Host: a b/c\r\n")),
    "a folded header": (400, lambda r: r.request(b"X-Folded: a\r\n b\r\n")),
    "a space before the colon": (400, lambda r: r.request(b"X-Name : b\r\n")),
    "a line without a colon": (400, lambda r: r.request(b"X-Name\r\n")),
    "a NUL in a header": (400, lambda r: r.request(b"X-Name: a\0b\r\n")),
    "headers of 200 kB": (431, lambda r: r.request(b"X-Long: " + b"a" * 200_000 + b"\r\n")),
    "headers of 2 MB": (431, lambda r: r.request(b"X-Long: " + b"a" * 2_000_000 + b"\r\n")),
    "20,000 headers": (431, lambda r: r.request(b"".join(b"X-%d: a\r\n" % number for number in range(20_000)))),
    "a path of 70 kB": (414, lambda r: r.request(line="{method} {path}?" + "a" * 70_000 + " HTTP/1.1")),
    "a path of 1 MB": (414, lambda r: r.request(line="{method} {path}?" + "a" * 1_000_000 + " HTTP/1.1")),
    "a path that is not ASCII": (400, lambda r: r.request(line="{method} {path}\u00e9 HTTP/1.1")),
    "a path with a space": (400, lambda r: r.request(line="{method} {path} x HTTP/1.1")),
    "no path": (400, lambda r: r.request(line="{method} * HTTP/1.1")),
    "another protocol's address": (400, lambda r: r.request(line="{method} ftp://localhost{path} HTTP/1.1")),
    "a method in small letters": (400, lambda r: r.request(line="post {path} HTTP/1.1")),
    "a method that nobody knows": (400, lambda r: r.request(line="FROB {path} HTTP/1.1")),
    "a tunnel": (400, lambda r: b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n"),
    "HTTP/2 unasked": (400, lambda r: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"),
    "HTTP/2.0 in words": (505, lambda r: r.request(line="{method} {path} HTTP/2.0")),
    "HTTP/0.9": (400, lambda r: b"GET /livez\r\n"),
    "TLS": (400, lambda r: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 100),
    "words": (400, lambda r: b"hello world\r\n\r\n"),
}  # fmt: skip


@BODIES
@pytest.mark.parametrize("sent", REFUSED)
def test_what_is_no_request_is_refused_in_words(connect: Connect, asked: Asked, sent: str) -> None:
    status, request = REFUSED[sent]
    answer = said(connect, asked.service, request(asked))
    assert (answer.status, answer.closes()) == (status, True)
    assert set(json.loads(answer.body)) == {"detail", "todo"}


NOT_TAKEN: dict[str, tuple[bytes, str]] = {
    "deep": (b"[" * 60_000, "nested too deeply"),
    "deep and closed": (b"[" * 30_000 + b"]" * 30_000, "nested too deeply"),
    "deep objects": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested too deeply"),
    "deep in a field": (b'{"store_id": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", "nested too deeply"),
    "many digits": (b"1" * 60_000, "too many digits"),
    "many digits in a field": (b'{"store_id": 1' + b"0" * 5_000 + b"}", "too many digits"),
    "many decimals": (b'{"store_id": 1.' + b"1" * 50_000 + b"}", ""),
    "NaN": (b"NaN", "NaN is no number"),
    "Infinity": (b'{"store_id": -Infinity}', "-Infinity is no number"),
    "1e400": (b'{"store_id": "UK-001", "sku": 1e400}', ""),
    "a key twice": (b'{"sku": "a", "sku": "b"}', "the key 'sku' is there twice"),
    "a key twice, once escaped": (b'{"sku": "a", "s\\u006bu": "b"}', "the key 'sku' is there twice"),
    "half of a pair": (b'{"store_id": "\\ud800", "sku": "x"}', ""),
    "half of a pair as a key": (b'{"\\ud800": "x"}', ""),
    "half of a pair twice": (b'{"\\ud800": 1, "\\ud800": 2}', "the key '\\ud800' is there twice"),
    "half of a pair as bytes": (b'{"store_id": "\xed\xa0\x80"}', "byte 14 is not UTF-8"),
    "Latin-1": ('{"store_id": "\u00e9"}'.encode("latin-1"), "byte 14 is not UTF-8"),
    "UTF-16": (ITEM.decode().encode("utf-16"), "not UTF-8"),
    "UTF-16 without a mark": (ITEM.decode().encode("utf-16-le"), "not UTF-8"),
    "UTF-32": (ITEM.decode().encode("utf-32"), "not UTF-8"),
    "a NUL": (b'{"store_id": "\0"}', ""),
    "nothing but a NUL": (b"\0", ""),
    "nothing": (b"", ""),
    "blanks": (b"  \r\n\t ", ""),
    "null": (b"null", ""),
    "a list": (b"[]", ""),
    "two documents": (ITEM + ITEM, "Extra data"),
    "single quotes": (ITEM.replace(b'"', b"'"), ""),
    "a comment": (b"/* a */" + ITEM, ""),
    "a long key": (b'{"' + b"a" * 60_000 + b'": 1}', ""),
    "many keys": (b"{" + b",".join(b'"%d":1' % number for number in range(6_000)) + b"}", ""),
}


@BODIES
@pytest.mark.parametrize("sent", NOT_TAKEN)
def test_json_that_is_not_taken_is_422_and_says_why(connect: Connect, asked: Asked, sent: str) -> None:
    body, why = NOT_TAKEN[sent]
    answer = said(connect, asked.service, asked.request(body=body))
    detail = json.loads(answer.body)["detail"]
    assert (answer.status, why in str(detail).replace("\\\\", "\\")) == (422, True), answer


@BODIES
def test_a_body_of_20_mb_is_413_however_it_comes(connect: Connect, asked: Asked) -> None:
    large = b'"' + b"a" * BEYOND + b'"'
    for head in (b"", b"Connection: close\r\n"):
        assert said(connect, asked.service, asked.request(head, large)).status == 413
        in_chunks = asked.request(head + CHUNKS, chunked(large, (1 << 20,)), has_length=False)
        assert said(connect, asked.service, in_chunks).status == 413


@BODIES
@pytest.mark.parametrize("head", [b"", CHUNKS])
def test_a_compressed_body_is_415_and_says_what_is_taken(connect: Connect, asked: Asked, head: bytes) -> None:
    body = gzip.compress(asked.body)
    request = asked.request(head + b"Content-Encoding: gzip\r\n", chunked(body) if head else body, has_length=not head)
    answer = said(connect, asked.service, request)
    assert (answer.status, answer.headers["accept-encoding"]) == (415, "identity")


def test_a_form_is_415(connect: Connect) -> None:
    for asked in ROUTES[:3]:
        for kind in (b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x", b"text/plain"):
            answer = said(
                connect, asked.service, asked.request(base=b"Host: localhost\r\nContent-Type: " + kind + b"\r\n")
            )
            assert (answer.status, b"application/json" in answer.body) == (415, True)


OF_PRODUCTS = {
    (product, path.replace("{decision_id}", DECISION)): frozenset(method.upper() for method in operations)
    for product in list(products())
    for path, operations in application(product).openapi()["paths"].items()
}
OPEN_PATHS = {(product, path): frozenset({"GET"}) for product in list(products()) for path in sorted(PAGES | PROBES)}
OF_CENTRE = {
    ("centre", f"/v1/stores/{STORE}/{path}"): frozenset({method})
    for path, method in (("bundle", "GET"), ("files/x", "GET"), ("decisions/pricing/x/1", "PUT"), ("status", "PUT"))
}
EVERYWHERE = OF_PRODUCTS | OPEN_PATHS | OF_CENTRE | {("centre", "/livez"): frozenset({"GET"})}
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND")


def bare(method: str, path: str) -> bytes:
    """A request without a body."""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {{token}}\r\n\r\n".encode()


@pytest.mark.parametrize(("service", "path"), EVERYWHERE)
def test_every_route_says_which_methods_it_has(connect: Connect, service: str, path: str) -> None:
    has = EVERYWHERE[service, path]
    has |= {"HEAD"} if "GET" in has else frozenset()
    allow = ", ".join(sorted(has | {"OPTIONS"}))
    for method in sorted(set(METHODS) - has):
        answer = said(connect, service, bare(method, path), method)
        assert (answer.status, answer.headers["allow"]) == (204 if method == "OPTIONS" else 405, allow)
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert method in ("OPTIONS", "HEAD") or set(json.loads(answer.body)) == {"detail", "todo"}


@pytest.mark.parametrize(("service", "path"), [where for where, has in EVERYWHERE.items() if "GET" in has])
def test_head_is_get_without_a_body(connect: Connect, service: str, path: str) -> None:
    whole, head = (said(connect, service, bare(method, path), method) for method in ("GET", "HEAD"))
    assert (head.status, head.body, set(head.headers)) == (whole.status, b"", set(whole.headers))
    assert head.headers.get("content-type") == whole.headers.get("content-type")


@pytest.mark.parametrize(
    "path",
    ["/nope", "//price", "/price/", "/x/../price", "/price%zz", "/%", "/%ff%fe", "/%00", "/trace/", "/trace/a/b",
     f"/v1/stores/{STORE}/bundle/"],
)  # fmt: skip
@pytest.mark.parametrize("service", [*list(products()), "centre"])
def test_a_path_that_there_is_not_is_404_in_words(connect: Connect, service: str, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        answer = said(connect, service, bare(method, path), method)
        assert (answer.status, set(json.loads(answer.body))) == (404, {"detail", "todo"})


@pytest.mark.parametrize("service", [*list(products()), "centre"])
def test_options_may_ask_for_the_server(connect: Connect, service: str) -> None:
    answer = said(connect, service, bare("OPTIONS", "*"), "OPTIONS")
    assert (answer.status, "GET" in answer.headers["allow"]) == (204, True)


@pytest.mark.parametrize(
    ("path", "status"),
    [("bundle?wait=nan", 422), ("bundle?wait=x", 422), ("bundle?wait=1e400", 200), ("bundle?wait=" + "1" * 5_000, 200),
     ("decisions/pricing/x/" + "1" * 5_000, 422), ("decisions/pricing/x/-1", 422), ("decisions/pricing/x/y", 422)],
)  # fmt: skip
def test_the_centre_reads_numbers_of_any_length(connect: Connect, path: str, status: int) -> None:
    method = "PUT" if path.startswith("decisions") else "GET"
    assert said(connect, "centre", bare(method, f"/v1/stores/{STORE}/{path}"), method).status == status


def test_a_store_may_write_its_scheme_as_it_likes(connect: Connect) -> None:
    bundle = bare("GET", f"/v1/stores/{STORE}/bundle")
    assert said(connect, "centre", bundle.replace(b"Bearer", b"bearer")).status == 200
    denied = said(connect, "centre", bundle.replace(b"Bearer", b"Basic"))
    assert (denied.status, denied.headers["www-authenticate"]) == (401, "Bearer")
