"""Reads an NDJSON file row by row, from disk or over HTTP, in constant memory."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

import orjson

_LONGEST_LINE = 16 << 20
_LONGEST_KEY = 256
_SILENCE_SECONDS = 30.0
_BOM = b"\xef\xbb\xbf"
# Errors of an unreadable file, an invalid gzip stream and a broken connection.
_FAULTS = (OSError, EOFError, zlib.error, http.client.HTTPException)


class BadInput(Exception):
    """The file cannot be imported; the message names the file and, if known, the line."""

    def __init__(self, url: str, reason: str, line: int | None = None) -> None:
        self.line = line
        super().__init__(f"{readable(url)}{'' if line is None else f' line {line}'}: {reason}")


class Row(NamedTuple):
    """A row: its line number, its key, and the JSON text of the line."""

    number: int
    resource_type: str
    id: str
    text: str


def readable(url: str) -> str:
    """Return the location of a file to show: the path of a local one, else the URL."""
    parts = urlsplit(url)
    return os.fsencode(_path(parts)).decode("utf-8", "replace") if parts.scheme == "file" else url


def read_rows(url: str, encoding: str, resource_type: str) -> Iterator[Row]:
    """Yield the rows of the NDJSON file at `url`, `encoding` gzip or plain; raises BadInput at the first fault.

    The key of a row is its `resourceType`, by default `resource_type`, and its `id`. A row without an id gets one from
    the file and line, so that another read of the file gives the same key.
    """
    prefix = hashlib.sha256(url.encode()).hexdigest()[:16]
    for number, line in _lines(url, encoding):
        resource = _object(url, number, line)
        id = resource.get("id")
        if id is None:
            id = f"{prefix}-{number}"
        elif isinstance(id, int) and not isinstance(id, bool):
            id = str(id)
        kind = resource.get("resourceType", resource_type)
        for name, value in (("id", id), ("resourceType", kind)):
            if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_KEY:
                raise BadInput(url, f"{name} must be a text of 1 to {_LONGEST_KEY} characters", number)
        yield Row(number, kind, id, line.decode())


def count_rows(url: str, encoding: str) -> int | None:
    """Return the number of rows of a local file; None for a remote file, which is read only once."""
    return sum(1 for _ in _lines(url, encoding)) if urlsplit(url).scheme == "file" else None


def _lines(url: str, encoding: str) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with _opened(url) as raw:
            stream = gzip.GzipFile(fileobj=raw) if encoding == "gzip" else raw
            while line := stream.readline(_LONGEST_LINE + 1):
                number += 1
                if len(line) > _LONGEST_LINE:
                    raise BadInput(url, f"longer than {_LONGEST_LINE} bytes", number)
                line = (line.removeprefix(_BOM) if number == 1 else line).strip()
                if line:
                    yield number, line
    except _FAULTS as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadInput(url, f"cannot be read: {reason}", number + 1 if number else None) from error


def _opened(url: str) -> IO[bytes]:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return _path(parts).open("rb")
    if parts.scheme not in ("http", "https"):
        raise BadInput(url, "must begin with file://, http:// or https://")
    opened: IO[bytes] = urllib.request.urlopen(url, timeout=_SILENCE_SECONDS)  # noqa: S310  # checked above
    return opened


def _path(parts: SplitResult) -> Path:
    return Path(os.fsdecode(unquote_to_bytes(parts.path)))


def _object(url: str, number: int, line: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadInput(url, f"not JSON: {error.msg} at column {error.colno}", number) from error
    if not isinstance(parsed, dict):
        raise BadInput(url, "not a JSON object", number)
    return parsed
