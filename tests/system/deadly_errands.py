"""A server as a process of its own one of whose errands ends it, once all the errands that it waits for run beside it.

usage: deadly_errands.py CONNINFO FILE   Each death adds a line to the file: the labels of what ran.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from fencepost.engine.builtin.alone import Alone
from fencepost.engine.builtin.errand import Errand
from fencepost.loops.errands import Errands
from fencepost.loops.loop import Loop
from fencepost.settings import Settings
from tests.fixtures.servers import Server, running_server

DEFINITION = "demo/errand"
# The seconds that the deadly one waits for the others, and the seconds that these take: a moment more.
_WAITS, _TAKES = 0.5, 0.7
_ALL = 4

running: list[str] = []
crowd = asyncio.Event()


async def work(errand: Errand) -> bytes:
    """Take a moment, or end everything."""
    label = errand.task.label or ""
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
    errands = Errands(server.app.engine, DEFINITION, work, repeatable=True, alone=Alone(), at_once=_ALL)
    return asyncio.create_task(Loop("errands", errands.run_once).run())


if __name__ == "__main__":
    with running_server(sys.argv[1], settings=Settings(lease_grace_seconds=0.1)) as server:
        task = server.run(_work(server))
        threading.Event().wait()
