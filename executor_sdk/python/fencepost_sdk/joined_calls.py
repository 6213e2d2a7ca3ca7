"""Sends calls that are made at the same time in one request."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from fencepost_sdk.encoding import encode_batch
from fencepost_sdk.errors import ConnectionFailed
from fencepost_sdk.protocol import MAX_BYTES, MAX_CALLS, decode_answers
from fencepost_sdk.transport import Reply

# The requests with several calls that are in flight at once. Further calls wait and share the next request.
REQUESTS = 2
# The statuses of a refused content. A call of the request may be valid when it is sent alone.
_REFUSED = frozenset({400, 413, 422})


class _Waiting(NamedTuple):
    body: bytes
    reply: asyncio.Future[Reply]


class JoinedCalls:
    """The calls of one event loop that may share a request.

    A call that is made alone is sent at once and alone. The reply to each call is the one that it would get alone: a
    call that is refused in a shared request is sent again by itself, which is safe because it changed nothing.
    """

    def __init__(self, post: Callable[[bytes], Awaitable[Reply]]) -> None:
        self.loop = asyncio.get_running_loop()
        self._post = post
        self._waiting: deque[_Waiting] = deque()
        self._sending: set[asyncio.Task[None]] = set()

    async def post(self, body: bytes) -> Reply:
        """Send the JSON of one call and return its reply; raises ConnectionFailed without one."""
        reply: asyncio.Future[Reply] = self.loop.create_future()
        self._waiting.append(_Waiting(body, reply))
        # In the next turn of the loop, after the calls that are made in this one.
        self.loop.call_soon(self._send)
        return await reply

    def _send(self) -> None:
        while self._waiting and len(self._sending) < REQUESTS:
            if calls := self._take():
                sending = self.loop.create_task(self._exchange(calls))
                self._sending.add(sending)
                sending.add_done_callback(self._sent)

    def _sent(self, sending: asyncio.Task[None]) -> None:
        self._sending.discard(sending)
        self._send()

    def _take(self) -> list[_Waiting]:
        """Return the calls of the next request; a canceled call is left out."""
        calls: list[_Waiting] = []
        size = 0
        while self._waiting and len(calls) < MAX_CALLS:
            size += len(self._waiting[0].body) + 1
            if calls and size > MAX_BYTES:
                break
            call = self._waiting.popleft()
            if not call.reply.done():
                calls.append(call)
        return calls

    async def _exchange(self, calls: list[_Waiting]) -> None:
        if len(calls) == 1:
            await self._send_alone(calls[0])
            return
        try:
            reply = await self._post(encode_batch(call.body for call in calls))
        except ConnectionFailed as failure:
            for call in calls:
                _fail(call, failure)
            return
        refused = calls if reply.status in _REFUSED else self._deliver(calls, reply)
        await asyncio.gather(*map(self._send_alone, refused))

    def _deliver(self, calls: list[_Waiting], reply: Reply) -> list[_Waiting]:
        """Give each call its answer, or the reply itself if it has no answers; return the refused calls."""
        try:
            answers = decode_answers(reply.body, len(calls)) if reply.status == 200 else []
        except ValueError:
            answers = []
        if not answers:
            for call in calls:
                _answer(call, reply)
        refused = []
        for call, answer in zip(calls, answers, strict=False):
            if answer.error is None:
                _answer(call, Reply(200, None, b'{"result":' + bytes(answer.result) + b"}"))
            else:
                refused.append(call)
        return refused

    async def _send_alone(self, call: _Waiting) -> None:
        try:
            _answer(call, await self._post(call.body))
        except ConnectionFailed as failure:
            _fail(call, failure)


def _answer(call: _Waiting, reply: Reply) -> None:
    if not call.reply.done():
        call.reply.set_result(reply)


def _fail(call: _Waiting, failure: ConnectionFailed) -> None:
    if not call.reply.done():
        # An exception of its own for each caller: raising one adds to its traceback.
        call.reply.set_exception(ConnectionFailed(str(failure), reused=failure.reused, permanent=failure.permanent))
