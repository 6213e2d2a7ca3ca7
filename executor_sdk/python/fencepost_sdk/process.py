"""The process of a worker: its signal handlers, and an event loop that a handler cannot end early."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

logger = logging.getLogger("fencepost_sdk")


class Process:
    """The id of this process, without the system call of `os.getpid`."""

    id = os.getpid()


os.register_at_fork(after_in_child=lambda: setattr(Process, "id", os.getpid()))


def end_fork(process: int, status: int = 0) -> None:
    """End this process if a handler has forked it from `process`, and returned in both.

    The child has one thread and shares our sockets: its requests would be taken for those of the parent.
    """
    if Process.id != process:
        os._exit(status)


# Longest time to stop after the drain, in seconds: see session.py.
STOP_SECONDS = 9.0
# The same after a second signal.
HURRIED_STOP_SECONDS = 5.0
CLEAN_UP_SECONDS = 1.0


@contextmanager
def stop_on_signals(stop: Callable[..., None], drain_seconds: float) -> Iterator[None]:
    """Call `stop` after SIGTERM or SIGINT, and `stop(at_once=True)` after a second one.

    A handler that blocks the event loop also blocks the stop; then the process exits with status 1 after the drain.
    Does nothing outside of the main thread, where Python allows no signal handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    process, signals, ended = Process.id, 0, threading.Event()

    def handle(number: int, frame: FrameType | None = None) -> None:
        nonlocal signals
        if Process.id != process:
            # A process that a handler has forked is no worker and gets the default action.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        signals += 1
        seconds = drain_seconds + STOP_SECONDS if signals == 1 else HURRIED_STOP_SECONDS
        threading.Thread(target=_exit_unless_ended, args=(ended, seconds), name="fencepost-end", daemon=True).start()
        stop(at_once=signals > 1)

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        ended.set()
        for number, previous in before.items():
            signal.signal(number, previous)


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in a new event loop until it returns. Unlike `asyncio.run`:

    - the loop goes on when a task of a handler raises KeyboardInterrupt or SystemExit, or calls `loop.stop`;
    - tasks and threads of handlers that do not end are abandoned after one second.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        task = loop.create_task(main)
        _run(loop, task)
        task.result()
    finally:
        left = asyncio.all_tasks(loop)
        for one in left:
            one.cancel()
        if left:
            _run(loop, loop.create_task(_ended(left)))
        asyncio.set_event_loop(None)
        if all(one.done() for one in left):
            loop.close()
        else:
            threading.Thread(target=_keep, args=(left,), name="fencepost-left", daemon=True).start()


def _run(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    task.add_done_callback(lambda _: loop.stop())
    while not task.done():
        try:
            loop.run_forever()
        except (KeyboardInterrupt, SystemExit) as error:
            # Signals are handled elsewhere, so that code of a handler has raised it.
            logger.warning("an asyncio task of a handler raised %s; the worker goes on", type(error).__name__)


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.wait(tasks, timeout=CLEAN_UP_SECONDS)


def _keep(tasks: set[asyncio.Task[Any]]) -> None:
    """Keep references to tasks that do not end until the process exits: closing such a coroutine could block."""
    threading.Event().wait()


def _exit_unless_ended(ended: threading.Event, seconds: float) -> None:
    if not ended.wait(seconds):
        logger.error("the worker did not stop within %.0f s because a handler blocks its event loop; exiting", seconds)
        os._exit(1)
