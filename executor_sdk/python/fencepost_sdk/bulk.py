"""Bulk creation of tasks: calls that are encoded once and sent in batches within the server's limits."""

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
from fencepost_sdk.definitions import OwnSettings, own_settings
from fencepost_sdk.encoding import CreateParams, encode_batch, encode_create
from fencepost_sdk.errors import ConnectionFailed, RpcError
from fencepost_sdk.payloads import encode
from fencepost_sdk.protocol import MAX_BYTES, MAX_CALLS, TRANSIENT, Fault, decode_answers, decode_fault, timestamp
from fencepost_sdk.requests import Pause, Request, send_with_retries

# One batch is processed while the other is encoded and sent; further ones would only wait at the server.
CONNECTIONS = 2


class Created(msgspec.Struct, gc=False):
    """The result of a create call that returns only the id."""

    id: str


class Entry(NamedTuple):
    """One create call, and the position of its params in the sequence of the caller."""

    position: int
    call: bytes


class BulkCreate:
    """The batches of one `create_many`. All calls are encoded before the first is sent: invalid params create nothing.

    `ids` are those of the caller, one for each of `params`. Without them the client makes up ids with a common prefix,
    which keeps them together in the server's index, or leaves that to the server when it is not `repeatable`.
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
        create_params = partial(
            CreateParams,
            definition=definition,
            label=label,
            execute_at=at,
            settings=own_settings(settings),
            include_resource=False,
        )
        self.batches = list(
            _batches(
                Entry(index, encode_create(create_params(id=id, params=_encoded(one, index))))
                for index, (id, one) in enumerate(pairs)
            )
        )

    def send(self, batch: Sequence[Entry], patience: float) -> Request[list[str | RpcError]]:
        """Send one of the batches, and again its calls with transient errors; return an id or an RpcError per call."""
        give_up = time.monotonic() + patience
        backoff = Backoff()
        results: dict[int, str | RpcError] = {}
        left = list(batch)
        while True:
            results.update(
                zip((entry.position for entry in left), (yield from self._send(left, patience)), strict=True)
            )
            left = [entry for entry in left if _is_transient(results[entry.position])] if self._repeatable else []
            delay = backoff.next()
            if not left or time.monotonic() + delay > give_up:
                return [results[entry.position] for entry in batch]
            yield Pause(delay)

    def _send(self, batch: Sequence[Entry], patience: float) -> Request[list[str | RpcError]]:
        if not batch:
            return []
        body = encode_batch(entry.call for entry in batch)
        reply, repeated = yield from send_with_retries(body, patience, repeatable=self._repeatable)
        if reply.status == 200:
            try:
                answers = decode_answers(reply.body, len(batch))
                return [
                    msgspec.json.decode(answer.result, type=Created).id
                    if answer.error is None
                    else _with_caller_path(answer.error, entry.position).as_error(repeated=repeated)
                    for entry, answer in zip(batch, answers, strict=True)
                ]
            except ValueError as error:
                raise ConnectionFailed(f"the answer is not from a Fencepost server: {error}") from error
        fault = decode_fault(reply.body, reply.status)
        refused = _with_caller_path(fault, batch[0].position).as_error(reply.status, repeated=repeated)
        if reply.status not in (400, 413):
            raise refused
        if len(batch) == 1:
            return [refused]
        # Either the error names one call, or the server has a smaller limit than usual.
        at = fault.call_index
        cut = len(batch) // 2 if at is None or at >= len(batch) else max(at, 1)
        return (yield from self._send(batch[:cut], patience)) + (yield from self._send(batch[cut:], patience))


def _batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        if batch and (len(batch) >= MAX_CALLS or size + len(entry.call) >= MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += len(entry.call) + 1
    if batch:
        yield batch


def _encoded(params: Any, index: int) -> Raw | None:
    return None if params is None else Raw(encode(params, f"$[{index}].params"))


def _with_caller_path(fault: Fault, index: int) -> Fault:
    """Return a fault with paths below the index in the caller's sequence instead of the index in the batch."""
    root = f"$[{index}]"
    errors = [{**one, "path": Fault(path=one.get("path")).path_below(root)} for one in fault.errors or []]
    return msgspec.structs.replace(fault, path=fault.path_below(root), errors=errors or None)


def _is_transient(result: str | RpcError) -> bool:
    return isinstance(result, RpcError) and result.type in TRANSIENT
