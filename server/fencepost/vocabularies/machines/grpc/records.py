"""Records of machines as JSON and as messages: members have the names of fields, and `metadata` is text or any JSON."""

from __future__ import annotations

from typing import Any

import orjson
from google.protobuf.descriptor import FieldDescriptor

from fencepost.notation.text import INT64

_METADATA = "metadata"


def record_of(message: Any) -> dict[str, Any]:
    """Return what a message says, without what it leaves out."""
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.message_type is None:
            found[field.name] = [*value] if field.is_repeated else value
        else:
            found[field.name] = [*map(record_of, value)] if field.is_repeated else record_of(value)
    return found


def message_of(message: Any, record: Any) -> Any:
    """Write what fits of a record into a message, and return it: records may say anything, also what has no field."""
    if not isinstance(record, dict):
        return message
    for field in message.DESCRIPTOR.fields:
        value = record.get(field.name)
        if field.name == _METADATA and value is not None and not isinstance(value, str):
            value = orjson.dumps(value).decode()
        if field.message_type is not None:
            _fill(message, field, value)
        elif field.is_repeated:
            several = value if isinstance(value, list) else []
            getattr(message, field.name).extend(one for one in several if _fits(field, one))
        elif _fits(field, value):
            setattr(message, field.name, value)
    return message


def _fill(message: Any, field: Any, value: Any) -> None:
    if field.is_repeated:
        for one in value if isinstance(value, list) else []:
            message_of(getattr(message, field.name).add(), one)
    elif isinstance(value, dict):
        getattr(message, field.name).SetInParent()
        message_of(getattr(message, field.name), value)


def _fits(field: Any, value: Any) -> bool:
    if field.type == FieldDescriptor.TYPE_STRING:
        return isinstance(value, str)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return isinstance(value, bool)
    return isinstance(value, int) and not isinstance(value, bool) and value in INT64
