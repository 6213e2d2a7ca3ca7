"""Maps exceptions of service methods to gRPC status codes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import Any, NoReturn

import grpc

from fencepost.errors import Refusal, path_of
from fencepost.resources.error_body import report_bug
from fencepost.vocabularies.machines.errors import ACTION_MISMATCH
from fencepost.vocabularies.machines.grpc.decoding import Undecodable

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


class GrpcError(Exception):
    """Ends a call with a status code and a message."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


def unary_method(method: Unary) -> Unary:
    """Wrap a unary method: exceptions become status codes, unexpected ones INTERNAL with a log entry."""

    @wraps(method)
    async def call(self: Any, request: Any, context: Any) -> Any:
        try:
            return await method(self, _decoded(request), context)
        except Exception as error:  # noqa: BLE001 every failure becomes a status code for the client
            refused = _grpc_error(error, method.__name__)
        return await _abort(context, refused)

    return call


def streaming_method(method: Stream) -> Stream:
    """Wrap a streaming method: exceptions become status codes, unexpected ones INTERNAL with a log entry."""

    @wraps(method)
    async def call(self: Any, request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async for answer in method(self, _decoded(request), context):
                yield answer
        except Exception as error:  # noqa: BLE001 every failure becomes a status code for the client
            refused = _grpc_error(error, method.__name__)
        else:
            return
        await _abort(context, refused)

    return call


def refuse(message: str) -> NoReturn:
    """End the call with INVALID_ARGUMENT."""
    raise GrpcError(grpc.StatusCode.INVALID_ARGUMENT, message)


def _decoded(request: Any) -> Any:
    if isinstance(request, Undecodable):
        refuse(f"the message cannot be decoded: {request.reason}")
    return request


def _grpc_error(error: Exception, method: str) -> GrpcError:
    match error:
        case GrpcError():
            return error
        case Refusal(kind=kind) if kind is ACTION_MISMATCH:
            return GrpcError(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        case Refusal():
            place = "" if error.field is None else f" (at {path_of(error.field)})"
            return GrpcError(_BY_STATUS.get(error.kind.status, grpc.StatusCode.UNKNOWN), error.message + place)
    return _grpc_error(report_bug(error, method), method)


async def _abort(context: Any, refused: GrpcError) -> Any:
    return await context.abort(refused.code, refused.message)
