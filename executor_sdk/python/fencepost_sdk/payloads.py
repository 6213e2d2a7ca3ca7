"""Payloads: encodes Python values as JSON, and decodes JSON into the type of an annotation.

A value that JSON cannot represent is refused here, with its path, before it is sent. msgspec would write NaN as null,
and the server refuses a whole request because of one integer beyond 64 bits.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import date, time
from typing import Any

import msgspec
import msgspec.inspect

from fencepost_sdk.errors import NotJson

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
# For a search of many digits in a row: several times as fast as a regular expression.
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_MANY_DIGITS = b"0" * 19


def encode(value: Any, path: str = "$") -> bytes:
    """Return a value as JSON; raises NotJson, with a path below `path`, for a value that JSON cannot represent."""
    try:
        text = _encoder.encode(value)
    except RecursionError as error:
        raise NotJson(path, "nested too deeply, or it contains itself") from error
    except Exception as error:
        # `model_dump`, a property or `__str__` of the value may raise any exception.
        raise _first_fault(value, path) or NotJson(path, message_of(error)) from error
    if _is_suspect(text) and (fault := _first_fault(value, path)) is not None:
        raise fault
    return text


def _is_suspect(text: bytes) -> bool:
    """Return whether JSON may have a NaN, a NUL or an integer beyond 64 bits; its value is searched for the fault."""
    return b"null" in text or b"\\u0000" in text or _MANY_DIGITS in text.translate(_DIGITS)


def json_value(value: Any, path: str = "$") -> Any:
    """Return a value encoded and decoded again, so that equal payloads compare equal whatever their types were."""
    return msgspec.json.decode(encode(value, path))


def message_of(error: BaseException) -> str:
    """Return the message of an exception, or its type without one; its `__str__` may raise in turn."""
    try:
        return str(error) or type(error).__name__
    except BaseException:  # noqa: BLE001 - `__str__` may raise anything
        return type(error).__name__


def printable(text: str, limit: int) -> str:
    """Return at most `limit` characters of a text, with `?` for characters that JSON cannot represent."""
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    return short.encode(errors="replace").decode().replace("\0", "?")


def decoder(annotation: Any) -> Callable[[bytes | memoryview], Any]:
    """Return a function that decodes JSON into a type; raises TypeError for a type that cannot be decoded into."""
    if annotation is object:
        annotation = Any
    for custom in _custom_types(msgspec.inspect.type_info(annotation)):
        if custom is not object and not _is_model(custom):
            raise TypeError(f"{custom.__qualname__} is neither plain data, a dataclass, a Struct nor a pydantic model")
    return msgspec.json.Decoder(annotation, dec_hook=_read_model).decode


def schema(annotation: Any) -> Mapping[str, Any]:
    """Return the JSON Schema of a type, as pydantic gives it for a model and msgspec for any other type."""
    if _is_model(annotation):
        document: Mapping[str, Any] = annotation.model_json_schema()
        return document
    return msgspec.json.schema(annotation)


def _is_model(one: Any) -> bool:
    """Return whether an object is a pydantic model class, without importing pydantic."""
    return isinstance(one, type) and hasattr(one, "model_validate_json") and hasattr(one, "model_dump")


def _read_model(model: Any, value: Any) -> Any:
    # As JSON, because a strict model accepts a datetime in JSON but not as a Python string.
    return model.model_validate_json(msgspec.json.encode(value)) if _is_model(model) else value


def _custom_types(info: Any, seen: set[int] | None = None) -> Iterator[Any]:
    seen = set() if seen is None else seen
    if id(info) in seen:
        return
    seen.add(id(info))
    if isinstance(info, msgspec.inspect.CustomType):
        yield info.cls
    elif isinstance(info, tuple):
        for one in info:
            yield from _custom_types(one, seen)
    elif isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field):
        for name in info.__struct_fields__:
            yield from _custom_types(getattr(info, name), seen)


_PLAIN_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int),
    (float, float),
    (bytes, bytes),
    (Mapping, dict),
)


def _to_builtin(value: Any) -> Any:
    """Convert a value for msgspec: a subclass of a builtin type, a NumPy value or a pydantic model; else TypeError."""
    for base, make in _PLAIN_BASES:
        if isinstance(value, base):
            return make(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if _is_model(type(value)):
        return value.model_dump(mode="json", by_alias=True)
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"JSON cannot represent a value of type {type(value).__qualname__}")


_encoder = msgspec.json.Encoder(enc_hook=_to_builtin)
_PLAIN = (str, int, float, bool, type(None))


def _first_fault(value: Any, path: str) -> NotJson | None:
    """Return the first part of a value that JSON cannot represent, or None."""
    try:
        return next(_faults(value, path), None)
    except RecursionError:
        return NotJson(path, "nested too deeply, or it contains itself")


def _faults(value: Any, path: str) -> Iterator[NotJson]:
    if isinstance(value, bool):
        return
    if isinstance(value, float) and not math.isfinite(value):
        yield NotJson(path, f"a number must be finite, not {float(value)}")
    elif isinstance(value, int) and not _SMALLEST <= value <= _LARGEST:
        yield NotJson(path, "an integer must be between -2**63 and 2**63-1")
    elif isinstance(value, str):
        yield from _faults_of_text(value, path)
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _faults_of_key(key, path)
            yield from _faults(one, f"{path}.{key}")
    elif isinstance(value, list | tuple | set | frozenset):
        for index, one in enumerate(value):
            yield from _faults(one, f"{path}[{index}]")
    elif (members := _members(value)) is not None:
        for name, one in members:
            yield from _faults(one, f"{path}.{name}")
    elif not isinstance(value, _PLAIN):
        yield from _faults_of_other(value, path)


def _faults_of_text(value: str, path: str) -> Iterator[NotJson]:
    if "\0" in value:
        yield NotJson(path, "text cannot contain the character NUL")
    try:
        str.encode(value)
    except UnicodeEncodeError:
        yield NotJson(path, "text cannot contain half of a surrogate pair")


def _faults_of_key(key: Any, path: str) -> Iterator[NotJson]:
    if isinstance(key, str):
        yield from _faults_of_text(key, path)
        return
    try:
        _encoder.encode({key: None})
    except Exception as error:  # noqa: BLE001 - code of the key may raise anything
        yield NotJson(path, f"{key!r} cannot be the name of a member: {message_of(error)}")


def _faults_of_other(value: Any, path: str) -> Iterator[NotJson]:
    try:
        builtin = _to_builtin(value)
    except TypeError as error:
        try:
            _encoder.encode(value)
        except Exception:  # noqa: BLE001 - not a type of msgspec either
            yield NotJson(path, message_of(error))
    except Exception as error:  # noqa: BLE001 - `model_dump` may raise anything
        yield NotJson(path, message_of(error))
    else:
        yield from _faults(builtin, path)


def _members(value: Any) -> list[tuple[str, Any]] | None:
    """Return the members that msgspec encodes of a Struct, a dataclass or an attrs object; None for other values."""
    if isinstance(value, msgspec.Struct):
        return [(one.encode_name, getattr(value, one.name)) for one in msgspec.structs.fields(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(one.name, getattr(value, one.name)) for one in dataclasses.fields(value)]
    attributes = getattr(type(value), "__attrs_attrs__", None)
    return None if attributes is None else [(one.name, getattr(value, one.name)) for one in attributes]
