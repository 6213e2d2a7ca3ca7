"""How values leave Postgres: JSON and times as the text that goes to the caller, never parsed and built again."""

from __future__ import annotations

import psycopg
from psycopg.adapt import Buffer, Loader


class _JsonText(Loader):
    """json as the bytes that were stored."""

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


class _IsoTime(Loader):
    """timestamptz as `2026-01-01T12:00:00.000000Z`; the session's time zone is UTC."""

    def load(self, data: Buffer) -> str:
        # `2026-01-01 12:00:00.1234+00`: a blank to replace, zeros that Postgres leaves out, and a zone to drop.
        text = bytes(data).decode()
        moment, _, fraction = text[:-3].partition(".")
        return f"{moment.replace(' ', 'T')}.{fraction:0<6}Z"


class _Text(Loader):
    """uuid as its text."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode()


def register_loaders(connection: psycopg.Connection) -> None:
    """Make a connection give JSON as bytes and times and uuids as text."""
    connection.adapters.register_loader("json", _JsonText)
    connection.adapters.register_loader("timestamptz", _IsoTime)
    connection.adapters.register_loader("uuid", _Text)
