"""The connection pool of a client."""

from __future__ import annotations

from fencepost_sdk.transport import Connection, Endpoint, Reply

REQUEST_SECONDS = 60.0


class ConnectionPool:
    """Keep-alive connections, each used by one request at a time; may be shared between threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._idle: list[Connection] = []

    def post(self, body: bytes) -> Reply:
        """Send one request over an idle connection or a new one; raises ConnectionFailed when no reply came."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = Connection(self._endpoint)
        try:
            return connection.post(body, REQUEST_SECONDS)
        finally:
            self._idle.append(connection)

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()
