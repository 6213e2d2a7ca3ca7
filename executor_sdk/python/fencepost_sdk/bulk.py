"""Bulk creation of tasks: params that are encoded once and sent in batches within the server's limits."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import repeat
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from fencepost_sdk.backoff import Backoff
from fencepost_sdk.definitions import OwnSettings, own_settings
from fencepost_sdk.encoding import CreateManyParams, encode_create_many
from fencepost_sdk.errors import ConnectionFailed, RpcError
from fencepost_sdk.payloads import encode
from fencepost_sdk.protocol import (
    MAX_BYTES,
    MAX_CALLS,
    TRANSIENT,
    Fault,
    RefusedItem,
    decode_answer,
    decode_fault,
    timestamp,
)
from fencepost_sdk.requests import Pause, Request, send_with_retries

# One batch is processed while the other is encoded and sent; further ones would only wait at the server.
CONNECTIONS = 2


class Created(msgspec.Struct, gc=False):
    """The result of create-many: the ids, None for a refused item."""

    ids: list[str | None]
    refused: list[RefusedItem] = []


class Item(NamedTuple):
    """A task to create: its position in the sequence of the caller, its params as JSON, and its id."""

    position: int
    params: bytes
    id: str | None


class BulkCreate:
    """The batches of one `create_many`, all encoded before the first is sent: invalid params create nothing.

    `ids` are those of the caller, one for each of `params`. Without them the server makes them up, and each request has
    an idempotency key.
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
    ) -> None:
        self._definition = definition
        self._has_ids = ids is not None
        self._label = label
        self._execute_at = None if execute_at is None else timestamp(execute_at)
        self._settings = own_settings(settings)
        pairs = zip(params, repeat(None)) if ids is None else zip(params, ids, strict=True)
        self.batches = list(_batches(Item(index, _encoded(one, index), id) for index, (one, id) in enumerate(pairs)))

    def send(self, batch: Sequence[Item], patience: float) -> Request[list[str | RpcError]]:
        """Send one of the batches, and again its items with transient errors; return an id or an RpcError per item."""
        give_up = time.monotonic() + patience
        backoff = Backoff()
        results: dict[int, str | RpcError] = {}
        left = list(batch)
        while True:
            results.update(zip((item.position for item in left), (yield from self._send(left, patience)), strict=True))
            left = [item for item in left if _is_transient(results[item.position])]
            delay = backoff.next()
            if not left or time.monotonic() + delay > give_up:
                return [results[item.position] for item in batch]
            yield Pause(delay)

    def _send(self, batch: Sequence[Item], patience: float) -> Request[list[str | RpcError]]:
        if not batch:
            return []
        reply, repeated = yield from send_with_retries(self._body(batch), patience, repeatable=True)
        if reply.status == 200:
            try:
                created = msgspec.json.decode(decode_answer(reply.body).result, type=Created)
                refused: dict[int, str | RpcError] = {
                    item.index: _with_caller_path(item.error, batch).as_error(repeated=repeated)
                    for item in created.refused
                }
                return [
                    refused[place] if id is None else id
                    for place, (id, _) in enumerate(zip(created.ids, batch, strict=True))
                ]
            except (ValueError, KeyError) as error:
                raise ConnectionFailed(f"the answer is not from a Fencepost server: {error}") from error
        fault = decode_fault(reply.body, reply.status)
        failure = _with_caller_path(fault, batch).as_error(reply.status, repeated=repeated)
        if reply.status not in (400, 413):
            raise failure
        if len(batch) == 1:
            return [failure]
        # Either the error names one item, or the server has a smaller limit than usual.
        at = fault.item_index
        cut = len(batch) // 2 if at is None or at >= len(batch) else max(at, 1)
        return (yield from self._send(batch[:cut], patience)) + (yield from self._send(batch[cut:], patience))

    def _body(self, batch: Sequence[Item]) -> bytes:
        return encode_create_many(
            CreateManyParams(
                definition=self._definition,
                params=Raw(b"[" + b",".join(item.params for item in batch) + b"]"),
                ids=[item.id for item in batch] if self._has_ids else None,
                labels=None if self._label is None else [self._label] * len(batch),
                execute_at=self._execute_at,
                settings=self._settings,
                request_id=None if self._has_ids else uuid.uuid4().hex,
            )
        )


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    size = 0
    for item in items:
        length = len(item.params) + len(item.id or "") + 4
        if batch and (len(batch) >= MAX_CALLS or size + length >= MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length
    if batch:
        yield batch


def _encoded(params: Any, index: int) -> bytes:
    return b"null" if params is None else encode(params, f"$[{index}].params")


def _with_caller_path(fault: Fault, batch: Sequence[Item]) -> Fault:
    """Return a fault with the path of an item below its index in the caller's sequence."""

    def located(part: Fault) -> str | None:
        index = part.item_index
        return part.path if index is None or index >= len(batch) else part.path_below(f"$[{batch[index].position}]")

    errors = [{**one, "path": located(Fault(path=one.get("path")))} for one in fault.errors or []]
    return msgspec.structs.replace(fault, path=located(fault), errors=errors or None)


def _is_transient(result: str | RpcError) -> bool:
    return isinstance(result, RpcError) and result.type in TRANSIENT
