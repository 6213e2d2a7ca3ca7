"""Shared parts of the contestants of other queues: URLs, checks for packages, counts, and programs in other languages.

A contestant in another language is a program that reads a JSON array per line and answers with a JSON object per line:
on Node a module `<name>.mjs` that `peer.mjs` serves, in Go the program in the folder `<name>`.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bench.child import Child
from bench.contestant import NODE_FOLDER, Drained, Manner
from bench.contestants.crew import DRAIN_SECONDS

# The version that pg-boss 12 requires.
NODE_VERSION = (22, 12)
# Pause between two tasks of a latency measurement, in which the worker returns to waiting.
PAUSE_SECONDS = 0.01
# Warm-up tasks before a latency measurement: for caches, prepared statements and compilers.
WARM_UP = 20
# Long enough for a queue that missed a notification to poll, which is a slow start and not a failure.
START_SECONDS = 40.0


def url(dsn: str) -> str:
    """Return a conninfo as a URL that asyncpg, sqlx and node-postgres accept, with its Unix socket."""
    parts = conninfo_to_dict(dsn)
    where = {name: str(parts[name]) for name in ("host", "port", "user", "password") if parts.get(name)}
    return f"postgresql:///{quote(str(parts['dbname']), safe='')}?{urlencode(where)}"


def missing(*modules: str) -> str | None:
    """Return the first of these Python modules that cannot be imported, or None."""
    absent = [module for module in modules if find_spec(module) is None]
    return f"not installed: {', '.join(absent)} (constraints/bench.txt)" if absent else None


def left(dsn: str, query: str) -> int:
    """Return the count of a query."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


class Start:
    """The start time of the handler of the current task."""

    def __init__(self) -> None:
        self._at = 0.0
        self._happened = asyncio.Event()

    def now(self, at: float | None = None) -> None:
        """Record the start, now or at a time of `time.perf_counter()`."""
        self._at = time.perf_counter() if at is None else at
        self._happened.set()

    async def wait(self) -> float:
        """Return the start and reset it."""
        async with asyncio.timeout(START_SECONDS):
            await self._happened.wait()
        self._happened.clear()
        return self._at


async def one_by_one(count: int, start: Start, create: Callable[[int], Awaitable[object]]) -> list[float]:
    """Create tasks one at a time and return the seconds until the start of each handler."""
    taken = []
    for number in range(WARM_UP + count):
        began = time.perf_counter()
        await create(number)
        taken.append(await start.wait() - began)
        await asyncio.sleep(PAUSE_SECONDS)
    return taken[WARM_UP:]


class Peer(ABC):
    """A contestant with its worker and its producer in one process of another language."""

    def __init__(self, name: str, manner: Manner, waiting: str) -> None:
        self.name = name
        self.manner = manner
        # Counts the jobs that are not done.
        self._waiting = waiting
        self._dsn = ""
        self._child: Child | None = None

    @abstractmethod
    def available(self) -> str | None:
        """Return the missing part, or None."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command of the program."""

    def prepare(self, dsn: str) -> None:
        """Start the program, and create the schema of the queue."""
        self._dsn = dsn
        quiet = {"NODE_ENV": "production", "NO_LOG_SUCCESS": "1"}
        self._child = Child(self.command(), env=quiet, orphaned=signal.SIGKILL)
        self._ask("prepare", url(dsn))

    def create(self, count: int) -> float:
        """Create in bulk."""
        return float(self._ask("create", count))

    def drain(self, count: int) -> Drained:
        """Run the worker in that process until `count` jobs are done."""
        done = self._ask("drain", count, DRAIN_SECONDS)
        return Drained(**done, left=left(self._dsn, self._waiting))

    def latency(self, count: int) -> list[float]:
        """Create one job at a time."""
        taken: list[float] = self._ask("latency", WARM_UP + count, PAUSE_SECONDS)
        return taken[WARM_UP:]

    def close(self) -> None:
        """Stop the program."""
        if self._child is not None:
            self._child.stop()

    def _ask(self, what: str, *arguments: Any) -> Any:
        assert self._child is not None
        self._child.write(json.dumps([what, *arguments]).encode())
        answer = json.loads(self._child.read())
        if "failed" in answer:
            raise RuntimeError(answer["failed"])
        return answer["result"]


class NodePeer(Peer):
    """A contestant on Node; `package` is its package on npm."""

    def __init__(self, name: str, package: str, manner: Manner, waiting: str) -> None:
        super().__init__(name, manner, waiting)
        self._package = package

    def available(self) -> str | None:
        """Return the missing part, Node or the package, or None."""
        if not (NODE_FOLDER / "node_modules" / self._package / "package.json").is_file():
            return f"{self._package} is not installed (npm ci --prefix bench)"
        if node() is None:
            return f"no Node {'.'.join(map(str, NODE_VERSION))} or newer (npm ci --prefix bench brings one)"
        return None

    def command(self) -> list[str]:
        """Return Node with the module of the contestant."""
        program = node()
        assert program is not None
        return [program, str(NODE_FOLDER / "contestants" / f"{self.name}.mjs")]


class GoPeer(Peer):
    """A contestant in Go, built by `make bench`."""

    def available(self) -> str | None:
        """Return the reason why there is no program, or None."""
        if not self._program.is_file():
            return "left out: it is not built; `make bench` builds it where Go is installed"
        return None

    def command(self) -> list[str]:
        """Return the program."""
        return [str(self._program)]

    @property
    def _program(self) -> Path:
        return Path(sys.prefix) / "bin" / f"bench-{self.name}"


@cache
def node() -> str | None:
    """Return a Node that is new enough: the one that npm installed here, or that of the machine."""
    for program in (str(NODE_FOLDER / "node_modules" / "node" / "bin" / "node"), shutil.which("node")):
        if program is None or shutil.which(program) is None:
            continue
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        version = tuple(int(part) for part in said.strip().removeprefix("v").split(".")[:2] if part.isdigit())
        if version >= NODE_VERSION:
            return program
    return None
