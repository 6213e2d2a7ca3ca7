"""Several server processes on one port: started, started again when they die, and ended together.

This process holds what there must be one of: the Postgres of our own, the migrations, the definitions and the port. It
serves nothing itself. The workers know of each other only what any servers on one database do: what one acknowledged is
in Postgres, and NOTIFY wakes the polls of the others. So the death of one is that of a server.

On Linux each worker has a listening socket of its own, and the kernel deals out connections. From a socket shared by
all, the first that wakes takes whatever waits: of 64 connections that came together one of two workers got 58, and kept
them. The sockets stay open here, so that connections to a worker that died wait for the next in its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from fencepost.app import build_app
from fencepost.cli.serving import (
    LONGEST_HURRY,
    LONGEST_STOP,
    bring_to_schema,
    check_inputs,
    database,
    end_at_last,
    listen,
    listening,
    ports,
    put_definitions,
    reserved,
    supervised,
    tell_ready,
)
from fencepost.cli.worker import READY, encode
from fencepost.errors import StartRefused
from fencepost.settings import Settings
from fencepost.store.embedded import EmbeddedPostgres
from fencepost.subprocesses import environment, launch
from fencepost.telemetry import Event, emit

# A worker is gone sooner by itself; with this one that hangs, the whole is gone in ten seconds.
_STOP_SECONDS = 8.0
_AFTER_FAILURE = 1.0


def run(settings: Settings, log_level: str) -> None:
    """Serve with several workers until a signal; raise StartRefused when that cannot begin."""
    check_inputs(settings)
    with (
        # Before the database, as with one worker.
        ports(settings) as settings,
        reserved(settings.host, settings.port) as listener,
        database(settings) as (conninfo, postgres),
    ):
        bring_to_schema(conninfo)
        listen(listener)
        told = replace(settings, database_url=conninfo, definitions=None, workers=1)

        async def serve() -> None:
            async with supervised(postgres):
                await _put_definitions(settings, conninfo)
                with dealt(listener, settings.workers) as listeners:
                    await Workers(told, listeners, log_level, postgres).run()

        asyncio.run(serve())


@contextmanager
def dealt(listener: socket.socket, number: int) -> Iterator[list[socket.socket]]:
    """Give so many sockets on the port of `listener`, which is the first of them."""
    if sys.platform != "linux":
        yield [listener] * number  # elsewhere one of them would get all
        return
    # Not before it listens: a second server that is given the same port by mistake must be refused, as it is.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    with ExitStack() as opened:
        address = listener.getsockname()
        others = (opened.enter_context(listening(address[0], address[1], shared=True)) for _ in range(number - 1))
        yield [listener, *others]


async def _put_definitions(settings: Settings, conninfo: str) -> None:
    app = build_app(settings, conninfo)
    try:
        await put_definitions(app, settings)
    finally:
        await app.stop()


class Workers:
    """The processes that serve, one on each of `listeners`, all with the same settings."""

    def __init__(
        self,
        settings: Settings,
        listeners: list[socket.socket],
        log_level: str,
        postgres: EmbeddedPostgres | None = None,
    ) -> None:
        self._postgres = postgres
        self._settings = encode(settings)
        self._listeners = listeners
        self._log_level = log_level
        self._processes: set[Process] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Keep them going until a signal; raise StartRefused when one cannot begin."""
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, self._stop)
        serving: list[None] = []

        def served() -> None:
            serving.append(None)
            if len(serving) == len(self._listeners):
                tell_ready(self._listeners[0])

        places = [asyncio.create_task(self._keep(listener, served)) for listener in self._listeners]
        try:
            await asyncio.gather(*places)
        finally:
            self._stop()
            await asyncio.wait(places)

    async def _keep(self, listener: socket.socket, served: Callable[[], None]) -> None:
        """Keep one going; `served` is called when the first comes to serve."""
        was_served = False
        while not self._stopping.is_set():
            process, ready = await self._start(listener)
            if ready and not was_served:
                was_served = True
                served()
            status = await process.wait()
            self._processes.discard(process)
            if self._stopping.is_set():
                return
            if not was_served:
                raise StartRefused(f"a worker could not start (exit status {status}); its reason is above")
            emit(Event.WORKER_DIED, pid=process.pid, status=status)
            if not ready:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), _AFTER_FAILURE)

    async def _start(self, listener: socket.socket) -> tuple[Process, bool]:
        """Start a process; return it and whether it serves, or is about to end."""
        arguments = [str(listener.fileno()), self._log_level]
        process = await asyncio.create_subprocess_exec(
            # Orphaned, it stops in order.
            *launch("fencepost.cli.worker", arguments, orphaned=signal.SIGTERM),
            stdin=PIPE,
            stdout=PIPE,
            pass_fds=[listener.fileno()],
            env=environment(),
            # A Ctrl-C on the terminal is ours to pass on, once.
            start_new_session=True,
        )
        self._processes.add(process)
        if self._stopping.is_set():
            _signal(process, signal.SIGTERM)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(self._settings)
        process.stdin.close()
        return process, await process.stdout.readline() == READY

    def _stop(self) -> None:
        """Pass a signal on: the first lets the workers drain, the second ends them at once."""
        if not self._stopping.is_set():
            self._stopping.set()
            asyncio.get_running_loop().call_later(_STOP_SECONDS, self._kill)
            end_at_last(LONGEST_STOP, self._postgres)
        elif self._processes:
            # Its workers have ended at once by then.
            end_at_last(2 * LONGEST_HURRY, self._postgres)
        for process in self._processes:
            _signal(process, signal.SIGTERM)

    def _kill(self) -> None:
        for process in self._processes:
            _signal(process, signal.SIGKILL)


def _signal(process: Process, number: signal.Signals) -> None:
    # Process.send_signal polls, and may take the exit status away from the thread that waits for it.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
