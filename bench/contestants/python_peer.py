"""A contestant in Python: its workers run in processes of their own, its producer in this one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any

import uvloop

from bench.contestant import Drained, Manner
from bench.contestants.crew import Crew
from bench.contestants.peer import left, missing


class PythonPeer(ABC):
    """A contestant whose module serves as the program of a worker (`crew.serve`)."""

    def __init__(
        self,
        name: str,
        module: str,
        manner: Manner,
        *,
        packages: tuple[str, ...],
        workers: int,
        order: Mapping[str, Any],
        waiting: str,
    ) -> None:
        """`order` has the settings of a worker; `waiting` is a query that counts the tasks that are not done."""
        self.name = name
        self.manner = manner
        self.dsn = ""
        self._module = module
        self._packages = packages
        self._workers = workers
        self._order = order
        self._waiting = waiting
        self._crew: Crew | None = None

    def available(self) -> str | None:
        """Return the missing packages, or None."""
        return missing(*self._packages)

    def prepare(self, dsn: str) -> None:
        """Install the schema, and start the processes of the workers."""
        self.dsn = dsn
        uvloop.run(self._prepare())
        self._crew = Crew(self._module, self._workers)

    def create(self, count: int) -> float:
        """Create tasks in bulk; return the seconds."""
        return uvloop.run(self._create(count))

    def drain(self, count: int) -> Drained:
        """Run workers until there were enough handler calls."""
        assert self._crew is not None
        return self._crew.drain({"dsn": self.dsn, **self._order}, count, partial(left, self.dsn, self._waiting))

    def latency(self, count: int) -> list[float]:
        """Create one task after another; return the seconds until each starts, by a worker in this process."""
        return uvloop.run(self._latency(count))

    def close(self) -> None:
        """Stop the workers."""
        if self._crew is not None:
            self._crew.close()

    @abstractmethod
    async def _prepare(self) -> None:
        """Install the schema."""

    @abstractmethod
    async def _create(self, count: int) -> float:
        """Create tasks in bulk; return the seconds."""

    @abstractmethod
    async def _latency(self, count: int) -> list[float]:
        """Create one task after another."""
