"""Child processes that end with their parent.

On Linux the kernel sends a child a signal when its parent dies, also after kill -9. For the kernel the parent is the
thread that forked, so children must be started from the main thread. On other systems the children of a killed parent
run until they are stopped.

A small launcher asks for the signal and executes the command. Python code between fork and exec (preexec_fn) could
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
    """Return the command that runs a Python module as a child; `orphaned` is its signal when this process dies."""
    # -P: a file in the current folder must not be imported in place of one of our modules.
    command = [sys.executable, "-P", "-m", module, *arguments]
    return [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), str(int(orphaned)), *command]


def environment() -> dict[str, str]:
    """Return the environment for a child: without FENCEPOST_* variables, because its settings are passed explicitly."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FENCEPOST_")}


class Child:
    """A Python module that runs as a child, which gets the signal `orphaned` when this process dies."""

    def __init__(self, module: str, arguments: Sequence[str], *, orphaned: signal.Signals, output: int | None) -> None:
        self._process = subprocess.Popen(
            launch(module, arguments, orphaned=orphaned),
            stdin=subprocess.DEVNULL,
            stdout=output,
            text=True,
            env=environment(),
            # The parent handles a Ctrl-C on the terminal and stops its children in order.
            start_new_session=True,
        )

    @property
    def output(self) -> IO[str]:
        """The standard output of the child; `output` must have been PIPE."""
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the child is running."""
        return self._process.poll() is None

    def wait(self) -> int:
        """Wait for the child to exit and return its status."""
        return self._process.wait()


def stop(children: Iterable[Child], seconds: float) -> None:
    """Terminate all children, wait for them up to `seconds` in total, and kill those that still run."""
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
