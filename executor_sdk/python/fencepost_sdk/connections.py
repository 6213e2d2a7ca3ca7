"""The connections of a client, kept for its next request."""

from __future__ import annotations

from fencepost_sdk.transport import Connection, Endpoint, Reply

REQUEST_SECONDS = 60.0


class Connections:
    """Kept connections, each used by one request at a time; safe between threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._idle: list[Connection] = []

    def post(self, body: bytes) -> Reply:
        """Send one request over a connection that is free, or over a new one."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = Connection(self._endpoint)
        try:
            return connection.post(body, REQUEST_SECONDS)
        finally:
            self._idle.append(connection)

    def close(self) -> None:
        """Close those that are free."""
        while self._idle:
            self._idle.pop().close()
