"""Runs several server processes on one port: starts them, restarts them when they die, and stops them together.

This process owns the embedded Postgres, the migrations, the definitions and the port. It serves no requests. The
workers share only the database, like any servers: acknowledged changes are in Postgres, and NOTIFY wakes the polls of
the others. So the death of a worker has the effects of the death of a server.

On Linux each worker has its own listening socket, and the kernel distributes the connections. With one shared socket
the first worker that wakes accepts all waiting connections: of 64 simultaneous connections one of two workers got 58.
The sockets stay open in this process, so that connections to a dead worker wait for its replacement.
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
    check_inputs,
    database,
    exit_after,
    listen,
    listening,
    migrate_schema,
    ports,
    print_ready,
    put_definitions,
    reserved,
    supervised,
)
from fencepost.cli.worker import READY, encode
from fencepost.errors import StartRefused
from fencepost.settings import Settings
from fencepost.store.embedded import EmbeddedPostgres
from fencepost.subprocesses import environment, launch
from fencepost.telemetry import Event, emit

# A worker stops sooner; with this limit for one that hangs, the whole server stops within ten seconds.
_STOP_SECONDS = 8.0
_AFTER_FAILURE = 1.0


def run(settings: Settings, log_level: str) -> None:
    """Serve with several workers until a signal; raises StartRefused when the server cannot start."""
    check_inputs(settings)
    with (
        # Before the database, as with one worker.
        ports(settings) as settings,
        reserved(settings.host, settings.port) as listener,
        database(settings) as (conninfo, postgres),
    ):
        migrate_schema(conninfo)
        listen(listener)
        worker_settings = replace(settings, database_url=conninfo, definitions=None, workers=1)

        async def serve() -> None:
            async with supervised(postgres):
                await _put_definitions(settings, conninfo)
                with distributed(listener, settings.workers) as listeners:
                    await Workers(worker_settings, listeners, log_level, postgres).run()

        asyncio.run(serve())


@contextmanager
def distributed(listener: socket.socket, number: int) -> Iterator[list[socket.socket]]:
    """Yield `number` listening sockets on one port; `listener` is the first of them."""
    if sys.platform != "linux":
        yield [listener] * number  # on other systems one socket would get all connections
        return
    # After `listen`, so that a second server with the same port is refused.
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
    """The worker processes, one for each of `listeners`, all with the same settings."""

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
        """Run the workers until a signal; raises StartRefused when one of them cannot start."""
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, self._stop)
        serving: list[None] = []

        def served() -> None:
            serving.append(None)
            if len(serving) == len(self._listeners):
                print_ready(self._listeners[0])

        tasks = [asyncio.create_task(self._keep(listener, served)) for listener in self._listeners]
        try:
            await asyncio.gather(*tasks)
        finally:
            self._stop()
            await asyncio.wait(tasks)

    async def _keep(self, listener: socket.socket, served: Callable[[], None]) -> None:
        """Run one worker and restart it when it dies; `served` is called at its first ready."""
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
                raise StartRefused(f"a worker could not start (exit status {status}); see the reason above")
            emit(Event.WORKER_DIED, pid=process.pid, status=status)
            if not ready:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), _AFTER_FAILURE)

    async def _start(self, listener: socket.socket) -> tuple[Process, bool]:
        """Start a worker process; return it and whether it became ready."""
        arguments = [str(listener.fileno()), self._log_level]
        process = await asyncio.create_subprocess_exec(
            # An orphaned worker stops gracefully.
            *launch("fencepost.cli.worker", arguments, orphaned=signal.SIGTERM),
            stdin=PIPE,
            stdout=PIPE,
            pass_fds=[listener.fileno()],
            env=environment(),
            # This process passes a Ctrl-C on the terminal on, once.
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
        """Pass a signal on: the first starts the drain of the workers, the second stops them at once."""
        if not self._stopping.is_set():
            self._stopping.set()
            asyncio.get_running_loop().call_later(_STOP_SECONDS, self._kill)
            exit_after(LONGEST_STOP, self._postgres)
        elif self._processes:
            # By then the workers have stopped at once.
            exit_after(2 * LONGEST_HURRY, self._postgres)
        for process in self._processes:
            _signal(process, signal.SIGTERM)

    def _kill(self) -> None:
        for process in self._processes:
            _signal(process, signal.SIGKILL)


def _signal(process: Process, number: signal.Signals) -> None:
    # Process.send_signal polls, which may take the exit status from the thread that waits for it.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
