"""Child processes that end with their parent, also when that is killed (on Linux, by a signal of the kernel).

For the kernel the parent is the thread that forked: start children from the main thread. A small launcher asks for the
signal instead of a preexec_fn, because Python code between fork and exec can deadlock in a process with threads.
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
    """A command that runs as a child, with pipes for the lines of its stdin and stdout; stderr is inherited."""

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
            # The harness handles a Ctrl-C on the terminal.
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin: IO[bytes] = self.process.stdin
        self.stdout: IO[bytes] = self.process.stdout
        self.pid = self.process.pid

    @property
    def alive(self) -> bool:
        """Whether the child is running."""
        return self.process.poll() is None

    def write(self, line: bytes) -> None:
        """Write a line to its stdin."""
        self.stdin.write(line + b"\n")
        self.stdin.flush()

    def read(self) -> bytes:
        """Return the next line of its stdout; raises EOFError when the child has ended."""
        line = self.stdout.readline()
        if not line:
            raise EOFError(f"the child ended with status {self.process.wait()}")
        return line.rstrip(b"\n")

    def stop(self, seconds: float = 15.0, *, patience: float = 0.0) -> None:
        """Close its stdin, terminate it after `patience` seconds, and kill it after further `seconds`."""
        for pipe in (self.stdin, self.stdout):
            # The child may be gone, with unsent bytes in the pipe.
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
    """Return the command that runs a module with this interpreter; nothing is imported from the current folder."""
    return [sys.executable, "-P", "-m", module, *arguments]
