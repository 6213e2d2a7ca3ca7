"""The RPC client of the command line."""

from __future__ import annotations

import base64
import functools
import http.client
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import click
import orjson

from fencepost.errors import StartRefused
from fencepost.settings import read_client

_BAD_URL = "--url must be http://HOST:PORT or https://HOST:PORT; credentials go into --client or --client-file"


class RpcClient(NamedTuple):
    """The address of a server and the credentials for it."""

    url: str
    client: str | None

    def call(self, method: str, params: Any) -> Any:
        """Call a method and return its result; raises StartRefused with the message of the server or the connection."""
        return call(self.url, self.client, method, params)


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options for the server and its credentials to a command; its first argument is then an RpcClient."""

    @click.option(
        "--url",
        default="http://127.0.0.1:8080",
        show_default=True,
        envvar="FENCEPOST_URL",
        show_envvar=True,
        help="URL of the server.",
    )
    @click.option(
        "--client",
        metavar="ID:SECRET",
        envvar="FENCEPOST_CLIENT",
        show_envvar=True,
        help="Id and secret of the caller.",
    )
    @click.option(
        "--client-file",
        type=click.Path(path_type=Path),
        envvar="FENCEPOST_CLIENT_FILE",
        show_envvar=True,
        help="File with one id:secret; keeps the secret out of the list of processes.",
    )
    @functools.wraps(command)
    def with_client(url: str, client: str | None, client_file: Path | None, **options: Any) -> None:
        if client is None and client_file is not None:
            client = read_client(client_file)
        command(RpcClient(url, client), **options)

    return with_client


def call(url: str, client: str | None, method: str, params: Any) -> Any:
    """Call a method and return its result; raises StartRefused with the message of the server or the connection."""
    https, host, port = _parse_url(url)
    shown = f"{'https' if https else 'http'}://{f'[{host}]' if ':' in host else host}" + (
        "" if port is None else f":{port}"
    )
    kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
    connection = kind(host, port, timeout=30)
    headers = {"content-type": "application/json"}
    if client is not None:
        headers["authorization"] = "Basic " + base64.b64encode(client.encode()).decode()
    try:
        connection.request("POST", "/rpc", orjson.dumps({"method": method, "params": params}), headers)
        answer = orjson.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise StartRefused(f"no Fencepost answers at {shown}: {error or type(error).__name__}") from None
    finally:
        connection.close()
    if isinstance(answer, dict) and isinstance(fault := answer.get("error"), dict):
        place = f" (at {fault['path']})" if "path" in fault else ""
        raise StartRefused(f"{fault.get('type')}: {fault.get('message')}{place}")
    if not isinstance(answer, dict) or "result" not in answer:
        raise StartRefused(f"no Fencepost answers at {shown}: the answer is from another program")
    return answer["result"]


def _parse_url(url: str) -> tuple[bool, str, int | None]:
    """Return whether a URL is https, its host and its port; the StartRefused omits it because of secrets."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise StartRefused(_BAD_URL) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise StartRefused(_BAD_URL)
    return parts.scheme == "https", parts.hostname, port
