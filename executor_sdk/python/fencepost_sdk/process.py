"""A worker as a process: the signals that end it, and an event loop that nothing in it can end before."""

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

# The longest end of a worker after its drain, in seconds: see session.py.
AFTER_DRAIN = 9.0
# The same after a second signal.
AT_ONCE = 5.0
CLEAN_UP = 1.0


@contextmanager
def until_signal(stop: Callable[..., None], drain_seconds: float) -> Iterator[None]:
    """Call `stop` when SIGTERM or SIGINT comes, and `stop(at_once=True)` for a second one.

    A handler that holds the event loop holds the end of the worker too. Then the process ends without it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    process, signals, ended = os.getpid(), 0, threading.Event()

    def hear(number: int, frame: FrameType | None = None) -> None:
        nonlocal signals
        if os.getpid() != process:
            # A process that a handler has forked is not a worker: the signal is for itself.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        signals += 1
        seconds = drain_seconds + AFTER_DRAIN if signals == 1 else AT_ONCE
        threading.Thread(target=_end, args=(ended, seconds), name="fencepost-end", daemon=True).start()
        stop(at_once=signals > 1)

    before = {number: signal.signal(number, hear) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        ended.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def run_to_end(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in an event loop of its own until it returns, as `asyncio.run`, but:

    a task of a handler that raises KeyboardInterrupt or SystemExit, or a call of `loop.stop`, does not end the loop;
    tasks and threads of handlers that do not end are not waited for.
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
            # Signals are heard elsewhere: this one comes from the code of a handler.
            logger.warning("a task that a handler has started raised %s; the worker goes on", type(error).__name__)


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.wait(tasks, timeout=CLEAN_UP)


def _keep(tasks: set[asyncio.Task[Any]]) -> None:
    """Hold tasks that will not end until the process has: closing such a coroutine may not return either."""
    threading.Event().wait()


def _end(ended: threading.Event, seconds: float) -> None:
    if not ended.wait(seconds):
        logger.error("the worker did not end within %.0f s, a handler holds its event loop: the process ends", seconds)
        os._exit(1)
