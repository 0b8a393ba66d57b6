"""Waiting in line: what is known when a request is read, and which bytes may be refused unread."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.serving.gateway.load_shedding import LATELY, Line, is_whole

HEAD = b"POST /price HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + b"Content-Length: 2\r\n\r\n{}"


def test_waiting_counts_from_the_reading_once_enough_went_before() -> None:
    line = Line(ahead=1)
    tickets = [line.arrive(now) for now in (0.0, 0.001, 0.002)]
    assert line.waiting == 3
    assert line.begin(tickets[0], 5.0) == 0.0, "nobody was before it, whatever kept the process busy"
    assert line.begin(tickets[1], 5.0) == pytest.approx(4.999)
    late = line.arrive(6.0)
    assert line.begin(tickets[2], 6.0) == pytest.approx(5.998)
    assert line.begin(late, 6.5) == pytest.approx(0.5)
    assert line.begin(line.arrive(7.0), 9.0) == 0.0
    assert line.waiting == 0


def test_it_is_full_when_those_before_take_too_long() -> None:
    line = Line(ahead=2, shed_s=0.02)
    for _ in range(200):
        line.arrive(0.0)
    assert not line.is_full(), "it is not known yet what one takes"
    line.took(0.001 / LATELY)
    assert line.is_full()
    line.waiting = 20
    assert not line.is_full()
    line.waiting = 21
    assert line.is_full()
    line.shed_s, line.waiting = 1e-9, 2
    assert not line.is_full(), "a few are no queue"


@given(st.lists(st.floats(1e-5, 1e-2), min_size=200, max_size=300))
def test_what_one_takes_stays_between_the_shortest_and_the_longest(seconds: list[float]) -> None:
    line = Line(ahead=0, waiting=1)
    for each in seconds:
        line.took(each)
    line.shed_s = max(seconds)
    assert not line.is_full()
    line.shed_s = min(seconds) * (1 - (1 - LATELY) ** len(seconds)) * 0.999
    assert line.is_full()


def test_only_whole_requests_to_known_routes_are_refused() -> None:
    told: list[str] = []
    line = Line(refusals={b"POST /price HTTP/1.1\r\n": "/price"}, refusal=b"no", on_refused=told.append)
    assert line.refuse(WHOLE) == b"no"
    for other in (WHOLE.replace(b"/price", b"/prices"), WHOLE.replace(b"POST", b"GET"), WHOLE[:-1], b"", b"\r\n"):
        assert line.refuse(other) is None
    assert told == ["/price"]


@pytest.mark.parametrize(
    "request_",
    [
        WHOLE,
        HEAD + b"connection: Keep-Alive\r\ncontent-length: 0\r\n\r\n",
        HEAD + b"CONTENT-LENGTH:3\r\nAccept: */*\r\n\r\n\r\n\r",
    ],
)
def test_whole_requests(request_: bytes) -> None:
    assert is_whole(request_)


@pytest.mark.parametrize(
    "request_",
    [
        HEAD,
        WHOLE[:-1],
        WHOLE + b"x",
        WHOLE + WHOLE,
        HEAD + b"\r\n",
        HEAD + b"Content-Length: two\r\n\r\n{}",
        HEAD + b"Content-Length: -2\r\n\r\n{}",
        HEAD + b"Content-Length: 2\r\nContent-Length: 4\r\n\r\n{}",
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}",
        HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n{}",
        HEAD + b"Content-Length: 2\r\nUpgrade: websocket\r\n\r\n{}",
    ],
)
def test_everything_else_is_for_the_parser(request_: bytes) -> None:
    assert not is_whole(request_)


@given(st.integers(0, len(WHOLE) - 1))
def test_no_part_of_a_request_is_one(end: int) -> None:
    assert not is_whole(WHOLE[:end])
