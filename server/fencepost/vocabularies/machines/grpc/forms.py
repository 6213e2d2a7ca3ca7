"""Telling two messages apart by their bytes: both generations of workers send their reports to one path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

_VARINT, _FIXED64, _TEXT, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT = 10
# By field number: the wire type in `ActionStatusRequest` where `WorkflowActionStatus` has another, or no such field.
_OF_AGENTS = {4: _TEXT, 5: _TEXT, 6: _VARINT, 9: _TEXT, 10: _TEXT}
_OF_WORKERS = {4: _VARINT, 5: _VARINT, 6: _TEXT}


class Unreadable(NamedTuple):
    """A request whose bytes are no message of its kind."""

    reason: str


def readable(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Let a reader of messages return `Unreadable` where it raises, so that the client is told what it did wrong."""

    def reading(data: bytes) -> Any:
        try:
            return read(data)
        except DecodeError as error:
            return Unreadable(str(error))

    return reading


def is_of_an_agent(data: bytes) -> bool:
    """Return whether a report is an `ActionStatusRequest`: a field that only one of the two can have decides."""
    for number, type in _fields(data):
        if _OF_AGENTS.get(number) == type:
            return True
        if _OF_WORKERS.get(number) == type:
            return False
    return False


def _fields(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield number and wire type of the fields of a message, as far as it can be read."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, type = tag >> 3, tag & 7
        if not number:
            return
        yield number, type
        if type == _VARINT:
            _, at = _varint(data, at)
        elif type == _TEXT:
            length, at = _varint(data, at)
            at += length
        elif type in _WIDTHS:
            at += _WIDTHS[type]
        else:
            return


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number and the place behind it; 0 and the end of the data where there is none."""
    value = 0
    for shift, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, at + shift + 1
    return 0, len(data)
