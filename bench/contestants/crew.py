"""Worker processes of a Python queue, which are started once and work for each drain.

The processes write the number of started handlers, and the time of the first, to shared memory, where the crew reads
them. The module of a queue is also its worker: it calls `serve` when it runs as a program.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Hashable
from pathlib import Path
from typing import Any

import uvloop

from bench.child import Child, python
from bench.contestant import Drained

# A longer drain is cut off; the harness finds the tasks that are left.
DRAIN_SECONDS = 240
_LOOK_SECONDS = 0.002
# Eight-byte numbers per worker: handler calls, time of the first (CLOCK_MONOTONIC, one clock for all on Linux).
_CELLS = 2


class Tally:
    """The counters of one worker process."""

    def __init__(self, cells: memoryview[int]) -> None:
        self._cells = cells
        self._calls = 0
        self.seen: set[Hashable] = set()
        cells[0] = cells[1] = 0

    def add(self, task: Hashable) -> None:
        """Count a handler call for a task."""
        if not self._calls:
            self._cells[1] = time.perf_counter_ns()
        self._calls += 1
        self.seen.add(task)
        self._cells[0] = self._calls


Work = Callable[[dict[str, Any], Tally, asyncio.Event], Awaitable[None]]
"""A function of an order, a tally and an event; it works until the event is set and all done tasks are committed."""


class Crew:
    """The worker processes, for their contestant."""

    def __init__(self, module: str, size: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fencepost-bench-")
        shared = Path(self._folder.name) / "cells"
        shared.write_bytes(bytes(8 * _CELLS * size))
        with shared.open("r+b") as file:
            self._cells = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
        # Awa handles SIGTERM itself, so that orphans need SIGKILL.
        orphaned = signal.SIGKILL
        self._children = [Child(python(module, str(shared), str(index)), orphaned=orphaned) for index in range(size)]

    def drain(self, order: dict[str, Any], count: int, left: Callable[[], int]) -> Drained:
        """Let all work until `count` handler calls, each for one task; `left` counts the tasks left afterwards."""
        for child in self._children:
            child.write(json.dumps(order).encode())
        for child in self._children:
            child.read()
        give_up = time.monotonic() + DRAIN_SECONDS
        while sum(self._cells[0::_CELLS]) < count and time.monotonic() < give_up:
            time.sleep(_LOOK_SECONDS)
        for child in self._children:
            child.write(b"stop")
        said = [json.loads(child.read()) for child in self._children]
        began = min((value for value in self._cells[1::_CELLS] if value), default=0)
        seconds = (max(what["ended"] for what in said) - began) / 1e9
        tasks, calls = {task for what in said for task in what["seen"]}, sum(self._cells[0::_CELLS])
        return Drained(seconds=seconds, handled=calls, tasks=len(tasks), calls=calls, left=left())

    def close(self) -> None:
        """Stop the processes."""
        for child in self._children:
            child.stop()
        self._folder.cleanup()


def serve(work: Work) -> None:
    """Run as a worker process: read a JSON order per line, each followed by a line "stop", until stdin ends."""
    path, index = Path(sys.argv[1]), int(sys.argv[2])
    with (
        path.open("r+b") as file,
        mmap.mmap(file.fileno(), 0) as shared,
        memoryview(shared).cast("q") as cells,
        cells[index * _CELLS : (index + 1) * _CELLS] as mine,
    ):
        uvloop.run(_serve(work, mine))


async def _serve(work: Work, cells: memoryview[int]) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        tally, enough = Tally(cells), asyncio.Event()
        _say({"working": True})
        stopping = asyncio.create_task(_wait_for_stop(lines, enough))
        await work(json.loads(line), tally, enough)
        ended = time.perf_counter_ns()
        await stopping
        _say({"ended": ended, "seen": list(tally.seen)})


async def _wait_for_stop(lines: asyncio.StreamReader, enough: asyncio.Event) -> None:
    await lines.readline()
    enough.set()


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()
