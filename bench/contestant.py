"""The interface of a contestant: one queue with four measurements, each through the public API of the queue.

Each contestant runs in its own process (`python -m bench.lane NAME`), so that none warms up or slows down another. The
CPU time of that process and its descendants (a server, workers, Node) is its CPU time. It may start children with
`bench.child.Child`, which end with it. Its methods are plain functions; one that needs an event loop runs one
(`asyncio.run`) during the call. All contestants use one Postgres, each with its own database.

A module `bench/contestants/<name>.py` has a function `contestant() -> Contestant` that must not fail. It imports
optional packages only in `available` and in later calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

# The folder of the Node packages: `make bench` runs `npm ci --prefix bench` (node_modules is not committed).
NODE_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """The terms on which contestants are compared: like with like. The harness checks `batch` and `finished`.

    history   "kept": a finished task can be read afterwards; "deleted": it cannot; "": not a queue
    keeps     what remains of a finished task, in a few words
    batch     the largest number of tasks in one handler call; 1 is one call a task
    settings  workers, batch sizes and so on, for the notes of the table
    finished  a query that counts the finished tasks in its tables, "" where nothing could be counted
    """

    history: Literal["kept", "deleted", ""]
    keeps: str
    batch: int = 1
    settings: str
    finished: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """The result of a drain; each task was handled once if `left` is 0 and `handled` == `tasks` == count.

    seconds  from the start of the first handler to the commit of the last completion: without the start of processes
             and imports before the first handler, but with the flush of completions after the last one
    handled  number of tasks that handlers were called with
    tasks    number of different tasks among these
    calls    number of handler calls
    left     tasks that are not done in the tables of the queue afterwards
    decided  decisions made beside the calls, each of which is a task; only for workflows
    """

    seconds: float
    handled: int
    tasks: int
    calls: int
    left: int
    decided: int = 0


class Contestant(Protocol):
    """One queue. Its `count` no-op tasks have the params {"n": <number>} or none; its handlers only count."""

    name: str
    manner: Manner

    def available(self) -> str | None:
        """Return the reason why it cannot run here ("pgqueuer is not installed", "Node is missing"), or None."""

    def prepare(self, dsn: str) -> None:
        """Create its schema in the empty database of `dsn`, a libpq conninfo with a Unix socket."""

    def create(self, count: int) -> float:
        """Create `count` tasks with its bulk API and return the seconds from the first call to the last commit."""

    def drain(self, count: int) -> Drained:
        """Run its workers, with the best settings for two cores, until `count` waiting tasks are done."""

    def latency(self, count: int) -> list[float]:
        """Return the seconds from before each create call to the start of the handler, one task at a time.

        The queue is idle and the worker waits; about 200 earlier tasks may warm it up. There are 5 to 15 ms between a
        finished task and the next create. Both times are from `time.perf_counter()`, or from another reading of
        CLOCK_MONOTONIC such as `process.hrtime.bigint()` in Node, which is one clock for all processes on Linux.
        """

    def close(self) -> None:
        """Stop its processes."""


Factory = Callable[[], Contestant]
