"""Creating many tasks: calls written once, sent in arrays that the server takes, a few arrays at a time."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from fencepost_sdk.backoff import Backoff
from fencepost_sdk.calls import New, encode_batch, encode_create
from fencepost_sdk.conversations import Conversation, Pause, deliver
from fencepost_sdk.definitions import OwnSettings, own_settings
from fencepost_sdk.errors import ConnectionFailed, RpcError
from fencepost_sdk.payloads import encode
from fencepost_sdk.protocol import MAX_BYTES, MAX_CALLS, TRANSIENT, Fault, decode_answers, decode_fault, timestamp

# A server is busy with one array while the other is written and on its way; more of them only wait there.
CONNECTIONS = 2


class Created(msgspec.Struct, gc=False):
    """The result of a create that does not want the task."""

    id: str


class Entry(NamedTuple):
    """One create: its place in what the caller gave, and its call."""

    place: int
    call: bytes


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
        settings: OwnSettings | None = None,
        repeatable: bool,
    ) -> None:
        self._repeatable = repeatable or ids is not None
        at = None if execute_at is None else timestamp(execute_at)
        if ids is not None:
            pairs: Iterable[tuple[str | None, Any]] = zip(ids, params, strict=True)
        else:
            name = uuid.uuid4().hex
            pairs = ((f"{name}-{number}" if repeatable else None, one) for number, one in zip(count(), params))
        new = partial(
            New,
            definition=definition,
            label=label,
            execute_at=at,
            settings=own_settings(settings),
            include_resource=False,
        )
        self.arrays = list(
            _arrays(
                Entry(place, encode_create(new(id=id, params=_written(one, place))))
                for place, (id, one) in enumerate(pairs)
            )
        )

    def send(self, array: Sequence[Entry], patience: float) -> Conversation[list[str | RpcError]]:
        """Send one of the arrays, and again what of it the server had no time for."""
        give_up = time.monotonic() + patience
        backoff = Backoff()
        said: dict[int, str | RpcError] = {}
        left = list(array)
        while True:
            said.update(zip((entry.place for entry in left), (yield from self._send(left, patience)), strict=True))
            left = [entry for entry in left if _is_transient(said[entry.place])] if self._repeatable else []
            delay = backoff.next()
            if not left or time.monotonic() + delay > give_up:
                return [said[entry.place] for entry in array]
            yield Pause(delay)

    def _send(self, array: Sequence[Entry], patience: float) -> Conversation[list[str | RpcError]]:
        if not array:
            return []
        body = encode_batch(entry.call for entry in array)
        reply, repeated = yield from deliver(body, patience, repeatable=self._repeatable)
        if reply.status == 200:
            try:
                answers = decode_answers(reply.body, len(array))
                return [
                    msgspec.json.decode(answer.result, type=Created).id
                    if answer.error is None
                    else _placed(answer.error, entry.place).as_error(repeated=repeated)
                    for entry, answer in zip(array, answers, strict=True)
                ]
            except ValueError as error:
                raise ConnectionFailed(f"the answer is not one of Fencepost's: {error}") from error
        fault = decode_fault(reply.body, reply.status)
        refused = _placed(fault, array[0].place).as_error(reply.status, repeated=repeated)
        if reply.status not in (400, 413):
            raise refused
        if len(array) == 1:
            return [refused]
        # Either the server means one call, or it takes less at once than others do.
        at = fault.call_index
        cut = len(array) // 2 if at is None or at >= len(array) else max(at, 1)
        return (yield from self._send(array[:cut], patience)) + (yield from self._send(array[cut:], patience))


def _arrays(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    array: list[Entry] = []
    size = 0
    for entry in entries:
        if array and (len(array) >= MAX_CALLS or size + len(entry.call) >= MAX_BYTES):
            yield array
            array, size = [], 0
        array.append(entry)
        size += len(entry.call) + 1
    if array:
        yield array


def _written(params: Any, place: int) -> Raw | None:
    return None if params is None else Raw(encode(params, f"$[{place}].params"))


def _placed(fault: Fault, place: int) -> Fault:
    """Return a fault whose paths begin with the place in the caller's sequence, not in the array that was sent."""
    root = f"$[{place}]"
    errors = [{**one, "path": Fault(path=one.get("path")).path_below(root)} for one in fault.errors or []]
    return msgspec.structs.replace(fault, path=fault.path_below(root), errors=errors or None)


def _is_transient(said: str | RpcError) -> bool:
    return isinstance(said, RpcError) and said.type in TRANSIENT
