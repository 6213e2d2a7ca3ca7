"""Notifications between the servers on one database: tasks became ready, a definition changed.

Each server listens on one connection. Sending is throttled and coalesced, and never part of a transaction that changes
tasks, because NOTIFY makes commits wait for each other. A notification only saves time: nothing relies on its arrival.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any, LiteralString, NamedTuple

import orjson
import psycopg

from fencepost.errors import Refusal
from fencepost.store.connection import cut
from fencepost.store.conninfo import with_limits
from fencepost.store.server import ServerStore
from fencepost.store.session import statement_for
from fencepost.telemetry import Event, emit

_THROTTLE = 0.025
_RECONNECT = 1.0
# Seconds without a notification until the connection is checked; it is dropped when it does not answer.
_ASK_AFTER = 10.0
_ANSWER_WITHIN = 2.0
# Postgres takes 8,000 bytes; a definition's name is at most 605.
_MOST_NAMES = 10


class News(NamedTuple):
    """A notification: counts of ready tasks by definition, and the names of changed definitions."""

    ready: dict[str, int]
    definitions: list[str]


class Notifications:
    """Receives and sends notifications."""

    def __init__(self, conninfo: str, server: ServerStore) -> None:
        self._conninfo = conninfo
        self._server = server
        self._name = uuid.uuid4().hex
        self._ready: Counter[str] = Counter()
        self._definitions: set[str] = set()
        self._sending: asyncio.Task[None] | None = None
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._listening: asyncio.Task[Any] | None = None
        self._closing = False
        self._lost = False
        self.connected = asyncio.Event()
        self.on_news: Callable[[News], None] = lambda _: None
        self.on_connected: Callable[[], None] = lambda: None

    def ready(self, definition: str, count: int) -> None:
        """Notify other servers of ready tasks, soon."""
        self._ready[definition] += count
        self._send_soon()

    def definition(self, name: str) -> None:
        """Notify other servers of a changed definition, soon."""
        self._definitions.add(name)
        self._send_soon()

    async def run(self) -> None:
        """Listen until closed or cancelled, with a new connection whenever one breaks."""
        self._listening = asyncio.current_task()
        while not self._closing:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                # Once, until it listens again.
                if not (self._lost or self._closing):
                    emit(Event.LISTENER_LOST, reason=" ".join(str(error).split()) or type(error).__name__)
                self._lost = True
            if not self._closing:
                await asyncio.sleep(_RECONNECT)

    def close(self) -> None:
        """Stop listening.

        psycopg answers a cancellation by asking the server to cancel the statement, and waits for that: for ever, when
        the connection is silent. So a connection that is there is cut instead.
        """
        self._closing = True
        if self._connection is not None:
            cut(self._connection)
        elif self._listening is not None:
            self._listening.cancel()

    async def flush(self) -> None:
        """Send the pending notifications."""
        if self._sending is not None:
            await self._sending

    async def _listen(self) -> None:
        conninfo = with_limits(self._conninfo)
        async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
            await connection.execute(statement_for(self._conninfo))
            self._connection = connection
            try:
                await _answered(connection, "listen fencepost")
                self._lost = False
                emit(Event.LISTENING)
                self.on_connected()
                self.connected.set()
                while True:
                    async for notification in connection.notifies(timeout=_ASK_AFTER):
                        self._hear(notification.payload)
                    await _answered(connection, "select 1")
            finally:
                self._connection = None

    def _hear(self, payload: str) -> None:
        try:
            news = orjson.loads(payload)
            if news.pop("from") != self._name:
                self.on_news(News(**news))
        except (ValueError, TypeError, KeyError, AttributeError):
            # A message of another program; the fallback poller finds any work behind it.
            return

    def _send_soon(self) -> None:
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        # The first one goes at once; those of the next moment go together.
        try:
            while self._ready or self._definitions:
                ready = dict(self._ready.most_common(_MOST_NAMES))
                definitions = sorted(self._definitions)[: _MOST_NAMES - len(ready)]
                for name in ready:
                    del self._ready[name]
                self._definitions.difference_update(definitions)
                news = {"from": self._name, "ready": ready, "definitions": definitions}
                with contextlib.suppress(Refusal, psycopg.Error):  # it would only have saved time
                    await self._server.notify(orjson.dumps(news).decode())
                await asyncio.sleep(_THROTTLE)
        finally:
            self._sending = None


async def _answered(connection: psycopg.AsyncConnection[Any], text: LiteralString) -> None:
    """Run a statement; cut the connection when the answer does not come in time."""
    timer = asyncio.get_running_loop().call_later(_ANSWER_WITHIN, cut, connection)
    try:
        await connection.execute(text)
    finally:
        timer.cancel()
