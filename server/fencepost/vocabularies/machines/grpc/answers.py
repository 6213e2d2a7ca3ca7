"""How calls end that cannot be answered: refusals as gRPC's codes, and what nobody expected as a bug."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import Any, NoReturn

import grpc

from fencepost.errors import Refusal
from fencepost.vocabularies.machines.errors import ACTION_MISMATCH
from fencepost.vocabularies.machines.grpc.forms import Unreadable
from fencepost.wire.faults import bug

Unary = Callable[[Any, Any, Any], Awaitable[Any]]
Stream = Callable[[Any, Any, Any], AsyncIterator[Any]]

_BY_STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.ALREADY_EXISTS,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    422: grpc.StatusCode.FAILED_PRECONDITION,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}


class Refused(Exception):
    """A call that is refused with a code of its own."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


def answered(method: Unary) -> Unary:
    """Let a method of one answer raise Refusal and Refused."""

    @wraps(method)
    async def call(self: Any, request: Any, context: Any) -> Any:
        try:
            return await method(self, _read(request), context)
        except Exception as error:  # noqa: BLE001 whatever comes, the client is told
            refused = _refused(error, method.__name__)
        return await _abort(context, refused)

    return call


def streamed(method: Stream) -> Stream:
    """Let a method of many answers raise Refusal and Refused."""

    @wraps(method)
    async def call(self: Any, request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async for answer in method(self, _read(request), context):
                yield answer
        except Exception as error:  # noqa: BLE001 whatever comes, the client is told
            refused = _refused(error, method.__name__)
        else:
            return
        await _abort(context, refused)

    return call


def refuse(message: str) -> NoReturn:
    """Refuse an argument."""
    raise Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


def _read(request: Any) -> Any:
    if isinstance(request, Unreadable):
        refuse(f"the message cannot be read: {request.reason}")
    return request


def _refused(error: Exception, method: str) -> Refused:
    match error:
        case Refused():
            return error
        case Refusal(kind=kind) if kind is ACTION_MISMATCH:
            return Refused(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        case Refusal():
            place = "" if error.at is None else f" (at {error.at})"
            return Refused(_BY_STATUS.get(error.kind.status, grpc.StatusCode.UNKNOWN), error.message + place)
    return _refused(bug(error, method), method)


async def _abort(context: Any, refused: Refused) -> Any:
    return await context.abort(refused.code, refused.message)
