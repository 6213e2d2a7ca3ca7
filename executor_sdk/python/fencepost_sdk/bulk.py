"""Creating many tasks: calls written once, sent in arrays that the server takes, a few arrays at a time."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import count
from typing import Any

import msgspec

from fencepost_sdk.backoff import Backoff
from fencepost_sdk.conversations import Conversation, Pause, deliver
from fencepost_sdk.errors import ConnectionFailed, RpcError
from fencepost_sdk.protocol import (
    MOST_BYTES,
    MOST_CALLS,
    TRANSIENT,
    decode_answers,
    decode_fault,
    encode_batch,
    encode_create,
    timestamp,
)

# A server is busy with one array while the other is written and on its way; more of them only wait there.
CONNECTIONS = 2


class Created(msgspec.Struct, gc=False):
    """The result of a create that does not want the task."""

    id: str


class Bulk:
    """What `create_many` sends: everything is written before anything is sent, so that bad params leave nothing behind.

    `ids` are the caller's, one for each of `params`; without, they begin alike, which keeps them together in the
    server's index, and when it is not `repeatable` the server makes them.
    """

    def __init__(
        self,
        definition: str,
        params: Iterable[Any],
        *,
        ids: Iterable[str] | None,
        label: str | None,
        execute_at: datetime | str | None,
        repeatable: bool,
    ) -> None:
        self._repeatable = repeatable or ids is not None
        at = None if execute_at is None else timestamp(execute_at)
        if ids is not None:
            pairs: Iterable[tuple[str | None, Any]] = zip(ids, params, strict=True)
        else:
            name = uuid.uuid4().hex
            pairs = ((f"{name}-{number}" if repeatable else None, one) for number, one in zip(count(), params))
        self.arrays = list(_arrays(encode_create(definition, id, one, label, at) for id, one in pairs))

    def send(self, calls: Sequence[bytes], patience: float) -> Conversation[list[str | RpcError]]:
        """Send one of the arrays, and again what of it the server had no time for."""
        give_up = time.monotonic() + patience
        backoff = Backoff()
        said: dict[int, str | RpcError] = {}
        places = list(range(len(calls)))
        while True:
            said.update(zip(places, (yield from self._send([calls[place] for place in places], patience)), strict=True))
            places = [place for place in places if _is_transient(said[place])] if self._repeatable else []
            delay = backoff.next()
            if not places or time.monotonic() + delay > give_up:
                return [said[place] for place in range(len(calls))]
            yield Pause(delay)

    def _send(self, calls: Sequence[bytes], patience: float) -> Conversation[list[str | RpcError]]:
        reply, repeated = yield from deliver(encode_batch(calls), patience, repeatable=self._repeatable)
        if reply.status == 200:
            try:
                answers = decode_answers(reply.body, len(calls))
                return [
                    msgspec.json.decode(answer.result, type=Created).id
                    if answer.error is None
                    else answer.error.as_error(repeated=repeated)
                    for answer in answers
                ]
            except ValueError as error:
                raise ConnectionFailed(f"the answer is not one of Fencepost's: {error}") from error
        refused = decode_fault(reply.body, reply.status).as_error(reply.status, repeated=repeated)
        if reply.status not in (400, 413):
            raise refused
        if len(calls) == 1:
            return [refused]
        # This server takes less at once than others do.
        half = len(calls) // 2
        return (yield from self._send(calls[:half], patience)) + (yield from self._send(calls[half:], patience))


def _arrays(calls: Iterable[bytes]) -> Iterator[list[bytes]]:
    array: list[bytes] = []
    size = 0
    for call in calls:
        if array and (len(array) >= MOST_CALLS or size + len(call) >= MOST_BYTES):
            yield array
            array, size = [], 0
        array.append(call)
        size += len(call) + 1
    if array:
        yield array


def _is_transient(said: str | RpcError) -> bool:
    return isinstance(said, RpcError) and said.type in TRANSIENT
