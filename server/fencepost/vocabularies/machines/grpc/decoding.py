"""Decoding of request messages, and the distinction of two messages by their bytes.

Workers and agents send their reports to the same method, in different messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

_VARINT, _FIXED64, _TEXT, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT = 10
# By field number: the wire type in `ActionStatusRequest` where `WorkflowActionStatus` has another, or no such field.
_AGENT_FIELDS = {4: _TEXT, 5: _TEXT, 6: _VARINT, 9: _TEXT, 10: _TEXT}
_WORKER_FIELDS = {4: _VARINT, 5: _VARINT, 6: _TEXT}


class Undecodable(NamedTuple):
    """A request that could not be decoded as the message of its method."""

    reason: str


def tolerant(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Wrap a decoder to return Undecodable where it would raise, so that the client gets the reason."""

    def tolerant_decode(data: bytes) -> Any:
        try:
            return decode(data)
        except DecodeError as error:
            return Undecodable(str(error))

    return tolerant_decode


def is_agent_report(data: bytes) -> bool:
    """Return whether a report is an `ActionStatusRequest`, by the first field that only one of the messages has."""
    for number, type in _fields(data):
        if _AGENT_FIELDS.get(number) == type:
            return True
        if _WORKER_FIELDS.get(number) == type:
            return False
    return False


def _fields(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield number and wire type of the fields of a message, up to the first malformed one."""
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
    """Return a varint and the offset after it; 0 and the end of the data for a malformed one."""
    value = 0
    for shift, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, at + shift + 1
    return 0, len(data)
