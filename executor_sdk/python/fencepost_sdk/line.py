"""A connection of the worker's own, with its thread: one request at a time, repeated until it is answered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from fencepost_sdk.backoff import Backoff
from fencepost_sdk.calls import encode_batch
from fencepost_sdk.errors import ConnectionFailed
from fencepost_sdk.protocol import Fault, decode_fault
from fencepost_sdk.threads import Threads
from fencepost_sdk.transport import Connection, Endpoint, Reply

logger = logging.getLogger("fencepost_sdk")

Read = TypeVar("Read")
# The longest pause between attempts of a line in a hurry, in seconds.
HURRIED = 0.5
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class Greeting:
    """Whether the server has ever answered this worker: what is refused before that is a mistake in its settings."""

    def __init__(self, text: str) -> None:
        self.answered = False
        self._text = text
        self._said = False

    def say(self) -> None:
        """Log that the worker is connected, the first time that it is; called by the threads of connections."""
        if not self._said:
            self._said = True
            logger.info(self._text)


class Line(Generic[Read]):
    """Exchanges batches of calls for their answers, as `decode` reads them, over one connection.

    No reply, an overload, and after the greeting even a refused login or a redirection are waited out, `longest_delay`
    seconds at a time, or up to `longest_wish` when the server asks for it: an exchange ends with answers, or with
    RpcError for a request whose content the server refuses. Stopping is up to the caller: cancel the exchange, then
    `hang_up` or `close`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        name: str,
        greeting: Greeting,
        longest_delay: float,
        decode: Callable[[bytes, int], list[Read]],
        *,
        longest_wish: float,
    ) -> None:
        self._decode = decode
        self._longest_delay = longest_delay
        self._longest_wish = longest_wish
        self._hurry = asyncio.Event()
        self._connection = Connection(endpoint, opened=greeting.say)
        self._thread = Threads(1, f"fencepost-{name}")
        self._url = endpoint.url
        self._greeting = greeting

    async def exchange(self, calls: list[bytes], seconds: float) -> tuple[list[Read], bool]:
        """Return an answer a call, and whether the request had to be repeated after it may have been served.

        After `seconds` without a sign of an answer it is repeated.
        """
        body = encode_batch(calls)
        backoff = Backoff(most=self._longest_delay, longest=self._longest_wish)
        repeated = False
        while True:
            try:
                reply = await self._thread.run(partial(self._connection.post, body, seconds))
                answers = self._read(reply, len(calls), repeated=repeated)
            except ConnectionFailed as failure:
                if failure.final and not self._greeting.answered:
                    raise
                repeated = True
                if failure.kept and backoff.failures == 0:
                    # The server closes idle connections; that is no trouble and no reason to wait.
                    backoff.failures = 1
                    continue
                await self._wait(backoff.next(), str(failure))
            else:
                if answers is not None:
                    self._greeting.answered = True
                    return answers, repeated
                fault = decode_fault(reply.body, reply.status)
                await self._wait(backoff.next(reply.retry_after), f"{fault.type}: {fault.message}")

    def _read(self, reply: Reply, expected: int, *, repeated: bool) -> list[Read] | None:
        """Return the answers, or None when the request is to be sent again."""
        if reply.status == 200:
            try:
                return self._decode(reply.body, expected)
            except ValueError as error:
                raise ConnectionFailed(f"{self._url} answered something else: {error}") from error
        fault = decode_fault(reply.body, reply.status)
        if reply.status in PASSING or (self._greeting.answered and not _is_about_content(fault, reply.status)):
            return None
        raise fault.as_error(reply.status, repeated=repeated)

    async def _wait(self, delay: float, why: str) -> None:
        delay = min(delay, HURRIED) if self._hurry.is_set() else delay
        logger.warning("%s; again in %.1f s", why, delay)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await (asyncio.sleep(delay) if self._hurry.is_set() else self._hurry.wait())

    def hurry(self) -> None:
        """Try again at once and then soon, even when the server asks for longer pauses: there is little time left."""
        self._hurry.set()

    async def hang_up(self) -> None:
        """Cut the request on the way, if any, and make the line ready for another one."""
        self._connection.abort()
        await self._thread.run(self._connection.renew)

    async def close(self) -> None:
        """Hang up for good; a connection that is only being opened is not waited for."""
        self._connection.abort()
        closing = self._thread.run(self._connection.close)
        self._thread.close()
        await asyncio.wait((closing,), timeout=1.0)


def _is_about_content(fault: Fault, status: int) -> bool:
    """Tell whether sending less could help. A proxy may refuse the size as well, but not judge what the calls say."""
    return status == 413 or (status in (400, 422) and fault.is_told)
