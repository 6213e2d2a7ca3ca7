"""Incoming events: a resource that was saved elsewhere, or a CloudEvent.

Rules apply to the resource itself, or to the whole CloudEvent.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import uuid
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import orjson
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.domain.payload import canonical, object_text
from fencepost.domain.times import time_text
from fencepost.domain.validation import refusal_of_struct
from fencepost.errors import invalid_params, join_fields

Text = Annotated[str, Meta(min_length=1, max_length=1000)]
EventId = Annotated[str, Meta(min_length=1, max_length=200)]

_EXTENSION = re.compile(r"[a-z0-9]{1,100}")


class Event(NamedTuple):
    """A valid event; `source` is None for a resource. `id_field` is the field of its id in the request."""

    source: str | None
    id: str
    content: bytes
    id_field: str

    @property
    def key(self) -> str:
        """The hash of source and id, as the text of a UUID: an event is accepted once for each key."""
        return _digest([self.source, self.id])

    @property
    def digest(self) -> str:
        """The hash of the content, as the text of a UUID; a repetition of an event has an equal hash."""
        return _digest(orjson.loads(self.content))


class Reference(msgspec.Struct, frozen=True, rename="camel"):
    """Reference to a task or workflow."""

    resource_type: Literal["AidboxTask", "AidboxWorkflow"]
    id: str


class Started(msgspec.Struct, frozen=True):
    """A task or workflow that a trigger started."""

    trigger: str
    resource: Reference


class Outcome(msgspec.Struct, frozen=True):
    """The effects of an event: the starts of triggers, and the ids of the subscriptions that it completed."""

    started: list[Started]
    completed: list[str]


class CloudEvent(msgspec.Struct, frozen=True):
    """A CloudEvent 1.0; further members are its extensions."""

    specversion: Literal["1.0"]
    id: EventId
    source: Text
    type: Text
    datacontenttype: Text | None = None
    dataschema: Text | None = None
    subject: Text | None = None
    time: Annotated[str, Meta(extra_json_schema={"format": "date-time"})] | None = None
    data: Annotated[Raw, Meta(description="anything")] | UnsetType = UNSET
    data_base64: Annotated[str, Meta(extra_json_schema={"contentEncoding": "base64"})] | None = None


def read_resource(text: Raw, id: str | None, field: str, id_field: str) -> Event:
    """Return the event of a resource in `field`; it gets an id if it has none. Raises Refusal."""
    content = object_text(text, field)
    if content is None:
        raise invalid_params("Expected `object`", field)
    return Event(None, id or str(uuid.uuid4()), content, id_field)


def read_event(text: Raw, field: str) -> Event:
    """Return a CloudEvent in `field`; raise Refusal (`invalid-params`) with the field of the bad attribute."""
    try:
        event = _event.decode(text)
    except msgspec.ValidationError as error:
        raise refusal_of_struct(str(error), CloudEvent).within(field) from None
    time_text(event.time, join_fields(field, "time"))
    if event.data_base64 is not None:
        _check_base64(event, field)
    for name, value in _members.decode(text).items():
        if name not in CloudEvent.__struct_fields__:
            _check_extension(name, value, field)
    return Event(event.source, event.id, bytes(text).strip(), join_fields(field, "id"))


def _check_base64(event: CloudEvent, field: str) -> None:
    if event.data is not UNSET:
        raise invalid_params("an event has either data or data_base64", join_fields(field, "data_base64"))
    try:
        base64.b64decode(event.data_base64 or "", validate=True)
    except (binascii.Error, ValueError):
        raise invalid_params("Expected base64", join_fields(field, "data_base64")) from None


def _check_extension(name: str, value: Raw, field: str) -> None:
    if not _EXTENSION.fullmatch(name):
        reason = f"{name[:100]!r} is not an attribute name: it has lower-case letters and digits only"
        raise invalid_params(reason, field)
    if not isinstance(orjson.loads(bytes(value)), str | bool | int | None):
        raise invalid_params("Expected a string, a boolean or an integer", join_fields(field, name))


def _digest(value: Any) -> str:
    return str(uuid.UUID(bytes=hashlib.blake2b(canonical(value), digest_size=16).digest()))


_event = msgspec.json.Decoder(CloudEvent)
_members = msgspec.json.Decoder(dict[str, Raw])
