"""A connection of a worker that repeats each request until the server answers it; it has a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from fencepost_sdk.backoff import Backoff
from fencepost_sdk.encoding import encode_batch
from fencepost_sdk.errors import ConnectionFailed
from fencepost_sdk.protocol import Fault, decode_fault
from fencepost_sdk.threads import Threads
from fencepost_sdk.transport import Connection, Endpoint, Reply

logger = logging.getLogger("fencepost_sdk")

Answer = TypeVar("Answer")
# Longest pause between attempts after `hurry`, in seconds.
HURRIED_DELAY = 0.5
# Statuses after which a worker repeats its request. A client (requests.py) does not repeat after 500; a worker does,
# because all of its calls are idempotent, and a bug of the server must not cost it a result.
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


class FirstContact:
    """Records whether the server has ever answered this worker.

    A refusal before the first answer is a mistake in the worker's settings; a refusal after it is waited out.
    """

    def __init__(self, message: str) -> None:
        self.answered = False
        self._message = message
        self._logged = False

    def log_connected(self) -> None:
        """Log the message the first time that a connection opens; called by the threads of connections."""
        if not self._logged:
            self._logged = True
            logger.info(self._message)


class RetryingConnection(Generic[Answer]):
    """Sends batches of calls over one connection and returns their answers, read by `decode`.

    An exchange is repeated after a lost reply or an overload and, once the server has answered this worker, also after
    a refused login or a redirection. It ends with answers, or with RpcError for a request with content that the server
    refuses. The pause between attempts is at most `longest_delay` seconds, or `longest_retry_after` when the server
    sends `Retry-After`. To stop an exchange, cancel it and call `reset` or `close`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        name: str,
        contact: FirstContact,
        longest_delay: float,
        decode: Callable[[bytes, int], list[Answer]],
        *,
        longest_retry_after: float,
    ) -> None:
        self._decode = decode
        self._longest_delay = longest_delay
        self._longest_retry_after = longest_retry_after
        self._hurry = asyncio.Event()
        self._connection = Connection(endpoint, opened=contact.log_connected)
        self._thread = Threads(1, f"fencepost-{name}")
        self._url = endpoint.url
        self._contact = contact

    async def exchange(self, calls: list[bytes], seconds: float) -> tuple[list[Answer], bool]:
        """Return one answer per call, and whether the request was repeated although it may have been served.

        The request is repeated after `seconds` without a byte of an answer. Raises RpcError when the server refuses the
        request as a whole, and ConnectionFailed when the first attempt fails for good, such as on an untrusted
        certificate.
        """
        body = encode_batch(calls)
        backoff = Backoff(most=self._longest_delay, longest=self._longest_retry_after)
        repeated = False
        while True:
            try:
                reply = await self._thread.run(partial(self._connection.post, body, seconds))
                answers = self._read(reply, len(calls), repeated=repeated)
            except ConnectionFailed as failure:
                if failure.permanent and not self._contact.answered:
                    raise
                repeated = True
                if failure.reused and backoff.failures == 0:
                    # The server closes idle connections, which is no failure and no reason to wait.
                    backoff.failures = 1
                    continue
                await self._wait(backoff.next(), str(failure))
            else:
                if answers is not None:
                    self._contact.answered = True
                    return answers, repeated
                fault = decode_fault(reply.body, reply.status)
                await self._wait(backoff.next(reply.retry_after), f"{fault.type}: {fault.message}")

    def _read(self, reply: Reply, expected: int, *, repeated: bool) -> list[Answer] | None:
        """Return the answers, or None when the request must be repeated."""
        if reply.status == 200:
            try:
                return self._decode(reply.body, expected)
            except ValueError as error:
                raise ConnectionFailed(f"the answer of {self._url} is not from a Fencepost server: {error}") from error
        fault = decode_fault(reply.body, reply.status)
        if reply.status in TRANSIENT_STATUSES:
            return None
        if self._contact.answered and not _is_about_content(fault, reply.status):
            return None
        raise fault.as_error(reply.status, repeated=repeated)

    async def _wait(self, delay: float, why: str) -> None:
        delay = min(delay, HURRIED_DELAY) if self._hurry.is_set() else delay
        logger.warning("%s; retrying in %.1f s", why, delay)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await (asyncio.sleep(delay) if self._hurry.is_set() else self._hurry.wait())

    def hurry(self) -> None:
        """Retry at once and then every half second at most, even when the server asks for longer pauses."""
        self._hurry.set()

    async def reset(self) -> None:
        """Cut the request in flight, if any, and make the connection usable again."""
        self._connection.abort()
        await self._thread.run(self._connection.renew)

    async def close(self) -> None:
        """Close the connection for good; waits at most one second for one that is being opened."""
        self._connection.abort()
        closing = self._thread.run(self._connection.close)
        self._thread.close()
        await asyncio.wait((closing,), timeout=1.0)


def _is_about_content(fault: Fault, status: int) -> bool:
    """Return whether a smaller request could succeed.

    A proxy may refuse the size of a request, but only the server can refuse the content of its calls.
    """
    return status == 413 or (status in (400, 422) and fault.is_from_server)
