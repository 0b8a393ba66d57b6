"""The centre's endpoint for real: uvicorn in a thread on loopback, over a home."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake
from retail_assets.stores.endpoint import create_app, speaks
from tests.services.harness import eventually, free_port


def environment_of(home: Home, centre: str | None = None) -> Environment:
    """The test environment of a home."""
    return Environment(name="test", home=home, lake=Lake.at(home.lake), centre=centre)


@contextmanager
def centre_of(home: Home, host: str = "127.0.0.1") -> Iterator[str]:
    """The URL of a running centre; everything that has landed is in the lake when the block ends."""
    port = free_port()
    config = uvicorn.Config(
        create_app(environment_of(home)),
        host=host,
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=1,
        **speaks(),
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="centre")
    thread.start()
    try:
        assert eventually(lambda: server.started or not thread.is_alive(), within=60)
        assert server.started
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(60)
