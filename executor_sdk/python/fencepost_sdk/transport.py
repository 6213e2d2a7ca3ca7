"""One keep-alive HTTP connection, and where it leads. Blocking: it is used from one thread at a time."""

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
    """What came back: the HTTP status, the seconds of `Retry-After` if any, and the body."""

    status: int
    retry_after: float | None
    body: bytes


class Endpoint:
    """Where the server is and who asks: URL, credentials, TLS and proxy, worked out once.

    `url` defaults to `FENCEPOST_URL`, then to `http://127.0.0.1:8080`; `client` to `FENCEPOST_CLIENT`, then to the
    user part of the URL. `id:secret` is sent as Basic authentication, a text without a colon as a Bearer token.
    """

    def __init__(self, url: str | None = None, client: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.url = url or os.environ.get("FENCEPOST_URL") or DEFAULT_URL
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            # Without the user part, which may be a secret.
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
        # A secret that was read from a file ends with a line break.
        client = (client or os.environ.get("FENCEPOST_CLIENT") or "").strip()
        if client and ":" in client:
            self.headers["Authorization"] = _basic(client)
        elif client:
            if not (client.isascii() and client.isprintable()):
                raise ValueError("the client's token has characters that no header can hold")
            self.headers["Authorization"] = f"Bearer {client}"
        self.proxy, self._proxy_headers = _proxy(parts.scheme, f"{self.host}:{self.port}")
        if self.tls is None:
            self.headers.update(self._proxy_headers)

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection that is not open yet."""
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
        """The request line's target: the path, or the whole URL when a plain proxy stands between."""
        if self.proxy and self.tls is None:
            host = f"[{self.host}]" if ":" in self.host else self.host
            return f"http://{host}:{self.port}{self.path}"
        return self.path


class Connection:
    """A connection that opens when it is needed, stays open between requests, and can be cut by another thread."""

    def __init__(self, endpoint: Endpoint, opened: Callable[[], None] | None = None) -> None:
        self._endpoint = endpoint
        self._opened = opened
        self._http: http.client.HTTPConnection | None = None
        self._aborted = False

    def post(self, body: bytes, timeout: float) -> Reply:
        """Send one request and return its reply, whatever its status; raise ConnectionFailed when none came.

        `timeout` (seconds) bounds each wait for the network. The failure tells whether the connection was a kept one.
        """
        if self._http is not None and _is_over(self._http.sock):
            self.close()
        kept = self._http is not None
        try:
            return self._exchange(body, timeout)
        except (OSError, http.client.HTTPException, ValueError) as error:
            # ValueError: reading from a response that `abort` closed under us.
            self.close()
            message = f"no answer from {self._endpoint.url}: {_told(error)}"
            raise ConnectionFailed(message, kept=kept, final=_is_final(error)) from error

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
        """Cut the connection from another thread: a `post` that waits there fails at once, and so do later ones."""
        self._aborted = True
        http_connection = self._http
        sock = http_connection.sock if http_connection is not None else None
        if sock is not None:
            try:
                # Past the TLS layer on purpose: it must not be entered from two threads.
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
    """Return host and port of the proxy that the environment names for this scheme, and the headers that it wants.

    None when `no_proxy` excludes the server, `host:port`.
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


def _is_over(sock: socket.socket) -> bool:
    """Tell whether the other side has closed (or spoken out of turn) while the connection lay idle."""
    try:
        sock.settimeout(0)
        # Below the TLS layer, which would not let us peek.
        return not socket.socket.recv(sock, 1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _is_final(error: Exception) -> bool:
    """Tell whether trying again cannot help: a certificate is not trusted, or a proxy refuses to lead there."""
    return isinstance(error, ssl.SSLCertVerificationError) or bool(
        re.match(r"Tunnel connection failed: 40[137]\b", _told(error))
    )


def _seconds(retry_after: str | None) -> float | None:
    # The date form of the header is for caches and crawlers; our own backoff does as well.
    return float(retry_after) if retry_after and retry_after.strip().isdigit() else None


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
