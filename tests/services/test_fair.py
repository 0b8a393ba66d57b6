"""One caller's load is not another's: whoever asks little is answered while others ask for more than there is."""

import asyncio
import threading
from collections import Counter
from pathlib import Path

import pytest
from fastapi import Request, Response

from retail_assets.serving.config import Rate, ServingConfig
from retail_assets.serving.gateway.keys import KeyStore
from tests.services.test_under_load import Connection, Crowd, answer, front

CONFIG = ServingConfig.load_file()
MUCH = Rate(per_second=10_000, burst=10_000)
BODY = b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
HEAVY = 40
LIGHT = 15


def request(key: str | None) -> bytes:
    """A question with this key."""
    shown = f"Authorization: Bearer {key}\r\n".encode() if key else b""
    return b"POST /work HTTP/1.1\r\nHost: localhost\r\n" + shown + BODY


async def asks(port: int, sent: bytes, count: int, stop: asyncio.Event | None = None) -> Counter[int]:
    """One connection that asks again as soon as it was answered, `count` times or until it is told to stop."""
    connection = await asyncio.open_connection("127.0.0.1", port)
    statuses = Counter[int]()
    while count and not (stop is not None and stop.is_set()):
        connection[1].write(sent)
        statuses[(await answer(connection[0]))[0]] += 1
        count -= 1
    connection[1].close()
    return statuses


async def side_by_side(port: int, heavy: bytes, light: bytes) -> tuple[Counter[int], Counter[int]]:
    """Statuses of those who ask all the time over many connections, and of one who asks one thing after the other."""
    stop = asyncio.Event()
    load = [asyncio.create_task(asks(port, heavy, -1, stop)) for _ in range(HEAVY)]
    while not any(task.done() for task in load) and len(asyncio.all_tasks()) < HEAVY:
        await asyncio.sleep(0)
    await asyncio.sleep(0.3)
    few = await asks(port, light, LIGHT)
    stop.set()
    return sum(await asyncio.gather(*load), Counter()), few


@pytest.mark.parametrize("way", ["by the front", "by the application"])
@pytest.mark.parametrize("who", ["another key", "no key", "a wrong key"])
def test_a_heavy_caller_is_sent_away_and_a_light_one_answered(tmp_path: Path, way: str, who: str) -> None:
    store, crowd = KeyStore(tmp_path / "keys.json"), Crowd()
    light, other = (store.add(name, frozenset({"price"}), CONFIG, rate=MUCH)[1] for name in ("light", "heavy"))
    heavy = {"another key": other, "no key": None, "a wrong key": other[:-1] + ("A" if other[-1] != "A" else "B")}[who]
    work, decide = (None, crowd.decide) if way == "by the front" else (crowd.work, None)
    with front(tmp_path, work, decide) as made:
        many, few = asyncio.run(side_by_side(made.port, request(heavy), request(light)))
        assert few == {200: LIGHT}, many
        if who == "another key":
            assert many[503] > 0 and many[200] > 0
        else:
            assert many[200] == 0


def test_callers_of_the_same_weight_share(tmp_path: Path) -> None:
    store, crowd = KeyStore(tmp_path / "keys.json"), Crowd()
    keys = [store.add(str(number), frozenset({"price"}), CONFIG, rate=MUCH)[1] for number in range(3)]
    counts = (30, 10, 10)

    async def all_of_them(port: int) -> list[int]:
        stop = asyncio.Event()
        tasks = [
            [asyncio.create_task(asks(port, request(key), -1, stop)) for _ in range(count)]
            for key, count in zip(keys, counts, strict=True)
        ]
        await asyncio.sleep(3)
        stop.set()
        return [sum((await asyncio.gather(*each)), Counter[int]())[200] for each in tasks]

    with front(tmp_path, None, crowd.decide) as made:
        answered = asyncio.run(all_of_them(made.port))
    assert max(answered) < 2 * min(answered), answered


def test_a_key_cannot_be_inside_with_all_its_requests(tmp_path: Path) -> None:
    """Places inside a process are shared as well: half of them is the most that one key has."""
    inside, go = threading.Semaphore(0), threading.Event()
    store = KeyStore(tmp_path / "keys.json")
    keys = [store.add(name, frozenset({"price"}), CONFIG)[1] for name in ("greedy", "other")]

    async def waits(_: Request) -> Response:
        inside.release()
        await asyncio.to_thread(go.wait)
        return Response("done")

    async def asked(port: int) -> list[int]:
        greedy = [asyncio.create_task(asks(port, request(keys[0]), 1)) for _ in range(2)]
        assert await asyncio.to_thread(inside.acquire, timeout=30)
        assert await asyncio.to_thread(inside.acquire, timeout=30)
        third = await asks(port, request(keys[0]), 1)
        other = asyncio.create_task(asks(port, request(keys[1]), 1))
        assert await asyncio.to_thread(inside.acquire, timeout=30)
        go.set()
        return [next(iter(found)) for found in (*await asyncio.gather(*greedy), third, await other)]

    with front(tmp_path, waits, active=4, deadline_s=30, slow_deadline_s=60) as made:
        assert asyncio.run(asked(made.port)) == [200, 200, 503, 200]


def test_slow_bodies_keep_nobody_out(tmp_path: Path) -> None:
    """A request whose body is not there yet has no place inside."""
    crowd = Crowd()

    async def beside(port: int) -> list[int]:
        slow: list[Connection] = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        for _, writer in slow:
            writer.write(request(None).replace(b"Length: 2\r\n\r\n{}", b"Length: 2\r\n\r\n{"))
            await writer.drain()
        quick = [next(iter(await asks(port, request(None), 1))) for _ in range(5)]
        for _, writer in slow:
            writer.write(b"}")
        late = [(await answer(reader))[0] for reader, _ in slow]
        for _, writer in slow:
            writer.close()
        return [*quick, *late]

    for work, decide in ((crowd.work, None), (None, crowd.decide)):
        with front(tmp_path, work, decide, active=4, late_s=4, shed_s=5) as made:
            assert asyncio.run(beside(made.port)) == [200] * 25


def test_asking_for_the_server_takes_no_place_in_the_line(tmp_path: Path) -> None:
    crowd = Crowd()

    async def asked(port: int) -> Counter[int]:
        whole = b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(100):
            writer.write(whole)
            assert (await reader.readuntil(b"\r\n\r\n"))[9:12] == b"204"
        writer.close()
        return await asks(port, request(None), 30)

    with front(tmp_path, None, crowd.decide) as made:
        assert asyncio.run(asked(made.port)) == {200: 30}


def test_a_request_whose_sender_has_left_the_line_is_not_begun(tmp_path: Path) -> None:
    crowd, began = Crowd(), []

    def decide(desk: object, asked: object, late: bool) -> dict[str, bool]:
        began.append(late)
        return crowd.decide(desk, asked, late)  # type: ignore[arg-type]

    async def left(port: int) -> None:
        first, *others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(6)]
        crowd.hold()
        first[1].write(request(None))
        await crowd.is_held()
        for _, writer in others:
            writer.write(request(None))
            await writer.drain()
            writer.transport.abort()
        crowd.go_on()
        assert (await answer(first[0]))[0] == 200
        first[1].close()
        assert await asks(port, request(None), 3) == {200: 3}

    with front(tmp_path, None, decide) as made:
        asyncio.run(left(made.port))
    assert len(began) <= 6
