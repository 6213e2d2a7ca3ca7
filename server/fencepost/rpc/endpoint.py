"""`POST /rpc`: from the bytes of a request to the bytes of its answer.

A raw ASGI callable, because most requests come here and the framework would double their cost.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from fencepost.errors import METHOD_NOT_ALLOWED, Refusal
from fencepost.http.admission import Admission
from fencepost.http.bodies import SMALL, HangUp, Receive, calls_as_json, read_body
from fencepost.http.formats import JSON, Format, format_of, formats, written
from fencepost.http.headers import Pairs, origin_of
from fencepost.http.interrupted import interrupted
from fencepost.http.refusals import headers_of
from fencepost.resources.error_body import error_body, report_bug
from fencepost.rpc.dispatch import Dispatch, Outcome
from fencepost.rpc.envelope import Answer, encoder
from fencepost.settings import Limits

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class PlainCaller(NamedTuple):
    """The caller of plain calls, and the origin at which it reached this server (see Context)."""

    id: str
    origin: str


class Response(NamedTuple):
    """An HTTP response."""

    status: int
    headers: list[tuple[bytes, bytes]]
    content: bytes


class Endpoint:
    """The ASGI application of `/rpc`, and a shorter entrance for plain calls: JSON, whole, from a known caller."""

    def __init__(self, dispatch: Dispatch, admission: Admission, limits: Limits) -> None:
        self._dispatch = dispatch
        self._admission = admission
        self._limits = limits
        # The largest body of plain calls: the memory for large bodies is limited before they are read.
        self.most_plain = min(SMALL, limits.body_bytes)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        reservation = self._admission.bodies.reserve()
        try:
            headers = self._admission.enter(scope["headers"])
            if scope["method"] != "POST":
                raise Refusal(METHOD_NOT_ALLOWED, path="/rpc", allowed="POST", allow="POST")
            caller = self._admission.caller(_text(headers, b"authorization"))
            of_request, format = formats(headers)
            length = headers.get(b"content-length", b"")
            sent = await read_body(length, receive, reservation, limit=self._limits.body_bytes)
            body, refused = await calls_as_json(sent, of_request, max_depth=self._limits.depth)
            run = self._dispatch.run(body, caller, origin_of(scope["scheme"], headers), refused)
            response = await _response(await self._answered(run, body, receive), format)
        except HangUp:
            return
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 like the dispatcher, outside of calls
            if isinstance(error, Refusal):
                await self._admission.delay(error, scope)
            response = await _response(_failed(error), format_of(scope["headers"]))
        finally:
            reservation.release()
        await _send(send, response)

    def admit(self, headers: Pairs, scheme: str) -> PlainCaller | None:
        """Return the caller of plain calls; None if a request with these headers is refused or not in JSON."""
        try:
            found = self._admission.enter(headers)
            caller = self._admission.caller(_text(found, b"authorization"))
            of_formats = formats(found)
        except Refusal:
            return None
        return PlainCaller(caller, origin_of(scheme, found)) if of_formats == (JSON, JSON) else None

    def enter(self, caller: PlainCaller, body: bytes, then: Callable[[Response], None]) -> asyncio.Task[None] | None:
        """Begin a plain call without a task of its own; None for a body that `answer` must take.

        `then` gets the response. The returned task runs this call and others; if it is cancelled, they are answered.
        """
        reservation = self._admission.bodies.reserve()

        def settle(outcome: Outcome | asyncio.CancelledError) -> None:
            reservation.release()
            try:
                response = _json_response(outcome if isinstance(outcome, Outcome) else _failed(outcome))
            except Exception as error:  # noqa: BLE001 as in `answer`
                response = _json_response(_failed(error))
            then(response)

        task = None
        with contextlib.suppress(Refusal):
            reservation.take(len(body))
            task = self._dispatch.enter(body, caller.id, caller.origin, settle)
        if task is None:
            reservation.release()
        return task

    async def answer(self, caller: PlainCaller, body: bytes) -> Response:
        """Answer plain calls, none of which may wait; the headers that `admit` took are not checked again."""
        reservation = self._admission.bodies.reserve()
        try:
            reservation.take(len(body))
            return _json_response(await self._dispatch.run(body, caller.id, caller.origin))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 like the dispatcher, outside of calls
            return _json_response(_failed(error))
        finally:
            reservation.release()

    async def _answered(self, run: Any, body: bytes, receive: Receive) -> Outcome | list[bytes]:
        """Run the calls; cancel them if one of them can wait and the client disconnects."""
        if not may_wait(body):
            return await run  # type: ignore[no-any-return]
        request = asyncio.current_task()
        assert request is not None
        hang_up = asyncio.create_task(_cancel_on_disconnect(request, receive))
        try:
            return await run  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            if hang_up.done():
                request.uncancel()
                raise HangUp from None
            raise
        finally:
            hang_up.cancel()


async def _cancel_on_disconnect(request: asyncio.Task[Any], receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    request.cancel()


def may_wait(body: bytes) -> bool:
    """Return whether one of the calls may be a long poll, or one that waits for an end."""
    return b"long-poll" in body or b"wait" in body


def _failed(error: Exception | asyncio.CancelledError) -> Outcome:
    """Return the outcome of a request that failed outside of its calls."""
    if isinstance(error, asyncio.CancelledError):
        refusal = interrupted()
    else:
        refusal = error if isinstance(error, Refusal) else report_bug(error, "POST /rpc")
    return Outcome(Answer(error=error_body(refusal)), refusal)


def _encoded(outcome: Outcome | list[bytes]) -> tuple[Refusal | None, bytes]:
    if isinstance(outcome, list):
        return None, b"[%b]" % b",".join(outcome)
    return outcome.refusal, encoder.encode(outcome.answer)


def _json_response(outcome: Outcome | list[bytes]) -> Response:
    return _with_head(*_encoded(outcome), JSON)


async def _response(outcome: Outcome | list[bytes], format: Format) -> Response:
    refusal, content = _encoded(outcome)
    if format.from_json is not None:
        content = await written(content, format)
    return _with_head(refusal, content, format)


def _with_head(refusal: Refusal | None, content: bytes, format: Format) -> Response:
    headers = [
        (b"content-type", format.media_type.encode()),
        (b"content-length", str(len(content)).encode()),
        *(headers_of(refusal) if refusal else ()),
    ]
    return Response(refusal.kind.status if refusal else 200, headers, content)


async def _send(send: Send, response: Response) -> None:
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
    await send({"type": "http.response.body", "body": response.content})


def _text(headers: dict[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")
