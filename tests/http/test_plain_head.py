"""A head that is read as plain is read alike by the HTTP parser of the other protocol class."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fencepost.http.plain_head import read_plain_head

FIRST_LINE = b"POST /rpc HTTP/1.1\r\n"
LENGTH = b"content-length: 2\r\n"
MOST = 4096


class Parsed:
    """The events of the HTTP parser for one request."""

    def __init__(self, data: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.is_complete = False
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_complete = True


NAMES = st.sampled_from(
    [
        *("Host", "content-type", "Content-Length", "accept", "authorization", "connection", "x", "X-Request-Id", ""),
        *("expect", "upgrade", "transfer-encoding", "te", "content_length", "content-length ", " x", "keep-alive"),
    ]
)
VALUES = st.sampled_from(
    ["", "2", "02", "+2", "2 ", " 2", "2, 2", "localhost", "application/json", "keep-alive", "Keep-Alive", "close"]
) | st.text("a \t\r\n\0:,é\x7f", max_size=6)
LINES = st.builds(
    lambda name, colon, value, end: f"{name}{colon}{value}{end}".encode("latin-1"),
    NAMES,
    st.sampled_from([": ", ":", " : ", ":  ", ""]),
    VALUES,
    st.sampled_from(["\r\n", "\r\n", "\r\n", "\n", "\r"]),
)


@given(st.lists(LINES, max_size=6), st.booleans())
def test_a_plain_head_is_read_as_the_http_parser_reads_it(lines: list[bytes], has_length: bool) -> None:
    data = b"".join((FIRST_LINE, *lines, LENGTH if has_length else b"", b"\r\n", b"{}"))
    head = read_plain_head(data, MOST)
    if head is None:
        return
    place = head.body_in(data)
    assert place is not None
    parsed = Parsed(data[: place[1]])
    assert parsed.headers == head.headers
    assert parsed.body == data[slice(*place)]
    assert parsed.is_complete or place[1] > len(data)
    assert parsed.parser.should_keep_alive()
    assert not parsed.parser.should_upgrade()


PLAIN = FIRST_LINE + b"host: a\r\nContent-Length: 12\r\naccept: */*\r\n\r\n"


def test_a_head_is_recognized_again_with_another_length() -> None:
    head = read_plain_head(PLAIN, MOST)
    assert head is not None
    other = PLAIN.replace(b"12", b"345")
    assert head.body_in(other) == (len(other), len(other) + 345)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"12", b""),
        (b"12", b"1x"),
        (b"12", b"-1"),
        (b"12", b"1 2"),
        (b"12", b"12345678"),
        (b"\r\nacc", b"\nacc"),
        (b"host: a", b"host: b"),
        (b"\r\n\r\n", b"\r\nx: y\r\n\r\n"),
        (b"\r\n\r\n", b"\r\n"),
    ],
)
def test_another_head_is_not_recognized(old: bytes, new: bytes) -> None:
    head = read_plain_head(PLAIN, MOST)
    assert head is not None
    assert head.body_in(PLAIN.replace(old, new)) is None


@pytest.mark.parametrize("end", range(len(PLAIN)))
def test_a_part_of_a_head_is_not_plain(end: int) -> None:
    assert read_plain_head(PLAIN[:end], MOST) is None


def test_a_long_head_is_not_plain() -> None:
    assert read_plain_head(PLAIN, len(PLAIN)) is not None
    assert read_plain_head(PLAIN, len(PLAIN) - 3) is None
