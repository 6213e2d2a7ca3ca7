"""`POST /events`: accepts events without an RPC envelope.

application/cloudevents+json           one CloudEvent
application/cloudevents-batch+json     an array of CloudEvents
any type, with `ce-…` headers          one CloudEvent; the body is its data
JSON or YAML otherwise                 a resource, or an array of resources
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import msgspec
import orjson
from msgspec import Raw
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from fencepost.domain.event import Event, read_event, read_resource
from fencepost.engine.engine import Engine
from fencepost.errors import INVALID_REQUEST, Refusal, invalid_params
from fencepost.http.bodies import HangUp, as_json, read_body
from fencepost.http.formats import JSON, answer_format, refuse_charset, request_format, written
from fencepost.http.guard import reservation_of
from fencepost.resources.error_body import Fault, error_body, report_bug
from fencepost.resources.events import PublishResult, publish_result
from fencepost.settings import Limits

_STRUCTURED = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"
_ATTRIBUTE = "ce-"
_TEXT = "text/"

_Read = Callable[[Raw, str], Event]


class Failed(msgspec.Struct, frozen=True):
    """The error of one event in an array."""

    error: Fault


class EventIntake:
    """The handler of `POST /events`."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine = engine
        self._limits = limits

    async def publish(self, request: Request) -> Response:
        """Answer `POST /events`: the result of the event, or for an array the result of each, in order."""
        content_type = request.headers.get("content-type", "")
        media_type, _, parameters = content_type.partition(";")
        media_type = media_type.strip().lower()
        is_binary = media_type not in (_STRUCTURED, _BATCH) and _is_event(request.headers)
        format = JSON if media_type in (_STRUCTURED, _BATCH) or is_binary else request_format(content_type)
        if not is_binary or media_type.startswith(_TEXT) or media_type.endswith(("json", "yaml")):
            refuse_charset(parameters)
        answer = request.state.format = answer_format(request.headers.get("accept", ""), format)
        try:
            length = request.headers.get("content-length", "").encode("latin-1")
            body = await read_body(
                length, request.receive, reservation_of(request.scope), limit=self._limits.body_bytes
            )
        except HangUp:
            return Response(status_code=400)
        if is_binary:
            body = await self._binary(request.headers, media_type, body)
        text = await as_json(body, format, max_depth=self._limits.depth)
        is_resource = not is_binary and media_type not in (_STRUCTURED, _BATCH)
        read = _resource if is_resource else read_event
        is_array = media_type == _BATCH or (is_resource and text.lstrip()[:1] == b"[")
        events: Event | list[Event] = self._several(text, read) if is_array else self._one(text, read)
        published = msgspec.json.encode(await self._published(events, request.state.caller))
        return Response(await written(published, answer), media_type=answer.media_type)

    async def _published(self, events: Event | list[Event], caller: str) -> Any:
        several = events if isinstance(events, list) else [events]
        outcomes = await self._engine.events.publish(several, caller=caller)
        answers: list[PublishResult | Failed] = []
        for event, outcome in zip(several, outcomes, strict=True):
            if not isinstance(outcome, Exception):
                answers.append(publish_result(event, outcome))
            elif isinstance(events, list):
                refusal = outcome if isinstance(outcome, Refusal) else report_bug(outcome, "POST /events")
                answers.append(Failed(error_body(refusal)))
            else:
                raise outcome
        return answers if isinstance(events, list) else answers[0]

    def _one(self, body: bytes, read: _Read) -> Event:
        if not body.lstrip().startswith(b"{"):
            raise invalid_params("Expected `object`", "$")
        return read(Raw(body), "$")

    def _several(self, body: bytes, read: _Read) -> list[Event]:
        """Read an array of events; one invalid event refuses the whole array."""
        if not body.lstrip().startswith(b"["):
            raise invalid_params("Expected `array`", "$")
        texts = msgspec.json.decode(body, type=list[Raw])
        if not texts:
            raise Refusal(INVALID_REQUEST, at="$", reason="the array of events is empty")
        if len(texts) > self._limits.batch:
            reason = f"{len(texts)} events in one array; the limit is {self._limits.batch}"
            raise Refusal(INVALID_REQUEST, at="$", reason=reason)
        for number, text in enumerate(texts):
            if not bytes(text).lstrip().startswith(b"{"):
                raise invalid_params("Expected `object`", f"$[{number}]")
        return [read(text, f"$[{number}]") for number, text in enumerate(texts)]

    async def _binary(self, headers: Headers, media_type: str, body: bytes) -> bytes:
        """Return the JSON text of a CloudEvent in binary mode: headers are its attributes, the body is its data."""
        event: dict[str, Any] = {}
        for name, value in headers.items():
            if name.startswith(_ATTRIBUTE):
                attribute = name.removeprefix(_ATTRIBUTE)
                if attribute in event or attribute in ("data", "data_base64", "datacontenttype"):
                    raise invalid_params("each attribute is sent once, and the body is the data", f"$.{attribute}")
                event[attribute] = _unquoted(value, attribute)
        if body:
            event |= await self._data(headers.get("content-type", ""), media_type, body)
        return orjson.dumps(event)

    async def _data(self, content_type: str, media_type: str, body: bytes) -> dict[str, Any]:
        if media_type.endswith("+json") or media_type.startswith("application/json"):
            text = await as_json(body, JSON, max_depth=self._limits.depth)
            return {"datacontenttype": content_type, "data": orjson.Fragment(text)}
        if media_type.endswith("yaml"):
            text = await as_json(body, request_format(content_type), max_depth=self._limits.depth)
            return {"datacontenttype": JSON.media_type, "data": orjson.Fragment(text)}
        if media_type.startswith(_TEXT):
            try:
                return {"datacontenttype": content_type, "data": body.decode()}
            except UnicodeDecodeError:
                raise invalid_params("Expected UTF-8", "$.data") from None
        if not media_type:
            request_format(content_type)
        return {"datacontenttype": content_type, "data_base64": base64.b64encode(body).decode()}


def _is_event(headers: Headers) -> bool:
    return any(name.startswith(_ATTRIBUTE) for name in headers)


def _resource(text: Raw, at: str) -> Event:
    return read_resource(text, None, at, f"{at}.id")


def _unquoted(value: str, attribute: str) -> str:
    """Decode a header of a CloudEvent: characters outside of printable ASCII are percent-encoded UTF-8."""
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise invalid_params("Expected percent-encoded UTF-8", f"$.{attribute}") from None
