"""A blocking keep-alive HTTP connection to the server, and the endpoint that it connects to."""

from __future__ import annotations

import base64
import http.client
import os
import re
import socket
import ssl
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import NamedTuple

from fencepost_sdk.errors import ConnectionFailed

DEFAULT_URL = "http://127.0.0.1:8080"
CONNECT_TIMEOUT = 10.0


class Reply(NamedTuple):
    """A reply: its HTTP status, the seconds of its `Retry-After` if any, and its body."""

    status: int
    retry_after: float | None
    body: bytes


class Endpoint:
    """The address of the server with credentials, TLS and proxy.

    `url` defaults to `FENCEPOST_URL`, then to `http://127.0.0.1:8080`; `client` to `FENCEPOST_CLIENT`, then to the
    user part of the URL. `id:secret` is sent as Basic authentication, a text without a colon as a Bearer token. Raises
    ValueError for an invalid URL or token.
    """

    def __init__(self, url: str | None = None, client: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.url = url or os.environ.get("FENCEPOST_URL") or DEFAULT_URL
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            # Without the user part, which may contain a secret.
            raise ValueError(f"the server's url must look like {DEFAULT_URL}, not {self.url.rpartition('@')[2]!r}")
        secure = parts.scheme == "https"
        self.host = parts.hostname
        self.port = parts.port or (443 if secure else 80)
        self.path = parts.path.rstrip("/") + "/rpc"
        self.tls = (tls or ssl.create_default_context()) if secure else None
        self.headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if parts.username is not None:
            userinfo = f"{parts.username}:{parts.password or ''}"
            self.url = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
            client = client or urllib.parse.unquote(userinfo)
        # A secret from a file may end with a line break.
        client = (client or os.environ.get("FENCEPOST_CLIENT") or "").strip()
        if client and ":" in client:
            self.headers["Authorization"] = _basic(client)
        elif client:
            if not (client.isascii() and client.isprintable()):
                raise ValueError("the token of the client contains characters that no header can hold")
            self.headers["Authorization"] = f"Bearer {client}"
        self.proxy, self._proxy_headers = _proxy(parts.scheme, f"{self.host}:{self.port}")
        if self.tls is None:
            self.headers.update(self._proxy_headers)

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection, which opens with its first request."""
        host, port = self.proxy or (self.host, self.port)
        connection: http.client.HTTPConnection
        if self.tls is not None:
            connection = http.client.HTTPSConnection(host, port, timeout=CONNECT_TIMEOUT, context=self.tls)
            if self.proxy:
                connection.set_tunnel(self.host, self.port, self._proxy_headers)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=CONNECT_TIMEOUT)
        return connection

    @property
    def target(self) -> str:
        """The target of the request line: the path, or the whole URL for a plain HTTP proxy."""
        if self.proxy and self.tls is None:
            host = f"[{self.host}]" if ":" in self.host else self.host
            return f"http://{host}:{self.port}{self.path}"
        return self.path


class Connection:
    """A connection that opens with its first request and stays open; another thread may abort it.

    Otherwise it is used from one thread at a time.
    """

    def __init__(self, endpoint: Endpoint, opened: Callable[[], None] | None = None) -> None:
        self._endpoint = endpoint
        self._opened = opened
        self._http: http.client.HTTPConnection | None = None
        self._aborted = False

    def post(self, body: bytes, timeout: float) -> Reply:
        """Send one request and return its reply, whatever its status; raises ConnectionFailed without one.

        `timeout` bounds each wait for the network, in seconds.
        """
        if self._http is not None and _is_closed_by_peer(self._http.sock):
            self.close()
        reused = self._http is not None
        try:
            return self._exchange(body, timeout)
        except (OSError, http.client.HTTPException, ValueError) as error:
            # A read from a response that `abort` closed raises ValueError.
            self.close()
            message = f"no answer from {self._endpoint.url}: {_message_of(error)}"
            raise ConnectionFailed(message, reused=reused, permanent=_is_permanent(error)) from error

    def _exchange(self, body: bytes, timeout: float) -> Reply:
        if self._http is None:
            self._http = self._endpoint.connect()
            self._http.connect()
            if self._opened is not None:
                self._opened()
        sock: socket.socket = self._http.sock
        sock.settimeout(timeout)
        if self._aborted:
            raise ConnectionAbortedError("aborted")
        self._http.request("POST", self._endpoint.target, body, self._endpoint.headers)
        response = self._http.getresponse()
        content = response.read()
        if response.will_close:
            self.close()
        return Reply(response.status, _seconds(response.headers.get("Retry-After")), content)

    def abort(self) -> None:
        """Cut the connection from another thread: a `post` in progress fails at once, and so do later ones."""
        self._aborted = True
        http_connection = self._http
        sock = http_connection.sock if http_connection is not None else None
        if sock is not None:
            try:
                # Below the TLS layer, which must not be used by two threads.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                return

    def renew(self) -> None:
        """Make an aborted connection usable again."""
        self.close()
        self._aborted = False

    def close(self) -> None:
        """Close the connection; the next `post` opens a new one."""
        if self._http is not None:
            self._http.close()
            self._http = None


def _proxy(scheme: str, server: str) -> tuple[tuple[str, int] | None, dict[str, str]]:
    """Return host and port of the proxy of the environment for a URL scheme, and the headers for it.

    Without a proxy, or when `no_proxy` excludes the server (`host:port`), the address is None.
    """
    url = urllib.request.getproxies().get(scheme)
    if not url or urllib.request.proxy_bypass(server):
        return None, {}
    parts = urllib.parse.urlsplit(url if "//" in url else f"//{url}")
    if not parts.hostname:
        return None, {}
    headers = {}
    if parts.username is not None:
        user, password = (urllib.parse.unquote(part or "") for part in (parts.username, parts.password))
        headers["Proxy-Authorization"] = _basic(f"{user}:{password}")
    return (parts.hostname, parts.port or 80), headers


def _basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


def _is_closed_by_peer(sock: socket.socket) -> bool:
    """Return whether the server has closed an idle connection, or sent bytes on it."""
    try:
        sock.settimeout(0)
        # Below the TLS layer, which does not support MSG_PEEK.
        return not socket.socket.recv(sock, 1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _is_permanent(error: Exception) -> bool:
    """Return whether no retry can succeed: a certificate is not trusted, or a proxy refuses the tunnel."""
    return isinstance(error, ssl.SSLCertVerificationError) or bool(
        re.match(r"Tunnel connection failed: 40[137]\b", _message_of(error))
    )


def _seconds(retry_after: str | None) -> float | None:
    # The date form of the header is ignored: our own back-off serves as well.
    return float(retry_after) if retry_after and retry_after.strip().isdigit() else None


def _message_of(error: Exception) -> str:
    return str(error) or type(error).__name__
