"""Workers that run beside a test, and networks that fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fencepost_sdk import Client, Worker
from tests.fixtures.faulty_proxy import FaultyProxy, faulty_proxy
from tests.fixtures.servers import Server


class Running:
    """A worker that runs on a thread of its own; what it raised comes out of `stop`."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def stop(self, *, at_once: bool = False, timeout: float = 20) -> None:
        self.worker.stop(at_once=at_once)
        self.thread.join(timeout)
        assert not self.thread.is_alive(), "the worker did not stop"
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            self.worker.run()
        except BaseException as error:  # noqa: BLE001 - `stop` raises it
            self.error = error


Run = Callable[[Worker], Running]


@contextmanager
def running(worker: Worker) -> Iterator[Running]:
    """Run a worker until the block ends."""
    one = Running(worker)
    try:
        yield one
    finally:
        one.stop(at_once=True)


@pytest.fixture
def run() -> Iterator[Run]:
    """Start workers that are stopped when the test ends."""
    started: list[Running] = []

    def start(worker: Worker) -> Running:
        started.append(Running(worker))
        return started[-1]

    yield start
    for one in started:
        one.stop(at_once=True)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client of the test's server."""
    with Client(server.url) as one:
        yield one


@pytest.fixture
def proxy(server: Server) -> Iterator[FaultyProxy]:
    """A network before the test's server that fails on demand."""
    with faulty_proxy(server.url) as one:
        yield one
