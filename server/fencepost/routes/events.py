"""`POST /events`: accepts events without an RPC envelope.

application/cloudevents+json           one CloudEvent
application/cloudevents-batch+json     an array of CloudEvents
any type, with `ce-…` headers          one CloudEvent; the body is its data
JSON or YAML otherwise                 a resource, or an array of resources
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import unquote

import msgspec
import orjson
from msgspec import Meta, Raw
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from fencepost.domain.event import CloudEvent, Event, read_event, read_resource
from fencepost.engine.context import Context
from fencepost.errors import (
    EVENT_EXISTS,
    INVALID_REQUEST,
    NOT_ACCEPTABLE,
    PAYLOAD_TOO_LARGE,
    Refusal,
    field_of,
    invalid_params,
    join_fields,
)
from fencepost.http.bodies import HangUp, as_json, read_body
from fencepost.http.formats import JSON, answer_format, refuse_charset, request_format, written
from fencepost.http.guard import reservation_of
from fencepost.http.routes import Content, Routes
from fencepost.resources.error_body import Fault, error_body, report_bug
from fencepost.resources.events import PublishResult, publish_result
from fencepost.settings import Limits

event_routes = Routes()

_STRUCTURED = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"
_ATTRIBUTE = "ce-"
_TEXT = "text/"

# A resource, or an array of resources.
_ONE_OR_MORE = dict[str, Any] | Annotated[list[dict[str, Any]], Meta(min_length=1)]

_Read = Callable[[Raw, str], Event]


class FailedEvent(msgspec.Struct, frozen=True):
    """The error of one event in an array."""

    error: Fault


@event_routes.route(
    "POST",
    "/events",
    body=Content(
        {
            JSON.media_type: _ONE_OR_MORE,
            "text/yaml": _ONE_OR_MORE,
            _STRUCTURED: CloudEvent,
            _BATCH: Annotated[list[CloudEvent], Meta(min_length=1)],
        }
    ),
    answer=Content(
        dict.fromkeys((JSON.media_type, "text/yaml"), PublishResult | list[PublishResult | FailedEvent]),
        "The result of the event; for an array, the result of each, in order.",
    ),
    errors=(NOT_ACCEPTABLE, EVENT_EXISTS, PAYLOAD_TOO_LARGE),
)
async def publish_event(context: Context, request: Request) -> Response:
    """Publish an event, or an array of events.

    A CloudEvent, a resource, or an array of either. With `ce-…` headers the body is the data of a CloudEvent, of any
    type.
    """
    limits = context.limits
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
        body = await read_body(length, request.receive, reservation_of(request.scope), limit=limits.body_bytes)
    except HangUp:
        return Response(status_code=400)
    if is_binary:
        body = await _binary(request.headers, media_type, body, limits)
    text = await as_json(body, format, max_depth=limits.depth)
    is_resource = not is_binary and media_type not in (_STRUCTURED, _BATCH)
    read = _resource if is_resource else read_event
    is_array = media_type == _BATCH or (is_resource and text.lstrip()[:1] == b"[")
    events: Event | list[Event] = _several(text, read, limits) if is_array else _one(text, read)
    published = msgspec.json.encode(await _published(context, events))
    return Response(await written(published, answer), media_type=answer.media_type)


async def _published(context: Context, events: Event | list[Event]) -> Any:
    several = events if isinstance(events, list) else [events]
    outcomes = await context.engine.events.publish(several, caller=context.caller)
    answers: list[PublishResult | FailedEvent] = []
    for event, outcome in zip(several, outcomes, strict=True):
        if not isinstance(outcome, Exception):
            answers.append(publish_result(event, outcome))
        elif isinstance(events, list):
            refusal = outcome if isinstance(outcome, Refusal) else report_bug(outcome, "POST /events")
            answers.append(FailedEvent(error_body(refusal)))
        else:
            raise outcome
    return answers if isinstance(events, list) else answers[0]


def _one(body: bytes, read: _Read) -> Event:
    if not body.lstrip().startswith(b"{"):
        raise invalid_params("Expected `object`", "")
    return read(Raw(body), "")


def _several(body: bytes, read: _Read, limits: Limits) -> list[Event]:
    """Read an array of events; one invalid event refuses the whole array."""
    if not body.lstrip().startswith(b"["):
        raise invalid_params("Expected `array`", "")
    texts = msgspec.json.decode(body, type=list[Raw])
    if not texts:
        raise Refusal(INVALID_REQUEST, field="", reason="the array of events is empty")
    if len(texts) > limits.batch:
        reason = f"{len(texts)} events in one array; the limit is {limits.batch}"
        raise Refusal(INVALID_REQUEST, field="", reason=reason)
    for number, text in enumerate(texts):
        if not bytes(text).lstrip().startswith(b"{"):
            raise invalid_params("Expected `object`", f"[{number}]")
    return [read(text, f"[{number}]") for number, text in enumerate(texts)]


async def _binary(headers: Headers, media_type: str, body: bytes, limits: Limits) -> bytes:
    """Return the JSON text of a CloudEvent in binary mode: headers are its attributes, the body is its data."""
    event: dict[str, Any] = {}
    for name, value in headers.items():
        if name.startswith(_ATTRIBUTE):
            attribute = name.removeprefix(_ATTRIBUTE)
            if attribute in event or attribute in ("data", "data_base64", "datacontenttype"):
                raise invalid_params("each attribute is sent once, and the body is the data", field_of(f".{attribute}"))
            event[attribute] = _unquoted(value, attribute)
    if body:
        event |= await _data(headers.get("content-type", ""), media_type, body, limits)
    return orjson.dumps(event)


async def _data(content_type: str, media_type: str, body: bytes, limits: Limits) -> dict[str, Any]:
    if media_type.endswith("+json") or media_type.startswith("application/json"):
        text = await as_json(body, JSON, max_depth=limits.depth)
        return {"datacontenttype": content_type, "data": orjson.Fragment(text)}
    if media_type.endswith("yaml"):
        text = await as_json(body, request_format(content_type), max_depth=limits.depth)
        return {"datacontenttype": JSON.media_type, "data": orjson.Fragment(text)}
    if media_type.startswith(_TEXT):
        try:
            return {"datacontenttype": content_type, "data": body.decode()}
        except UnicodeDecodeError:
            raise invalid_params("Expected UTF-8", "data") from None
    if not media_type:
        request_format(content_type)
    return {"datacontenttype": content_type, "data_base64": base64.b64encode(body).decode()}


def _is_event(headers: Headers) -> bool:
    return any(name.startswith(_ATTRIBUTE) for name in headers)


def _resource(text: Raw, field: str) -> Event:
    return read_resource(text, None, field, join_fields(field, "id"))


def _unquoted(value: str, attribute: str) -> str:
    """Decode a header of a CloudEvent: characters outside of printable ASCII are percent-encoded UTF-8."""
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise invalid_params("Expected percent-encoded UTF-8", field_of(f".{attribute}")) from None
