"""What a contestant is: one queue behind four measurements, each through the queue's own public API.

A contestant runs in a process of its own (`python -m bench.lane NAME`), so none warms up or slows down another, and
what its process and the processes under it (a server, workers, Node) use of the CPU is its bill. It may start children;
they end with it (`bench.child.Child` does that). Its methods are plain functions: one that needs an event loop runs one
(`asyncio.run`) for as long as the call takes. All of them get the same Postgres, each a database of its own.

A module `bench/contestants/<name>.py` has a function `contestant() -> Contestant` that must not fail and imports
what may be missing only inside of `available` and after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

# Node's packages are installed here: `make bench` runs `npm ci --prefix bench` (node_modules is not committed).
NODE_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Drained:
    """What a drain did; `left` 0 and `calls` == `tasks` == count is exactly once.

    seconds  from the start of the first handler to the moment at which the last completion is committed: starting
             processes and imports before the first handler are not in it, flushing completions after the last is
    calls    how often a handler was called
    tasks    how many different tasks it was called for
    left     tasks that the queue's tables hold as not done afterwards
    decided  decisions that were made beside the calls, each a task of its own; only workflows have such
    """

    seconds: float
    calls: int
    tasks: int
    left: int
    decided: int = 0


class Contestant(Protocol):
    """One queue. `count` no-op tasks carry {"n": <number>} or nothing at all; handlers do nothing but count."""

    name: str
    # One line for the table's notes: what is kept of a finished task, how handlers are called, the batch sizes.
    manner: str

    def available(self) -> str | None:
        """Return why it cannot take part here ("pgqueuer is not installed", "Node is missing"), or None if it can."""

    def prepare(self, dsn: str) -> None:
        """Make its schema in the empty database that `dsn` (a libpq conninfo, over a unix socket) names."""

    def create(self, count: int) -> float:
        """Put `count` tasks through the bulk path of its API and return the seconds from first call to last commit."""

    def drain(self, count: int) -> Drained:
        """Start its worker(s), best settings for two cores, run until `count` waiting tasks are done, stop them."""

    def latency(self, count: int) -> list[float]:
        """Return seconds from before the create call to the handler's start, one task after another on an idle queue.

        The worker waits already (200 tasks or so before may warm it up) and is woken by whatever its API offers;
        some 5 to 15 ms lie between a finished task and the next create. Both ends read `time.perf_counter()` (or
        CLOCK_MONOTONIC in nanoseconds, `process.hrtime.bigint()` in Node: the same clock in all processes on Linux).
        """

    def close(self) -> None:
        """Stop what it started."""


Factory = Callable[[], Contestant]
