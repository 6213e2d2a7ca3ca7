"""`POST /rpc`: from the bytes of a request to the bytes of its answer.

A raw ASGI callable, because most requests come here and the framework would double their cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fencepost.errors import METHOD_NOT_ALLOWED, Refusal
from fencepost.http.admission import Admission
from fencepost.http.bodies import HangUp, Receive, calls_as_json, read_body
from fencepost.http.formats import Format, format_of, formats, written
from fencepost.http.headers import origin_of
from fencepost.http.interrupted import interrupted
from fencepost.http.refusals import headers_of
from fencepost.resources.error_body import error_body, report_bug
from fencepost.rpc.dispatch import Dispatch, Outcome
from fencepost.rpc.envelope import Answer, encoder
from fencepost.settings import Limits

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class Endpoint:
    """The ASGI application of `/rpc`."""

    def __init__(self, dispatch: Dispatch, admission: Admission, limits: Limits) -> None:
        self._dispatch = dispatch
        self._admission = admission
        self._limits = limits

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
            run = self._dispatch.run(body, caller, origin_of(scope, headers), refused)
            outcome = await self._answered(run, body, receive)
        except HangUp:
            return
        except asyncio.CancelledError:
            refusal = interrupted()
            outcome, format = Outcome(Answer(error=error_body(refusal)), refusal), format_of(scope["headers"])
        except Refusal as refusal:
            await self._admission.delay(refusal, scope)
            outcome, format = Outcome(Answer(error=error_body(refusal)), refusal), format_of(scope["headers"])
        except Exception as error:  # noqa: BLE001 like the dispatcher, for failures outside of calls
            unexpected = report_bug(error, "POST /rpc")
            outcome, format = Outcome(Answer(error=error_body(unexpected)), unexpected), format_of(scope["headers"])
        finally:
            reservation.release()
        await _send(send, format, outcome)

    async def _answered(self, run: Any, body: bytes, receive: Receive) -> Outcome | list[bytes]:
        """Run the calls; cancel them if one of them can wait and the client disconnects."""
        if b"long-poll" not in body:
            return await run  # type: ignore[no-any-return]
        calls = asyncio.create_task(run)
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait((calls, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Also runs if this request is cancelled.
            hung_up = not calls.done()
            (calls if hung_up else gone).cancel()
        await asyncio.gather(calls, gone, return_exceptions=True)
        if hung_up:
            raise HangUp
        return calls.result()  # type: ignore[no-any-return]


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, format: Format, outcome: Outcome | list[bytes]) -> None:
    if isinstance(outcome, list):
        status, refusal, content = 200, None, b"[%b]" % b",".join(outcome)
    else:
        refusal = outcome.refusal
        status, content = refusal.kind.status if refusal else 200, encoder.encode(outcome.answer)
    if format.from_json is not None:
        content = await written(content, format)
    headers = [
        (b"content-type", format.media_type.encode()),
        (b"content-length", str(len(content)).encode()),
        *(headers_of(refusal) if refusal else ()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _text(headers: dict[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")
