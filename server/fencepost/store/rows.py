"""Loaders for rows: JSON and times stay the text that goes to the caller, without parsing.

A row of a statement about tasks is the number of the call, then the resource of the task.
"""

from __future__ import annotations

from functools import lru_cache

import psycopg
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format

from fencepost.domain.task import Task

RESOURCE = slice(1, 1 + len(Task._fields))
STATUS = 1 + Task._fields.index("status")
EXEC_ID = 1 + Task._fields.index("exec_id")


class _JsonText(Loader):
    """Load json as the bytes that were stored."""

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


class _IsoTime(Loader):
    """Load timestamptz as `2026-01-01T12:00:00.000000Z`; the session's time zone is UTC."""

    def load(self, data: Buffer) -> str:
        return _iso(bytes(data))


@lru_cache(maxsize=1024)
def _iso(data: bytes) -> str:
    # `2026-01-01 12:00:00.1234+00`: a blank to replace, zeros that Postgres leaves out, and a zone to drop. The rows of
    # a batch were written at one time, so that most of its times have been seen.
    moment, _, fraction = data.decode()[:-3].partition(".")
    return f"{moment.replace(' ', 'T')}.{fraction:0<6}Z"


def register_loaders(connection: psycopg.Connection) -> None:
    """Make a connection load JSON as bytes, and times and uuids as text."""
    adapters = connection.adapters
    adapters.register_loader("json", _JsonText)
    adapters.register_loader("timestamptz", _IsoTime)
    text = adapters.get_loader(adapters.types["text"].oid, Format.TEXT)
    assert text is not None, "psycopg knows text"
    adapters.register_loader("uuid", text)
