"""A process that ends with the one that started it, also when that one is killed (on Linux, by the kernel's signal).

The kernel means the thread that started it: start children from the main thread. Between fork and exec stands a small
program and no preexec_fn, because Python code there can deadlock in a process with threads.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent

_LAUNCHER = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(sys.argv[2]), 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent was gone before the start")
os.execvp(sys.argv[3], sys.argv[3:])
"""


class Child:
    """A command as a child; its stdin and stdout are ours, in bytes and whole lines, its stderr is the terminal."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        orphaned: signal.Signals = signal.SIGTERM,
        stderr: int | IO[Any] | None = None,
    ) -> None:
        launch = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), str(int(orphaned)), *command]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("FENCEPOST_", "PG"))}
        self.process = subprocess.Popen(
            launch,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**kept, "PYTHONPATH": str(ROOT), **(env or {})},
            # A Ctrl-C on the terminal is for the harness to answer.
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin: IO[bytes] = self.process.stdin
        self.stdout: IO[bytes] = self.process.stdout
        self.pid = self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def write(self, line: bytes) -> None:
        """Send a line."""
        self.stdin.write(line + b"\n")
        self.stdin.flush()

    def read(self) -> bytes:
        """Return the next line; raise EOFError when it has ended instead."""
        line = self.stdout.readline()
        if not line:
            raise EOFError(f"it ended with status {self.process.wait()}")
        return line.rstrip(b"\n")

    def stop(self, seconds: float = 15.0, *, patience: float = 0.0) -> None:
        """Close its stdin, after `patience` ask it to end, and kill it when it has not after so many seconds more."""
        for pipe in (self.stdin, self.stdout):
            # It may be gone, with something unsent.
            with contextlib.suppress(OSError):
                pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(patience)
        if self.alive:
            self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module with our interpreter, never one from the current folder."""
    return [sys.executable, "-P", "-m", module, *arguments]
