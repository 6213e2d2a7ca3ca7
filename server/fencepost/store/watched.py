"""Threads with a connection that the watch looks after: a lane, or another thread that runs statements."""

from __future__ import annotations

import time
from typing import Any, Protocol

from fencepost.store.connection import Connection
from fencepost.store.lanes import Pending


class Watched(Protocol):
    """The part of a thread with a connection that the watch sees."""

    pending: Pending | None
    began: float
    connecting: bool
    connection: Connection | None


class Alone:
    """A connection that is used by a thread of somebody else's."""

    def __init__(self, connection: Connection) -> None:
        self.connection: Connection | None = connection
        self.pending: Pending | None = _Nobody()
        self.began = time.monotonic()
        self.connecting = False


class _Nobody(Pending):
    """Stands for the job of such a connection, whose caller meets the break itself."""

    __slots__ = ()

    def __init__(self) -> None:
        self.until = float("inf")

    def resolve(self, result: Any, error: BaseException | None) -> None:
        """There is no future."""
