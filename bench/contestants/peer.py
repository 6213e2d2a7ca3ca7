"""What the adapters of other queues share: addresses, what is missing, what is left, and a contestant on Node.

A contestant on Node is a module `<name>.mjs` that `peer.mjs` serves: a JSON array a line in, a JSON object a line out.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from functools import cache
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bench.child import Child
from bench.contestant import NODE_FOLDER, Drained
from bench.contestants.crew import DRAIN_SECONDS

# What pg-boss 12 asks for.
NODE_VERSION = (22, 12)
# Between two tasks of a latency measurement: the queue is idle, and the worker has gone back to waiting.
PAUSE_SECONDS = 0.01
# Tasks before those whose latency counts: caches, prepared statements, a compiler that has to see a function often.
WARM_UP = 20
# Long enough for a peer that missed a notification to poll: that is a slow start, not a failure.
START_SECONDS = 40.0


def url(dsn: str) -> str:
    """Return a conninfo as an address that asyncpg, sqlx and node-postgres understand, unix socket included."""
    parts = conninfo_to_dict(dsn)
    where = {name: str(parts[name]) for name in ("host", "port", "user", "password") if parts.get(name)}
    return f"postgresql:///{quote(str(parts['dbname']), safe='')}?{urlencode(where)}"


def missing(*modules: str) -> str | None:
    """Return which of these Python modules cannot be imported, or None."""
    absent = [module for module in modules if find_spec(module) is None]
    return f"not installed: {', '.join(absent)} (constraints/bench.txt)" if absent else None


def left(dsn: str, query: str) -> int:
    """Return the number that a query counts."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


class Start:
    """When the handler of the one task under way started."""

    def __init__(self) -> None:
        self._at = 0.0
        self._happened = asyncio.Event()

    def now(self) -> None:
        """It starts now."""
        self._at = time.perf_counter()
        self._happened.set()

    async def wait(self) -> float:
        """Return when it was and forget it."""
        async with asyncio.timeout(START_SECONDS):
            await self._happened.wait()
        self._happened.clear()
        return self._at


async def one_by_one(count: int, start: Start, create: Callable[[int], Awaitable[object]]) -> list[float]:
    """Create tasks one after another and return the seconds until each one's handler started."""
    taken = []
    for number in range(WARM_UP + count):
        began = time.perf_counter()
        await create(number)
        taken.append(await start.wait() - began)
        await asyncio.sleep(PAUSE_SECONDS)
    return taken[WARM_UP:]


class NodePeer:
    """A contestant whose measurements happen in a Node process of its own, the worker and the producer in one."""

    def __init__(self, name: str, package: str, manner: str, waiting: str) -> None:
        self.name = name
        self.manner = manner
        self._package = package
        # Counts what is not done.
        self._waiting = waiting
        self._dsn = ""
        self._child: Child | None = None

    def available(self) -> str | None:
        """Return what is missing: Node, or the package."""
        if not (NODE_FOLDER / "node_modules" / self._package / "package.json").is_file():
            return f"{self._package} is not installed (npm ci --prefix bench)"
        if node() is None:
            return f"no Node {'.'.join(map(str, NODE_VERSION))} or newer (npm ci --prefix bench brings one)"
        return None

    def prepare(self, dsn: str) -> None:
        """Start Node and let the queue make its schema."""
        program = node()
        assert program is not None
        self._dsn = dsn
        script = NODE_FOLDER / "contestants" / f"{self.name}.mjs"
        quiet = {"NODE_ENV": "production", "NO_LOG_SUCCESS": "1"}
        self._child = Child([program, str(script)], env=quiet, orphaned=signal.SIGKILL)
        self._ask("prepare", url(dsn))

    def create(self, count: int) -> float:
        """Create in bulk."""
        return float(self._ask("create", count))

    def drain(self, count: int) -> Drained:
        """Work in this Node process until so many were done."""
        done = self._ask("drain", count, DRAIN_SECONDS)
        return Drained(done["seconds"], done["calls"], done["tasks"], left(self._dsn, self._waiting))

    def latency(self, count: int) -> list[float]:
        """Create one task after another."""
        taken: list[float] = self._ask("latency", WARM_UP + count, PAUSE_SECONDS)
        return taken[WARM_UP:]

    def close(self) -> None:
        """End Node."""
        if self._child is not None:
            self._child.stop()

    def _ask(self, what: str, *arguments: Any) -> Any:
        assert self._child is not None
        self._child.write(json.dumps([what, *arguments]).encode())
        answer = json.loads(self._child.read())
        if "failed" in answer:
            raise RuntimeError(answer["failed"])
        return answer["result"]


@cache
def node() -> str | None:
    """Return a Node that is new enough: the one that npm installed here, or the machine's."""
    for program in (str(NODE_FOLDER / "node_modules" / "node" / "bin" / "node"), shutil.which("node")):
        if program is None or shutil.which(program) is None:
            continue
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        version = tuple(int(part) for part in said.strip().removeprefix("v").split(".")[:2] if part.isdigit())
        if version >= NODE_VERSION:
            return program
    return None
