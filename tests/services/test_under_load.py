"""More to do than time: what is refused, what is answered, and that a service recovers. Real servers."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import psutil
import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict

from retail_assets.pricing.decide.price_inputs import InputBook
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.serving.config import LoadLimits, ServingConfig
from retail_assets.serving.gateway.gateway import LATE, Front, Guard
from retail_assets.serving.gateway.intake import Intake
from retail_assets.serving.gateway.keys import KeyRing
from retail_assets.serving.gateway.load_shedding import Line
from retail_assets.serving.service_app import Decide, decides
from retail_assets.serving.service_metrics import ServiceMetrics
from tests.services.harness import Served, eventually, free_port, serving

LIMITS = ServingConfig.load_file().load
Handler = Callable[[Request], Awaitable[Response]]


class Nothing(BaseModel):
    """An empty question."""

    model_config = ConfigDict(extra="forbid")


class Front_:
    """A front on a real server, around one route: POST /work."""

    def __init__(self, folder: Path, limits: LoadLimits, work: Handler | None, decide: Decide | None = None) -> None:
        app = FastAPI()
        if work is not None:
            app.add_api_route("/work", work, methods=["POST"])
        if decide is not None:
            decides(app, "/work", scope="price", summary="Work", asked=Nothing, answered=Nothing)(decide)
            app.state.desk = self
        self.metrics = ServiceMetrics("test", dict, lambda: {"version": "v"})
        app.state.guard = Guard(KeyRing(folder / "keys.json"), limits, self.metrics)
        self.port = free_port()
        config = uvicorn.Config(Front(app, owner=app), port=self.port, log_level="error", access_log=False, http=Intake)
        self.server = uvicorn.Server(config)
        self.client = httpx.Client(timeout=60)
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def post(self) -> httpx.Response:
        """One request."""
        return self.client.post(f"http://127.0.0.1:{self.port}/work", json={})

    def shed(self, why: str) -> int:
        """How many requests were refused for this reason."""
        return self.metrics.counts.shed[why]


@contextmanager
def front(folder: Path, work: Handler | None, decide: Decide | None = None, **limits: float) -> Iterator[Front_]:
    """A front with these limits instead of the usual ones."""
    made = Front_(folder, LoadLimits(**(LIMITS.model_dump() | limits)), work, decide)
    made.thread.start()
    try:
        assert eventually(lambda: made.server.started, within=30)
        yield made
    finally:
        made.client.close()
        made.server.should_exit = True
        made.thread.join()


class Crowd:
    """Requests that are all ready when a turn of the event loop begins: the loop is held while they are sent."""

    def __init__(self) -> None:
        self._holds, self._held, self._go = threading.Event(), threading.Semaphore(0), threading.Event()
        self.too_early = 0  # refused before there was a crowd: this machine had other work

    async def work(self, request: Request) -> Response:
        """Ten milliseconds on the event loop, as a decision is; says whether it was asked to hurry."""
        self._work()
        return Response("late" if LATE in request.scope else "in time")

    def decide(self, _desk: object, _asked: Nothing, late: bool) -> dict[str, Any]:
        """The same as a route that decides."""
        self._work()
        return {"late": late}

    def _work(self) -> None:
        if self._holds.is_set():
            self._holds.clear()
            self._held.release()
            self._go.wait()
        time.sleep(0.01)

    def hold(self) -> None:
        """Lets the next one wait inside, and the event loop with it."""
        self._go.clear()
        self._holds.set()

    async def is_held(self) -> None:
        """Returns when it does."""
        await asyncio.to_thread(self._held.acquire)

    def go_on(self) -> None:
        """Ends the waiting."""
        self._go.set()

    async def sends(self, port: int, count: int) -> list[tuple[int, dict[str, str], str]]:
        """Status, headers and body of the answers to one that is held and `count` that come meanwhile."""
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count + 1)]
        for connection in connections:
            while (await exchange(connection))[0] != 200:
                self.too_early += 1
        self.hold()
        first = asyncio.create_task(exchange(connections[0]))
        await self.is_held()
        for _, writer in connections[1:]:
            writer.write(REQUEST)
            await writer.drain()
        self.go_on()
        answers = [await first, *[await answer(reader) for reader, _ in connections[1:]]]
        for _, writer in connections:
            writer.close()
        return answers


REQUEST = b"POST /work HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def refused(answers: list[tuple[int, dict[str, str], str]]) -> list[tuple[int, dict[str, str], str]]:
    """Those with status 503."""
    return [answer for answer in answers if answer[0] == 503]


async def exchange(connection: Connection) -> tuple[int, dict[str, str], str]:
    """One request and its answer."""
    reader, writer = connection
    writer.write(REQUEST)
    return await answer(reader)


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], str]:
    """Status, headers and body."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).decode()
    headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
    return int(head[9:12]), headers, (await reader.readexactly(int(headers["content-length"]))).decode()


def test_what_waits_too_long_is_sent_away_and_the_rest_is_answered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    crowd = Crowd()
    with front(tmp_path, crowd.work) as made:
        answers = asyncio.run(crowd.sends(made.port, 60))
        statuses = Counter(status for status, _, _ in answers)
        assert set(statuses) == {200, 503}
        assert statuses[200] > LIMITS.ahead, "the held one and those at the front of the crowd"
        assert statuses[503] == made.shed("busy") - crowd.too_early > 30
        refused = next(a for a in answers if a[0] == 503)
        assert refused[1]["retry-after"] == "1"
        assert json.loads(refused[2])["detail"] == "the service has more to do than it can"
        assert not [r for r in caplog.records if r.name == "retail_assets.requests"], "a flood of lines would add to it"
        alone = made.post()
        assert (alone.status_code, alone.text) == (200, "in time"), "with the load gone it is as before"


def test_what_cannot_be_answered_in_time_is_refused_unread(tmp_path: Path) -> None:
    """The same refusal as any other, on a connection that goes on, while the routes behind it run once per answer."""
    crowd, refusals = Crowd(), 0
    with front(tmp_path, None, crowd.decide) as made:
        for _ in range(40):  # until it is known how long one takes
            assert made.post().json() == {"late": False}
        with patch.object(Line, "refuse", autospec=True, side_effect=Line.refuse) as refuse:
            answers = asyncio.run(crowd.sends(made.port, 60))
            refusals = refuse.call_count
        statuses = Counter(status for status, _, _ in answers)
        assert set(statuses) == {200, 503}
        assert refusals > 30
        refused_in_all = statuses[503] + crowd.too_early
        assert refused_in_all == made.shed("busy") >= refusals
        assert made.metrics.counts.requests["/work", 503] == refused_in_all
        said = {
            (headers["retry-after"], headers["content-type"], body)
            for status, headers, body in answers
            if status == 503
        }
        assert len(said) == 1, "refused unread or by the front: nobody can tell"
        assert made.post().json() == {"late": False}


def test_a_connection_that_was_refused_goes_on(tmp_path: Path) -> None:
    crowd = Crowd()
    with front(tmp_path, None, crowd.decide) as made:

        async def twice() -> list[int]:
            connections = [await asyncio.open_connection("127.0.0.1", made.port) for _ in range(60)]
            statuses = []
            for _ in range(3):
                for _, writer in connections:
                    writer.write(REQUEST)
                statuses += [(await answer(reader))[0] for reader, _ in connections]
            statuses += [(await exchange(connection))[0] for connection in connections[-10:]]
            for _, writer in connections:
                writer.close()
            return statuses

        statuses = asyncio.run(twice())
        assert len(statuses) == 190
        assert Counter(statuses)[503] == made.shed("busy") > 60
        assert statuses[-10:] == [200] * 10


def test_bad_questions_are_answered_by_the_application(tmp_path: Path) -> None:
    with front(tmp_path, None, Crowd().decide) as made:
        url = f"http://127.0.0.1:{made.port}/work"
        for body, status in ((b"{", 422), (b'{"sku": 1}', 422), (b"[]", 422), (b"\xff", 400)):
            said = made.client.post(url, content=body, headers={"content-type": "application/json"})
            assert said.status_code == status, body
            assert said.json()["detail"]
        chunked = made.client.post(url, content=iter([b"{", b"}"]), headers={"content-type": "application/json"})
        assert (chunked.status_code, chunked.json()) == (200, {"late": False})
        assert made.client.get(url).status_code == 405


def test_all_who_wait_at_the_door_are_let_in_at_once(tmp_path: Path) -> None:
    """One connection a turn would leave the last of a crowd waiting for as many turns as there are others."""
    crowd, inside = Crowd(), 50
    with front(tmp_path, crowd.work) as made:

        async def storm() -> int:
            first = await asyncio.open_connection("127.0.0.1", made.port)
            await exchange(first)
            crowd.hold()
            held = asyncio.create_task(exchange(first))
            await crowd.is_held()
            connections = [await asyncio.open_connection("127.0.0.1", made.port) for _ in range(inside)]
            crowd.go_on()
            await held
            for connection in connections[-2:]:
                await exchange(connection)
            open_now = len(made.server.server_state.connections)
            for _, writer in [first, *connections]:
                writer.close()
            return open_now

        assert asyncio.run(storm()) == inside + 1


def test_a_request_that_has_waited_gets_what_is_prepared(tmp_path: Path) -> None:
    crowd = Crowd()
    with front(tmp_path, crowd.work, shed_s=5.0) as made:
        answers = [body for _, _, body in asyncio.run(crowd.sends(made.port, 40))]
        assert answers.count("in time") > LIMITS.ahead
        assert answers.count("late") > 20
        assert made.shed("busy") == 0


def test_a_few_that_are_slow_are_no_queue(tmp_path: Path) -> None:
    crowd = Crowd()
    with front(tmp_path, crowd.work, late_s=1e-9, shed_s=1e-9) as made:
        answers = asyncio.run(crowd.sends(made.port, LIMITS.ahead))
        assert {(status, body) for status, _, body in answers} == {(200, "in time")}


def test_no_more_requests_are_inside_than_may_be(tmp_path: Path) -> None:
    inside, go = threading.Semaphore(0), threading.Event()

    async def waits(_: Request) -> Response:
        inside.release()
        await asyncio.to_thread(go.wait)
        return Response("done")

    with front(tmp_path, waits, active=2) as made, ThreadPoolExecutor(2) as pool:
        first = [pool.submit(made.post) for _ in range(2)]
        assert all(inside.acquire(timeout=30) for _ in first)
        third = made.post()
        go.set()
        assert [f.result().status_code for f in first] == [200, 200]
        assert (third.status_code, third.headers["retry-after"], made.shed("full")) == (503, "1", 1)
        assert made.post().status_code == 200


def test_what_takes_too_long_is_given_up(tmp_path: Path) -> None:
    async def hangs(_: Request) -> Response:
        await asyncio.Event().wait()
        return Response()

    with front(tmp_path, hangs, late_s=0.05, shed_s=0.05, deadline_s=0.1) as made:
        given_up = made.post()
        assert (given_up.status_code, given_up.json()["detail"]) == (503, "no answer within the deadline")
        assert made.shed("deadline") == 1


def test_a_body_that_never_ends_is_given_up(tmp_path: Path) -> None:
    """A caller who states a length and sends nothing holds a connection, but only until the deadline."""

    async def reads(request: Request) -> Response:
        return Response(await request.body())

    with front(tmp_path, reads, late_s=0.05, shed_s=0.05, deadline_s=0.1) as made:

        async def stall(head: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
            writer.write(
                b"POST /work HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + head + b"\r\n\r\n"
            )
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 30)
            writer.close()
            return answer

        for head in (b"Content-Length: 10", b"Transfer-Encoding: chunked"):
            assert asyncio.run(stall(head)).startswith(b"HTTP/1.1 408")
        assert made.shed("deadline") == 0, "the service had time"


@pytest.fixture(scope="module")
def question(tiny_home: Path) -> dict[str, str]:
    """A store-SKU that has a price."""
    found: dict[str, str] = InputBook.read(Lake.at(tiny_home / "lake")).rows.select(["store_id", "sku"]).to_pylist()[0]
    return found


def workers(served: Served) -> list[psutil.Process]:
    """The processes that answer."""
    found = []
    for process in psutil.Process(served.process.pid).children():
        with suppress(psutil.NoSuchProcess):  # one that was killed may go while it is looked at
            if process.status() != psutil.STATUS_ZOMBIE and "_bentoml_impl" in " ".join(process.cmdline()):
                found.append(process)
    return found


def test_when_one_process_is_killed_the_other_answers(tiny_copy: Home, question: dict[str, str]) -> None:
    with serving("pricing", tiny_copy, {"RETAIL_WORKERS": "2"}) as served:
        assert eventually(lambda: len(workers(served)) == 2, within=60)
        stop, statuses = threading.Event(), Counter[int]()
        who: set[int] = set()

        def ask() -> None:
            while not stop.is_set():
                with suppress(httpx.TransportError):  # each on a connection of its own: one may end with its process
                    statuses[httpx.post(f"{served.spec.url}/price", json=question, timeout=60).status_code] += 1

        asking = [threading.Thread(target=ask) for _ in range(2)]
        for thread in asking:
            thread.start()
        assert eventually(lambda: statuses[200] >= 20, within=60)
        victim, survivor = workers(served)
        victim.kill()
        before = statuses[200]
        assert eventually(lambda: statuses[200] >= before + 20, within=60)
        assert survivor.is_running()
        assert eventually(lambda: len(workers(served)) == 2 and victim not in workers(served), within=60)
        stop.set()
        for thread in asking:
            thread.join()
        who = {p.pid for p in workers(served)}
        assert survivor.pid in who and victim.pid not in who
        assert set(statuses) == {200}
        name = 'retail_requests_total{product="pricing",route="/price",status="200"}'
        assert eventually(lambda: served.metrics().get(name, 0) >= statuses[200] - before, within=30)
