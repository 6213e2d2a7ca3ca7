"""A server process that one of its built-in tasks kills as soon as the other tasks run too.

usage: crashing_built_in_tasks.py CONNINFO FILE   Each crash adds a line to the file: the labels of the running tasks.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from fencepost.engine.builtin.execution import BuiltinExecution
from fencepost.engine.builtin.isolation import Isolation
from fencepost.loops.internal_worker import InternalWorker
from fencepost.loops.loop import Loop
from fencepost.settings import Settings
from tests.fixtures.servers import Server, running_server

DEFINITION = "demo/deadly"
# Seconds that the deadly task waits for the others, and seconds that the others take, which must be longer.
_WAITS, _TAKES = 0.5, 0.7
_ALL = 4

running: list[str] = []
crowd = asyncio.Event()


async def work(execution: BuiltinExecution) -> bytes:
    """Sleep a moment, or kill the process if this is the deadly task."""
    label = execution.task.label or ""
    running.append(label)
    if len(running) == _ALL:
        crowd.set()
    try:
        if label != "deadly":
            await asyncio.sleep(_TAKES)
            return b"{}"
        with suppress(TimeoutError):
            await asyncio.wait_for(crowd.wait(), _WAITS)
        _die()
        raise AssertionError("it is dead")
    finally:
        running.remove(label)


def _die() -> None:
    with Path(sys.argv[2]).open("a") as lines:
        print(*sorted(running), file=lines)
    os.kill(os.getpid(), signal.SIGKILL)


async def _work(server: Server) -> asyncio.Task[None]:
    worker = InternalWorker(server.app.engine, DEFINITION, work, repeatable=True, isolation=Isolation(), at_once=_ALL)
    return asyncio.create_task(Loop("internal-worker", worker.run_once).run())


if __name__ == "__main__":
    with running_server(sys.argv[1], settings=Settings(lease_grace_seconds=0.1)) as server:
        task = server.run(_work(server))
        threading.Event().wait()
