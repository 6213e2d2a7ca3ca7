"""Connections under the connection monitor: that of a connection thread, or of another thread."""

from __future__ import annotations

import time
from typing import Any, Protocol

from fencepost.store.connection import Connection
from fencepost.store.connection_threads import PendingJob


class Monitored(Protocol):
    """The part of a connection thread that the monitor reads."""

    pending: PendingJob | None
    began: float
    connecting: bool
    connection: Connection | None


class ForeignConnection:
    """A connection that another thread uses."""

    def __init__(self, connection: Connection) -> None:
        self.connection: Connection | None = connection
        self.pending: PendingJob | None = _Nobody()
        self.began = time.monotonic()
        self.connecting = False


class _Nobody(PendingJob):
    """Stands for the job of such a connection; its user meets the break itself."""

    __slots__ = ()

    def __init__(self) -> None:
        self.until = float("inf")

    def resolve(self, result: Any, error: BaseException | None) -> None:
        """There is no future."""
