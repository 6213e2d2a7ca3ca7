"""Notifications between the servers on one database: tasks became ready, awaited ones ended, a definition changed.

Each server listens on one connection. Sending is throttled and coalesced, and never part of a transaction that changes
tasks, because NOTIFY makes commits wait for each other. A notification only saves time: nothing relies on its arrival.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
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
_MOST_IDS = 100
# Ends that wait to be sent; the servers that wait for further ones find them by themselves.
_MOST_PENDING = 2000


class News(NamedTuple):
    """A notification: counts of ready tasks by definition, the names of changed definitions, and ends.

    `awaited` has the definitions of what callers of the sender wait for. `ended` has the ids of awaited tasks and
    workflows that ended there, `ended_of` the definitions of those whose ids it does not know.
    """

    ready: dict[str, int]
    definitions: list[str]
    awaited: Sequence[str] = ()
    ended: Sequence[str] = ()
    ended_of: Sequence[str] = ()


class Notifications:
    """Receives and sends notifications."""

    def __init__(self, conninfo: str, server: ServerStore) -> None:
        self._conninfo = conninfo
        self._server = server
        self._name = uuid.uuid4().hex
        self._ready: Counter[str] = Counter()
        self._definitions: set[str] = set()
        # Dicts keep the order.
        self._awaited: dict[str, None] = {}
        self._ended: dict[str, None] = {}
        self._ended_of: dict[str, None] = {}
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

    def awaited(self, definition: str) -> None:
        """Notify other servers, soon, that callers of this one wait for tasks or workflows of a definition."""
        self._awaited[definition] = None
        self._send_soon()

    def ended(self, definition: str, ids: Sequence[str]) -> None:
        """Notify other servers of ends, soon: of these ids, or of a definition when they are not known."""
        if not ids:
            self._ended_of[definition] = None
        elif len(self._ended) < _MOST_PENDING:
            self._ended.update(dict.fromkeys(ids))
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
            while self._ready or self._definitions or self._awaited or self._ended or self._ended_of:
                # Two notifications, because a server of an older version ignores one with members that it does not
                # know as a whole.
                for news in (self._take_work(), self._take_ends()):
                    if news:
                        text = orjson.dumps({"from": self._name, "ready": {}, "definitions": [], **news}).decode()
                        with contextlib.suppress(Refusal, psycopg.Error):  # it would only have saved time
                            await self._server.notify(text)
                await asyncio.sleep(_THROTTLE)
        finally:
            self._sending = None

    def _take_work(self) -> dict[str, Any]:
        """Take some of the ready tasks and changed definitions."""
        ready = dict(self._ready.most_common(_MOST_NAMES))
        definitions = sorted(self._definitions)[: _MOST_NAMES - len(ready)]
        for name in ready:
            del self._ready[name]
        self._definitions.difference_update(definitions)
        return {"ready": ready, "definitions": definitions} if ready or definitions else {}

    def _take_ends(self) -> dict[str, list[str]]:
        """Take some of what is awaited, or else of what ended."""
        for name, pending, most in (
            ("awaited", self._awaited, _MOST_NAMES),
            ("ended_of", self._ended_of, _MOST_NAMES),
            ("ended", self._ended, _MOST_IDS),
        ):
            if pending:
                taken = list(pending)[:most]
                for one in taken:
                    del pending[one]
                return {name: taken}
        return {}


async def _answered(connection: psycopg.AsyncConnection[Any], text: LiteralString) -> None:
    """Run a statement; cut the connection when the answer does not come in time."""
    timer = asyncio.get_running_loop().call_later(_ANSWER_WITHIN, cut, connection)
    try:
        await connection.execute(text)
    finally:
        timer.cancel()
