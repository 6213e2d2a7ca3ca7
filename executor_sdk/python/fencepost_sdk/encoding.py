"""Encodes calls as JSON. No I/O; protocol.py decodes the answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct

from fencepost_sdk.payloads import encode
from fencepost_sdk.protocol import CREATE, FAIL, NOTIFY, RELEASE, SUCCESS


class FinishParams(Struct, gc=False, rename={"exec_id": "execId", "include_resource": "include-resource?"}):
    """The params of a call that ends an execution; the answer need not have the task."""

    id: str
    exec_id: str
    result: Any = UNSET
    error: Any = UNSET
    include_resource: bool = False


class CreateParams(
    Struct,
    gc=False,
    kw_only=True,
    omit_defaults=True,
    rename={"execute_at": "executeAt", "include_resource": "include-resource?"},
):
    """The params of a create call."""

    definition: str
    id: str | None = None
    label: str | None = None
    params: Any = None
    execute_at: str | None = None
    settings: Mapping[str, Any] | None = None
    include_resource: bool = True


class Call(Struct, gc=False):
    """One call."""

    method: str
    params: Any


def encode_call(method: str, params: Any, path: str = "$.params") -> bytes:
    """Return the JSON of a call; raises NotJson, with a path below `path`, for params that JSON cannot represent."""
    return _call(method, Raw(encode(params, path)))


def encode_create(params: CreateParams) -> bytes:
    """Return the JSON of a create call; its `params` member is JSON already."""
    return _call(CREATE, params)


def encode_success(id: str, exec_id: str, result: Any) -> bytes:
    """Return the JSON of a success call, without a result for None; raises NotJson."""
    return _call(
        SUCCESS, FinishParams(id, exec_id, result=UNSET if result is None else Raw(encode(result, "$.result")))
    )


def encode_fail(id: str, exec_id: str, error: Mapping[str, Any] | None) -> bytes:
    """Return the JSON of a fail call, without an error for None; raises NotJson."""
    return _call(FAIL, FinishParams(id, exec_id, error=UNSET if error is None else Raw(encode(error, "$.error"))))


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
