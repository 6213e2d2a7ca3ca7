"""Fencepost: `fencepost serve` processes, workers of the Python SDK over HTTP, tasks created with its `create_many`.

Variants: `fencepost:two` has two servers on one database, `fencepost:workers` one server of two processes.
`fencepost:limits` spreads its tasks over 1,000 keys with a `concurrencyLimit` of 2 each. `fencepost:workflows` creates
them by workflows of 10 sequential activities; their decisions count as tasks too. `fencepost:1kb` and `fencepost:10kb`
have params of that size. `fencepost:batch` has a batch handler, for up to 500 tasks a call. `fencepost:keep-none` keeps
no done task. Everything goes through HTTP, without access to the database.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import random
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from bench.child import Child, python
from bench.contestant import Drained, Manner
from bench.contestants.fencepost_worker import BATCH_SIZE, CELLS, DEFINITION, FLOW, LIMITED, SINGLE, STEPS
from fencepost_sdk import AsyncClient, Client

KEYS = 1000
IN_FLIGHT = 32
_DRAIN_SECONDS = 240.0
_MOST_FLOWS = 500
_SIZES = {"1kb": 1_000, "10kb": 10_000}


def contestant(variant: str = "", **options: Any) -> FencepostContestant:
    """Return the contestant; options: serve (further arguments), processes, concurrency, prefetch."""
    return FencepostContestant(variant, **options)


class FencepostContestant:
    """One or two servers, and worker processes that are started once and work for each drain."""

    def __init__(
        self,
        variant: str = "",
        *,
        serve: list[str] | None = None,
        processes: int = 2,
        concurrency: int = 500,
        prefetch: int = 500,
    ) -> None:
        self.name = f"fencepost:{variant}" if variant else "fencepost"
        self._is_limited = variant == "limits"
        self._has_flows = variant == "workflows"
        self._keeps_none = variant == "keep-none"
        self._orders = _orders(_SIZES.get(variant, 0))
        self._in_batches = variant == "batch"
        self._definition = LIMITED if self._is_limited else DEFINITION
        self._server_count = 2 if variant == "two" else 1
        self._serve = [*(serve or []), *(["--workers", "2"] if variant == "workers" else [])]
        self._worker_count = max(processes, self._server_count)
        self._settings = {"concurrency": concurrency, "prefetch": prefetch}
        self._servers: list[Child] = []
        self._workers: list[Child] = []
        self._urls: list[str] = []
        self._folder = tempfile.TemporaryDirectory(prefix="fencepost-bench-")
        self._cells: memoryview[int] = memoryview(b"").cast("q")
        self.manner = Manner(
            history="deleted" if self._keeps_none else "kept",
            keeps="receipts for ten minutes" if self._keeps_none else "task and log",
            batch=BATCH_SIZE if self._in_batches else 1,
            settings=f"over HTTP; {self._worker_count} worker process(es), concurrency {concurrency} and {prefetch} "
            "ahead; creates with create_many",
            finished="select count(*) from fencepost.done_tasks",
        )

    def available(self) -> str | None:
        """Return None: it is part of this checkout."""
        return None

    def prepare(self, dsn: str) -> None:
        """Start the servers, put the definitions, start the workers."""
        for _ in range(self._server_count):
            command = python("fencepost", "serve", "--port", "0", "--log-level", "warning", *self._serve)
            server = Child([*command, "--database-url", dsn])
            self._servers.append(server)
            self._urls.append(server.read().decode().rpartition(" ")[2])
        with Client(self._urls[0]) as client:
            keep = {"keep": "none"} if self._keeps_none else {}
            for name in (DEFINITION, SINGLE):
                client.define({"kind": "task", "name": name, **keep})
            client.define({"kind": "workflow", "name": FLOW})
            limit = {"concurrencyLimit": 2, "concurrencyPath": ["params", "key"]} if self._is_limited else {}
            client.define({"kind": "task", "name": LIMITED, **limit})
        shared = Path(self._folder.name) / "cells"
        shared.write_bytes(bytes(8 * CELLS * self._worker_count))
        with shared.open("r+b") as file:
            self._cells = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
        for index in range(self._worker_count):
            self._workers.append(Child(python("bench.contestants.fencepost_worker", str(shared), str(index))))

    def url(self) -> str:
        """Return the URL of the first server."""
        return self._urls[0]

    def servers(self) -> list[int]:
        """Return the ids of the server processes."""
        return [server.pid for server in self._servers]

    def create(self, count: int, definition: str | None = None) -> float:
        """Create tasks with `create_many` of the SDK, an equal share at each server."""
        if self._has_flows:
            return self._begin(count // STEPS)
        shares = [range(index, count, len(self._urls)) for index in range(len(self._urls))]
        clients = [Client(url) for url in self._urls]

        def send(client: Client, numbers: range) -> None:
            for said in client.create_many(definition or self._definition, map(self._params, numbers)):
                if isinstance(said, Exception):
                    raise said

        with ThreadPoolExecutor(len(clients)) as threads:
            began = time.perf_counter()
            list(threads.map(send, clients, shares))
            seconds = time.perf_counter() - began
        for client in clients:
            client.close()
        return seconds

    def drain(self, count: int) -> Drained:
        """Run the workers until there is a handler call for each task, and stop them gracefully."""
        self._start_workers()
        give_up = time.monotonic() + _DRAIN_SECONDS
        while sum(self._cells[0::CELLS]) < count and time.monotonic() < give_up:
            time.sleep(0.002)
        while self._has_flows and self._flows_left() and time.monotonic() < give_up:
            time.sleep(0.01)
        said = self._stop_workers()
        first = min((value for value in self._cells[1::CELLS] if value), default=0)
        seen = [number for what in said for number in what["seen"]]
        seconds = (max(what["ended"] for what in said) - first) / 1e9
        decided = len(seen) + len(seen) // STEPS if self._has_flows else 0
        calls = sum(what["calls"] for what in said)
        return Drained(
            seconds=seconds, handled=len(seen), tasks=len(set(seen)), calls=calls, left=self.left(), decided=decided
        )

    def latency(self, count: int) -> list[float]:
        """Create one task after another while the worker waits in a long poll."""
        self._start_workers()
        taken: list[float] = []
        with Client(self._urls[0]) as client:
            for number in range(count):
                for place in range(2, len(self._cells), CELLS):
                    self._cells[place] = 0
                began = time.perf_counter_ns()
                client.create(self._definition, {"n": number, "key": 0})
                while not any(self._cells[2::CELLS]):
                    time.sleep(0.002)
                taken.append((max(self._cells[2::CELLS]) - began) / 1e9)
                time.sleep(0.01)
        self._stop_workers()
        return taken

    def left(self, definition: str | None = None) -> int:
        """Return the number of tasks that are not done."""
        wanted = f"definition={definition or self._definition}&.status=waiting,ready,requested,in-progress&_count=0"
        with urlopen(f"{self._urls[0]}/AidboxTask?{wanted}") as answer:  # noqa: S310 our own server
            return int(json.load(answer)["total"])

    def _params(self, number: int) -> dict[str, Any]:
        if self._orders:
            return {"n": number, "orders": self._orders}
        return {"n": number, "key": number % KEYS} if self._is_limited else {"n": number}

    def create_in_flight(self, count: int) -> float:
        """Create tasks with a call of the async client for each, 32 at a time; return the seconds."""
        return asyncio.run(self._create_in_flight(count))

    async def _create_in_flight(self, count: int) -> float:
        numbers = iter(range(count))

        async def create() -> None:
            for number in numbers:
                await client.create(DEFINITION, {"n": number})

        async with AsyncClient(self._urls[0], connections=IN_FLIGHT) as client:
            began = time.perf_counter()
            await asyncio.gather(*(create() for _ in range(IN_FLIGHT)))
            return time.perf_counter() - began

    def _begin(self, flows: int) -> float:
        """Start workflows, 500 per request."""
        call = {"method": "awf.workflow/create-and-execute", "params": {"definition": FLOW}}
        began = time.perf_counter()
        for first in range(0, flows, _MOST_FLOWS):
            body = json.dumps([call] * min(_MOST_FLOWS, flows - first)).encode()
            headers = {"content-type": "application/json"}
            with urlopen(Request(f"{self._urls[0]}/rpc", body, headers)) as answer:  # noqa: S310 our own server
                for said in json.load(answer):
                    said["result"]
        return time.perf_counter() - began

    def _flows_left(self) -> int:
        with urlopen(f"{self._urls[0]}/AidboxWorkflow?_count=0&.status=in-progress") as answer:  # noqa: S310 likewise
            return int(json.load(answer)["total"])

    def close(self) -> None:
        """Stop workers, then servers."""
        for child in (*self._workers, *self._servers):
            child.stop()
        self._folder.cleanup()

    def _start_workers(self) -> None:
        for index, worker in enumerate(self._workers):
            order = {"work": self._urls[index % len(self._urls)], "settings": self._settings, "batch": self._in_batches}
            worker.write(json.dumps(order).encode())
        for worker in self._workers:
            worker.read()

    def _stop_workers(self) -> list[dict[str, Any]]:
        for worker in self._workers:
            worker.write(b"stop")
        return [json.loads(worker.read()) for worker in self._workers]


def _orders(size: int) -> list[dict[str, Any]]:
    """Return JSON of this size that compresses as usual, to a third."""
    numbers = random.Random(size)  # noqa: S311 no secret
    orders: list[dict[str, Any]] = []
    while len(json.dumps(orders)) < size:
        article = f"article {numbers.randrange(10**6)}"
        order = f"{numbers.getrandbits(48):012x}"
        orders.append({"order": order, "article": article, "price": numbers.randrange(10**5)})
    return orders
