"""A process that ends with the one that started it, however that ends.

On Linux the kernel sends it a signal when its parent dies, kill -9 included. The kernel means the thread that started
it, so children are started from the main thread. Elsewhere, children of a killed parent run on until they are stopped.

Between fork and exec stands a small program that asks for the signal: Python code between the two (preexec_fn) can
deadlock in a process with threads.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from typing import IO

_LAUNCHER = """
import ctypes, os, sys
parent, number = map(int, sys.argv[1:3])
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, number, 0, 0, 0)
if os.getppid() != parent:
    sys.exit("the parent was gone before the start")
os.execv(sys.argv[3], sys.argv[3:])
"""


def launch(module: str, arguments: Sequence[str], *, orphaned: signal.Signals) -> list[str]:
    """Return the command that runs a Python module; `orphaned` is the signal it gets when this process dies."""
    # -P: a file of the user's in the current folder is not taken for a module of ours.
    command = [sys.executable, "-P", "-m", module, *arguments]
    return [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), str(int(orphaned)), *command]


def environment() -> dict[str, str]:
    """Return ours without our settings: a child is told all of its own, and a FENCEPOST_DATABASE_URL is not for it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FENCEPOST_")}


class Child:
    """A Python module run as a child; `orphaned` is the signal it gets when this process dies."""

    def __init__(self, module: str, arguments: Sequence[str], *, orphaned: signal.Signals, output: int | None) -> None:
        self._process = subprocess.Popen(
            launch(module, arguments, orphaned=orphaned),
            stdin=subprocess.DEVNULL,
            stdout=output,
            text=True,
            env=environment(),
            # A Ctrl-C on the terminal is the parent's to answer, in order: executors first, the server last.
            start_new_session=True,
        )

    @property
    def output(self) -> IO[str]:
        """What it prints, when `output` was PIPE."""
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def wait(self) -> int:
        """Wait for its end and return its exit status."""
        return self._process.wait()


def stop(children: Iterable[Child], seconds: float) -> None:
    """Ask all of them to end, wait so many seconds for them together, and kill who still runs."""
    give_up = time.monotonic() + seconds
    running = [child._process for child in children if child.alive]
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(max(0.0, give_up - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
