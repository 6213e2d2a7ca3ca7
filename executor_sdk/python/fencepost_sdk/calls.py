"""How calls are written. Pure, as protocol.py, which reads what is answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct

from fencepost_sdk.payloads import encode
from fencepost_sdk.protocol import CREATE, FAIL, NOTIFY, RELEASE, SUCCESS


class Execution(Struct, gc=False, rename={"exec_id": "execId", "include_resource": "include-resource?"}):
    """The params of a call that ends an execution; nobody here reads the task that it leaves."""

    id: str
    exec_id: str
    result: Any = UNSET
    error: Any = UNSET
    include_resource: bool = False


class New(
    Struct,
    gc=False,
    kw_only=True,
    omit_defaults=True,
    rename={"execute_at": "executeAt", "include_resource": "include-resource?"},
):
    """The params of a create whose task is not wanted back."""

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
    """Return the JSON of one call; raise NotJson for params that JSON cannot hold."""
    return _call(method, Raw(encode(params, path)))


def encode_create(new: New) -> bytes:
    """Return the JSON of a create whose params are encoded already."""
    return _call(CREATE, new)


def encode_success(id: str, exec_id: str, result: Any) -> bytes:
    """Return the JSON of a success; None is no result."""
    return _call(SUCCESS, Execution(id, exec_id, result=UNSET if result is None else Raw(encode(result, "$.result"))))


def encode_fail(id: str, exec_id: str, error: Mapping[str, Any] | None) -> bytes:
    """Return the JSON of a failure; None is no error."""
    return _call(FAIL, Execution(id, exec_id, error=UNSET if error is None else Raw(encode(error, "$.error"))))


def encode_release(id: str, exec_id: str) -> bytes:
    """Return the JSON of a release."""
    return _call(RELEASE, Execution(id, exec_id))


def encode_notify(id: str, exec_id: str, notification: Mapping[str, Any]) -> bytes:
    """Return the JSON of a heartbeat or a progress, whose fields `notification` holds."""
    return encode_call(NOTIFY, {"id": id, "execId": exec_id, **notification}, "$")


def _call(method: str, params: Any) -> bytes:
    return msgspec.json.encode(Call(method, params))


def encode_batch(calls: Iterable[bytes]) -> bytes:
    """Return the JSON array of calls that are encoded already."""
    return b"[" + b",".join(calls) + b"]"
