"""The head of a plain `POST /rpc`: one that is read without an HTTP parser.

A head is plain if every HTTP parser reads it alike, and if it asks for nothing besides an answer: it has a
`content-length`, no repeated header, no folded line, no byte outside of ASCII, and none of the headers that change the
connection or the encoding of the body. The clients of a queue send the same head with each call, apart from the number
in `content-length`. So a head is parsed once, and later ones are compared with it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_FIRST_LINE = b"POST /rpc HTTP/1.1\r\n"
_END = b"\r\n"
_FIELD = re.compile(rb"([A-Za-z0-9_-]+): ?((?:[!-~](?:[ -~]*[!-~])?)?)\r\n")
_LENGTH = b"content-length"
_MOST_DIGITS = 7
# Headers about the connection or the encoding of the body. "connection: keep-alive" is the default of HTTP/1.1.
_SPECIAL = frozenset(
    (b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"proxy-connection", b"te", b"trailer")
)
_KEPT = (b"connection", b"keep-alive")


class PlainHead(NamedTuple):
    """A plain head: the bytes before and after the number in `content-length`, and its headers."""

    before: bytes
    after: bytes
    headers: list[tuple[bytes, bytes]]

    def body_in(self, data: bytes) -> tuple[int, int] | None:
        """Return where the body begins and ends if `data` begins with this head; the end may be beyond the data."""
        before, after = self.before, self.after
        if not data.startswith(before):
            return None
        digits_end = data.find(_END, len(before), len(before) + _MOST_DIGITS + len(_END))
        digits = data[len(before) : digits_end]
        if digits_end < 0 or not digits.isdigit() or not data.startswith(after, digits_end):
            return None
        start = digits_end + len(after)
        return start, start + int(digits)


def read_plain_head(data: bytes, most: int) -> PlainHead | None:
    """Return the head at the beginning of `data`; None if it is not plain, incomplete or longer than `most` bytes."""
    if not data.startswith(_FIRST_LINE):
        return None
    at = len(_FIRST_LINE)
    headers: dict[bytes, bytes] = {}
    length: tuple[int, int] | None = None
    while not data.startswith(_END, at):
        field = _FIELD.match(data, at, most)
        if field is None:
            return None
        name, value = field[1].lower(), field[2]
        if name in headers or name in _SPECIAL or (name == _KEPT[0] and value.lower() != _KEPT[1]):
            return None
        headers[name] = value
        if name == _LENGTH:
            length = field.span(2)
        at = field.end()
    if length is None or not headers[_LENGTH].isdigit():
        return None
    return PlainHead(data[: length[0]], data[length[1] : at + len(_END)], list(headers.items()))
