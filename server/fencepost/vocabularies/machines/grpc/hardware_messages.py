"""Converts hardware records between JSON and messages. Members have the names of fields; `metadata` may be any JSON."""

from __future__ import annotations

from typing import Any

import orjson
from google.protobuf.descriptor import FieldDescriptor

from fencepost.notation.text import INT64

_METADATA = "metadata"


def record_of(message: Any) -> dict[str, Any]:
    """Return a message as a JSON object, without the fields that are not set."""
    record: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.message_type is None:
            record[field.name] = [*value] if field.is_repeated else value
        else:
            record[field.name] = [*map(record_of, value)] if field.is_repeated else record_of(value)
    return record


def fill_message(message: Any, record: Any) -> Any:
    """Copy a record into a message and return it; members without a field, or of another type, are skipped."""
    if not isinstance(record, dict):
        return message
    for field in message.DESCRIPTOR.fields:
        value = record.get(field.name)
        if field.name == _METADATA and value is not None and not isinstance(value, str):
            value = orjson.dumps(value).decode()
        if field.message_type is not None:
            _fill_field(message, field, value)
        elif field.is_repeated:
            items = value if isinstance(value, list) else []
            getattr(message, field.name).extend(item for item in items if _fits(field, item))
        elif _fits(field, value):
            setattr(message, field.name, value)
    return message


def _fill_field(message: Any, field: Any, value: Any) -> None:
    if field.is_repeated:
        for item in value if isinstance(value, list) else []:
            fill_message(getattr(message, field.name).add(), item)
    elif isinstance(value, dict):
        getattr(message, field.name).SetInParent()
        fill_message(getattr(message, field.name), value)


def _fits(field: Any, value: Any) -> bool:
    if field.type == FieldDescriptor.TYPE_STRING:
        return isinstance(value, str)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return isinstance(value, bool)
    return isinstance(value, int) and not isinstance(value, bool) and value in INT64
