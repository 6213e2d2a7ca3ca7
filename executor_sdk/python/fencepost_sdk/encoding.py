"""Encodes calls as JSON. No I/O; protocol.py decodes the answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct

from fencepost_sdk.payloads import encode
from fencepost_sdk.protocol import CREATE_MANY, FAIL, NOTIFY, RELEASE, SUCCESS, SUCCESS_MANY


class FinishParams(Struct, gc=False, rename={"exec_id": "execId", "include_resource": "include-resource?"}):
    """The params of a call that ends an execution; the answer need not have the task."""

    id: str
    exec_id: str
    result: Any = UNSET
    error: Any = UNSET
    include_resource: bool = False


class SuccessManyParams(Struct, gc=False, omit_defaults=True, rename={"exec_ids": "execIds"}):
    """The params of a call that reports many successes; the results are a JSON array."""

    ids: Sequence[str]
    exec_ids: Sequence[str]
    results: Raw | None = None


class CreateManyParams(
    Struct,
    gc=False,
    kw_only=True,
    omit_defaults=True,
    rename={"execute_at": "executeAt", "request_id": "requestId"},
):
    """The params of a call that creates many tasks; the `params` of the tasks are a JSON array."""

    definition: str
    params: Raw
    ids: Sequence[str | None] | None = None
    labels: Sequence[str] | None = None
    execute_at: str | None = None
    settings: Mapping[str, Any] | None = None
    request_id: str | None = None


class Call(Struct, gc=False):
    """One call."""

    method: str
    params: Any


def encode_call(method: str, params: Any, path: str = "$.params") -> bytes:
    """Return the JSON of a call; raises NotJson, with a path below `path`, for params that JSON cannot represent."""
    return _call(method, Raw(encode(params, path)))


def encode_create_many(params: CreateManyParams) -> bytes:
    """Return the JSON of a call that creates many tasks."""
    return _call(CREATE_MANY, params)


def encode_success(id: str, exec_id: str, result: bytes | None) -> bytes:
    """Return the JSON of a success call with an encoded result, without one for None."""
    return _call(SUCCESS, FinishParams(id, exec_id, result=UNSET if result is None else Raw(result)))


def encode_success_many(ids: Sequence[str], exec_ids: Sequence[str], results: Sequence[bytes | None]) -> bytes:
    """Return the JSON of a call that reports many successes, with encoded results."""
    params = SuccessManyParams(ids, exec_ids)
    if any(results):
        params.results = Raw(b"[" + b",".join(result or b"null" for result in results) + b"]")
    return _call(SUCCESS_MANY, params)


def encode_fail(id: str, exec_id: str, error: bytes | None) -> bytes:
    """Return the JSON of a fail call with an encoded error, without one for None."""
    return _call(FAIL, FinishParams(id, exec_id, error=UNSET if error is None else Raw(error)))


def encode_release(id: str, exec_id: str) -> bytes:
    """Return the JSON of a release call."""
    return _call(RELEASE, FinishParams(id, exec_id))


def encode_notify(id: str, exec_id: str, notification: Mapping[str, Any]) -> bytes:
    """Return the JSON of a notify call; `notification` has the members of the heartbeat or the progress."""
    return encode_call(NOTIFY, {"id": id, "execId": exec_id, **notification}, "$")


def _call(method: str, params: Any) -> bytes:
    return msgspec.json.encode(Call(method, params))


def encode_batch(calls: Iterable[bytes]) -> bytes:
    """Return the JSON array of encoded calls."""
    return b"[" + b",".join(calls) + b"]"
