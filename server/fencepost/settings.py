"""Settings of a server: immutable, and checked at start with errors that name the setting.

Each is a flag of `fencepost serve` and a variable `FENCEPOST_…`; docs/configuration.md has a row for each.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

from fencepost.errors import StartRefused

_CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SHORTEST_SECRET = 16
_HOST = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
_RETENTION = re.compile(r"([1-9][0-9]{0,5})([dh])")
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\r?\n?", re.DOTALL)
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1)}
_LONGEST_RETENTION = timedelta(days=36_500)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request, and of the number of calls of a kind that wait for the database."""

    body_bytes: int = 1 << 20
    answer_bytes: int = 8 << 20
    batch: int = 1000
    poll: int = 1000
    wait_seconds: float = 600.0
    depth: int = 64
    bodies_bytes: int = 1 << 26
    waiting: int = 20_000


@dataclass(frozen=True, slots=True)
class Connections:
    """Limits of a connection in bytes and seconds, and the number of connections (None: by file descriptors)."""

    head_bytes: int = 1 << 16
    head_seconds: float = 20.0
    body_seconds: float = 30.0
    most: int | None = None
    # How long a client may leave an answer unread; not configurable, since one value fits all.
    unread_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """Timeouts and retries of devices."""

    retries: int = 3
    window_seconds: float = 10.0
    healthcheck_seconds: float = 5.0
    silence_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class GrpcTls:
    """The TLS identity of the gRPC port, in PEM: its certificates, and the private key of the first one."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a server; raises StartRefused for a combination that is not allowed."""

    host: str = "127.0.0.1"
    port: int = 8080
    database_url: str | None = field(default=None, repr=False)
    data_dir: Path = Path(".fencepost")
    definitions: Path | None = None
    clients: Mapping[str, str] = field(default_factory=dict, repr=False)
    allowed_hosts: tuple[str, ...] = ()
    workers: int = 1
    connections: int = 4
    read_connections: int = 2
    read_seconds: float = 10.0
    lease_grace_seconds: float = 10.0
    retention: timedelta | None = None
    run_sql_url: str | None = field(default=None, repr=False)
    run_sql_timeout_seconds: float = 30.0
    grpc_port: int | None = None
    grpc_host: str = "127.0.0.1"
    grpc_open: bool = False
    grpc_tls: GrpcTls | None = None
    # Whether other processes of this server share the port; not a flag, it follows from `--workers`.
    grpc_shared: bool = False
    workflow_data_versions: int = 3
    limits: Limits = field(default_factory=Limits)
    http_protocol: Literal["lean", "uvicorn"] = "lean"
    http: Connections = field(default_factory=Connections)
    devices: DeviceSettings = field(default_factory=DeviceSettings)

    def __post_init__(self) -> None:
        if not self.clients and not _is_loopback(self.host):
            raise StartRefused(
                f"--host {self.host} is not a loopback address, and anyone who reaches it could change every task: "
                "name at least one client with --client id:secret, or listen on 127.0.0.1"
            )
        if self.devices.silence_seconds <= self.devices.healthcheck_seconds:
            raise StartRefused(
                f"--device-silence {self.devices.silence_seconds:g} must be longer than --device-healthcheck "
                f"{self.devices.healthcheck_seconds:g}: every device would expire before its first health check"
            )
        if self.grpc_tls is not None and self.grpc_port is None:
            raise StartRefused("--grpc-tls-cert needs the gRPC port: set --grpc-port too, or omit it")
        if self.grpc_port is not None and not self.grpc_open and not _is_loopback(self.grpc_host):
            raise StartRefused(
                f"--grpc-host {self.grpc_host} is not a loopback address, and machines send no credentials: set "
                "--grpc-open if anyone who reaches it may provision machines, or listen on 127.0.0.1"
            )


def read_clients(pairs: Iterable[str], file: Path | None) -> dict[str, str]:
    """Return secrets by client id from `id:secret` pairs and a file with one pair per line (`#` begins a comment)."""
    clients: dict[str, str] = {}
    sources = [(f"--client {number}", pair) for number, pair in enumerate(pairs, 1)]
    if file is not None:
        sources += [(f"{file} line {number}", line) for number, line in enumerate(_lines(file), 1) if line]
    for source, pair in sources:
        id, colon, secret = pair.partition(":")
        if not colon or not _CLIENT_ID.fullmatch(id):
            # Not quoted in the error: the text may be the secret.
            raise StartRefused(f"{source} must be id:secret, the id of 1 to 64 letters, digits, `.`, `_` and `-`")
        if id.startswith("awf."):
            raise StartRefused(f"{source}: ids that begin with awf. are reserved for the server, and {id!r} is one")
        if len(secret) < _SHORTEST_SECRET:
            raise StartRefused(f"{source}: the secret of {id!r} must have at least {_SHORTEST_SECRET} characters")
        if id in clients or secret in clients.values():
            raise StartRefused(f"{source}: the id or the secret of {id!r} is used twice; each client needs its own")
        clients[id] = secret
    return clients


def read_hosts(names: Iterable[str]) -> tuple[str, ...]:
    """Return the allowed host names, in lower case; raise StartRefused for a malformed one."""
    for name in names:
        if not _HOST.fullmatch(name):
            raise StartRefused(f"--allowed-host {name!r} must be a name such as queue.example.com, or name:port")
    return tuple(name.lower() for name in names)


def read_secret(value: str | None, file: Path | None, option: str) -> str | None:
    """Return the secret from `option` or from the file of `option`-file; None without either. Raises StartRefused."""
    if file is None:
        return value
    if value is not None:
        raise StartRefused(f"{option} and {option}-file are both given; one of them is enough")
    try:
        lines = file.read_text("utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise StartRefused(f"{option}-file {file} cannot be read: {_why(error)}") from None
    text, *more = [line.strip() for line in lines if line.strip()] or [""]
    if not text or more:
        raise StartRefused(f"{option}-file {file} must have one line, and has {len(more) + bool(text)}")
    return text


def read_client(file: Path) -> str:
    """Return the only `id:secret` pair of a file; raise StartRefused."""
    pairs = [line for line in _lines(file) if line]
    if len(pairs) != 1 or ":" not in pairs[0]:
        raise StartRefused(f"--client-file {file} must have one id:secret, and has {len(pairs)} lines")
    return pairs[0]


def read_host(text: str) -> str:
    """Return an address to listen on; an IPv6 address may be in brackets, as in a URL."""
    if not text.strip():
        raise StartRefused("--host and --grpc-host take an address to listen on, such as 127.0.0.1, and one is empty")
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text


def read_retention(text: str | None) -> timedelta | None:
    """Return the retention of history from a text such as `90d` or `12h`; None, for unlimited, without one."""
    if text is None:
        return None
    parts = _RETENTION.fullmatch(text.strip())
    retention = None if parts is None else int(parts[1]) * _UNITS[parts[2]]
    if retention is None or retention > _LONGEST_RETENTION:
        raise StartRefused(
            f"--retention {text!r} must be a whole number of days or hours, such as 90d or 12h, up to 36500d; "
            "without it everything is kept"
        )
    return retention


def read_grpc_tls(certificate: Path | None, key: Path | None) -> GrpcTls | None:
    """Return the contents of a certificate file and its key file; None without either. Raises StartRefused."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        missing = "--grpc-tls-cert" if certificate is None else "--grpc-tls-key"
        raise StartRefused(f"--grpc-tls-cert and --grpc-tls-key belong together: {missing} is missing")
    try:
        # The gRPC server would accept files that do not match, and then fail each handshake.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
        # The certificates are public, but the same file may have the key.
        certificates = b"".join(_CERTIFICATE.findall(certificate.read_bytes()))
        return GrpcTls(certificates, key.read_bytes())
    except (OSError, ValueError) as error:
        raise StartRefused(
            f"--grpc-tls-cert {certificate} and --grpc-tls-key {key} cannot be used, both must be PEM files, the key "
            f"that of the certificate and without a password: {error}"
        ) from None


def _no_password() -> str:
    raise ValueError("the key has a password")


def _lines(file: Path) -> list[str]:
    try:
        return [line.partition("#")[0].strip() for line in file.read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise StartRefused(f"--client-file {file} cannot be read: {_why(error)}") from None


def _why(error: OSError | ValueError) -> str:
    """Return the reason of an error without the text that was read: a codec's error quotes it."""
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "it is not UTF-8 text"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
