"""Calling a running server from the command line."""

from __future__ import annotations

import base64
import functools
import http.client
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import click
import orjson

from fencepost.errors import StartRefused


class Caller(NamedTuple):
    """The server that a command calls, and who calls it."""

    url: str
    client: str | None

    def call(self, method: str, params: Any) -> Any:
        """Call one method and return its result; raise StartRefused with what the server says."""
        return call(self.url, self.client, method, params)


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which server it calls; it takes them as its first argument, a Caller."""

    @click.option(
        "--url",
        default="http://127.0.0.1:8080",
        show_default=True,
        envvar="FENCEPOST_URL",
        show_envvar=True,
        help="The server.",
    )
    @click.option("--client", metavar="ID:SECRET", envvar="FENCEPOST_CLIENT", show_envvar=True, help="Who calls.")
    @functools.wraps(command)
    def calling(url: str, client: str | None, **options: Any) -> None:
        command(Caller(url, client), **options)

    return calling


def call(url: str, client: str | None, method: str, params: Any) -> Any:
    """Call one method and return its result; raise StartRefused with what the server says."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StartRefused(f"--url must be http://HOST:PORT or https://HOST:PORT, got {url!r}")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=30)
    headers = {"content-type": "application/json"}
    if client is not None:
        headers["authorization"] = "Basic " + base64.b64encode(client.encode()).decode()
    try:
        connection.request("POST", "/rpc", orjson.dumps({"method": method, "params": params}), headers)
        answer = orjson.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise StartRefused(f"no Fencepost answers at {url}: {error or type(error).__name__}") from None
    finally:
        connection.close()
    if "error" in answer:
        fault = answer["error"]
        raise StartRefused(
            f"{fault['type']}: {fault['message']}" + (f" (at {fault['path']})" if "path" in fault else "")
        )
    return answer["result"]
