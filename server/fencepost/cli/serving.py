"""Runs a server: starts Postgres, migrates, puts definitions, serves HTTP, and stops after a signal."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import click
import msgspec
import uvicorn

from fencepost.app import App, build_app
from fencepost.cli.connection_limit import ConnectionLimit
from fencepost.cli.connections import HttpProtocol
from fencepost.cli.documents import read_documents
from fencepost.cli.lean_connections import LeanProtocol
from fencepost.cli.sockets import SocketProtocol
from fencepost.errors import Refusal, StartRefused, path_of
from fencepost.loops.loop import Loop
from fencepost.loops.postgres_watchdog import PostgresWatchdog
from fencepost.settings import Settings
from fencepost.store.address import check_address
from fencepost.store.embedded import EmbeddedPostgres
from fencepost.store.migrations import migrate
from fencepost.telemetry import Event, emit
from fencepost.vocabularies.all import ALL
from fencepost.vocabularies.plugin import documents_of

# Parts of the ten seconds in which a server must stop; the rest is for its connections and its Postgres.
_ANSWER_SECONDS = 2
_FINISH_SECONDS = 4
# Seconds until the process exits although work hangs: after the first signal, and after the second.
LONGEST_STOP = 9.5
LONGEST_HURRY = 0.5
_BACKLOG = 2048
# Least max_connections of an embedded Postgres, and the part of it that stays free for psql.
_USUAL_CONNECTIONS = 100
_FOR_PSQL = 10


def run(settings: Settings) -> None:
    """Serve until a signal; raises StartRefused when the server cannot start."""
    check_inputs(settings)
    with (
        # Both ports before the database: a port in use must be found before a Postgres is started or migrated.
        ports(settings) as settings,
        reserved(settings.host, settings.port) as listener,
        database(settings) as (conninfo, postgres),
    ):
        migrate_schema(conninfo)
        listen(listener)
        serve(settings, conninfo, listener, lambda: print_ready(listener), postgres)


@contextmanager
def ports(settings: Settings) -> Iterator[Settings]:
    """Keep the ports of the vocabularies until the block ends; give the settings to go on with."""
    with ExitStack() as stack:
        for vocabulary in ALL:
            settings = stack.enter_context(vocabulary.reserve(settings))
        yield settings


def serve(
    settings: Settings,
    conninfo: str,
    listener: socket.socket,
    ready: Callable[[], None],
    postgres: EmbeddedPostgres | None = None,
) -> None:
    """Serve on a migrated database until a signal, and restart its Postgres when that is embedded and dies."""
    _tune()
    # uvicorn chooses uvloop if it is installed.
    factory = uvicorn.Config(_no_application, loop="auto", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(settings, conninfo, listener, ready, postgres))


def _tune() -> None:
    """Tune the interpreter for a process that creates and drops hundreds of thousands of small objects a second.

    Measured on a drain: the garbage collector took a fifth of the CPU time, although these objects have no cycles, and
    database threads with rows to read waited milliseconds for the event loop to release the interpreter.
    """
    gc.set_threshold(100_000, 50, 1000)
    sys.setswitchinterval(0.0005)


def check_inputs(settings: Settings) -> None:
    """Raise StartRefused for invalid addresses and definitions, before anything is started."""
    if settings.database_url is not None:
        check_address(settings.database_url, "--database-url")
    if settings.run_sql_url is not None:
        check_address(settings.run_sql_url, "--run-sql-url")
    if settings.definitions is not None:
        read_documents(settings.definitions, documents_of(ALL))


def migrate_schema(conninfo: str) -> None:
    """Apply the pending migrations of the database."""
    for name in migrate(conninfo):
        emit(Event.MIGRATED, name=name)


def print_ready(listener: socket.socket) -> None:
    """Print the address on stdout, in the only line there."""
    host, port = listener.getsockname()[:2]
    address = f"[{host}]" if ":" in host else host
    click.echo(f"fencepost: ready on http://{address}:{port}")


@contextmanager
def database(settings: Settings) -> Iterator[tuple[str, EmbeddedPostgres | None]]:
    """Yield the conninfo of the given database, or of an embedded Postgres, which stops after the block."""
    if settings.database_url is not None:
        yield settings.database_url, None
        return
    # Each worker process has one more connection to listen, and one to check the others.
    wanted = settings.workers * (settings.connections + settings.read_connections + 2) + _FOR_PSQL
    options = {"max_connections": str(max(_USUAL_CONNECTIONS, wanted))}
    with EmbeddedPostgres(settings.data_dir, options=options) as postgres:
        emit(Event.DATABASE_STARTED, version=postgres.version, folder=settings.data_dir)
        yield postgres.conninfo, postgres


@contextmanager
def reserved(host: str, port: int, *, shared: bool = False) -> Iterator[socket.socket]:
    """Yield a socket that is bound to the address and does not listen yet; raises StartRefused if it cannot be bound.

    A `shared` address may be bound by other processes of this server.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if listener.family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((host, port))
        except (OSError, UnicodeError) as error:
            raise _cannot_listen(host, port, error) from None
        # Accepted connections inherit it. asyncio sets it only for sockets that were created with the number of TCP.
        # Without it each answer on a keep-alive connection waits for a delayed acknowledgement of the client.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


def listen(listener: socket.socket) -> None:
    """Listen for connections; raises StartRefused when another process listens on the address."""
    try:
        listener.listen(_BACKLOG)
    except OSError as error:
        host, port = listener.getsockname()[:2]
        raise _cannot_listen(host, port, error) from None


@contextmanager
def listening(host: str, port: int, *, shared: bool = False) -> Iterator[socket.socket]:
    """Yield a listening socket, as `reserved` with `shared`; raises StartRefused."""
    with reserved(host, port, shared=shared) as listener:
        listen(listener)
        yield listener


def _cannot_listen(host: str, port: int, error: OSError | UnicodeError) -> StartRefused:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return StartRefused(f"cannot listen on {host}:{port}: another program does; choose another --port, or 0")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return StartRefused(f"cannot listen on {host}:{port}: {reason}")


@asynccontextmanager
async def supervised(postgres: EmbeddedPostgres | None) -> AsyncIterator[None]:
    """Restart the server's own Postgres whenever it dies, until the block ends."""
    if postgres is None:
        yield
        return
    watching = asyncio.create_task(Loop("postgres-watchdog", PostgresWatchdog(postgres).run_once).run())
    try:
        yield
    finally:
        watching.cancel()


async def _serve(
    settings: Settings,
    conninfo: str,
    listener: socket.socket,
    ready: Callable[[], None],
    postgres: EmbeddedPostgres | None,
) -> None:
    app = build_app(settings, conninfo)
    async with supervised(postgres):
        try:
            await app.start()
            await put_definitions(app, settings)
            server = HttpServer(app, ready, settings)
            _stop_on_signals(app, server, postgres)
            async with app.serving():
                await server.serve(sockets=[listener])
        finally:
            await app.stop()


# Settings of uvicorn; the empty handler of the benchmark has the same.
HTTP_SETTINGS: dict[str, Any] = {
    "http": HttpProtocol,
    "ws": SocketProtocol,
    "lifespan": "off",
    "access_log": False,
    "log_config": None,
    "log_level": "warning",
    "proxy_headers": False,
    "server_header": False,
    "date_header": False,
    "timeout_keep_alive": 75,
    "timeout_graceful_shutdown": _FINISH_SECONDS,
    "backlog": _BACKLOG,
}


class HttpConfig(uvicorn.Config):
    """The settings of uvicorn and of our protocol classes."""

    def __init__(self, app: App, settings: Settings) -> None:
        protocol = {"lean": LeanProtocol, "uvicorn": HttpProtocol}[settings.http_protocol]
        super().__init__(app, **{**HTTP_SETTINGS, "http": protocol, "ws_max_size": settings.limits.body_bytes})
        self.rpc = app.rpc
        self.connections = settings.http
        self.connection_limit = ConnectionLimit(settings.http.most)


class HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers, because a signal starts the drain first."""

    def __init__(self, app: App, ready: Callable[[], None], settings: Settings | None = None) -> None:
        super().__init__(HttpConfig(app, settings or Settings()))
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the server, then report that it accepts requests."""
        await super().startup(sockets=sockets)
        self._ready()


def _stop_on_signals(app: App, server: HttpServer, postgres: EmbeddedPostgres | None) -> None:
    loop = asyncio.get_running_loop()
    draining: list[asyncio.Task[None]] = []

    async def drain() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                await app.drain()
        server.should_exit = True

    def stop() -> None:
        exit_after(LONGEST_HURRY if draining else LONGEST_STOP, postgres)
        if draining:
            server.force_exit = True
        draining.append(asyncio.create_task(drain()))

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def exit_after(seconds: float, postgres: EmbeddedPostgres | None = None) -> None:
    """Exit the process after `seconds` if it still runs, and stop its embedded Postgres at once."""

    def end() -> None:
        if postgres is not None and postgres.alive:
            for number in (signal.SIGCONT, signal.SIGQUIT):
                with contextlib.suppress(OSError):
                    os.kill(postgres.pid, number)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


async def put_definitions(app: App, settings: Settings) -> None:
    """Put the definitions of --definitions, if given; raises StartRefused for a refused one."""
    if settings.definitions is None:
        return
    for document in read_documents(settings.definitions, app.engine.definitions.documents):
        try:
            # Encoded as in a call, so that the same document is no new version, which would start schedules again.
            text = msgspec.json.encode(document.declared)
            definition = await app.engine.definitions.put(document.declared, text, caller="definitions")
        except Refusal as refusal:
            place = "" if refusal.field is None else f" (at {path_of(refusal.field)})"
            raise StartRefused(f"{document.source}: {refusal.message}{place}") from None
        emit(Event.DEFINITION_APPLIED, name=definition.name, version=definition.version)


async def _no_application(scope: object, receive: object, send: object) -> None:
    """Placeholder application for the event loop factory of uvicorn."""
