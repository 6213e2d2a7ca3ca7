"""The server as a child process that ends with this process, however this process ends.

On Linux the kernel sends it SIGINT (a fast shutdown) when its parent dies, also by kill -9. For the kernel, the parent
is the *thread* that started it, so a thread of its own lives as long as the child. This thread also reaps the child,
since Postgres takes a zombie for a running server. On other systems an orphan runs on until the next start stops it.

A small program runs between fork and exec instead of a preexec_fn: Python code in a forked child of a process with
threads can deadlock. The program starts with our privileges (the account may not reach the interpreter), drops them,
and then asks for the signal, because a change of user cancels that request.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from fencepost.store.embedded.account import Account

# Fast shutdown, then immediate shutdown without a checkpoint, then kill.
STOP_STEPS = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))

# The environment is not passed on: PG* and LC_* would change the server, and the rest may contain secrets.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

LAUNCHER = f"""
import ctypes, os, signal, sys
parent, uid, gid = map(int, sys.argv[1:4])
libc = ctypes.CDLL(None)
if uid != os.geteuid():
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
if sys.platform == "linux":
    libc.prctl(1, int(signal.SIGINT), 0, 0, 0)
if os.getppid() != parent:
    sys.exit("the parent was gone before the start")
os.umask(0o077)
os.chdir("/")
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execve(sys.argv[4], sys.argv[4:], {ENVIRONMENT!r})
"""


def run_as(account: Account, command: Sequence[str], *, output: int, inherited: tuple[int, ...]) -> int:
    """Run a command as the account, wait for its end and return its exit status."""
    launch = _launch(account, command)
    done = subprocess.run(
        launch, stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=inherited, check=False
    )
    return done.returncode


def _launch(account: Account, command: Sequence[str]) -> list[str]:
    identity = (os.getpid(), account.uid, account.gid)
    return [sys.executable, "-I", "-S", "-c", LAUNCHER, *map(str, identity), *command]


class Postmaster:
    """A Postgres server process; it may be started from any thread."""

    def __init__(self, account: Account, command: Sequence[str], *, output: int, inherited: tuple[int, ...]) -> None:
        self._ended = threading.Event()
        started: Future[int] = Future()
        launch = _launch(account, command)
        threading.Thread(target=self._keep, args=(launch, output, inherited, started), daemon=True).start()
        self.pid = started.result()

    def _keep(self, launch: list[str], output: int, inherited: tuple[int, ...], started: Future[int]) -> None:
        try:
            child = subprocess.Popen(
                launch,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=inherited,
                # Ctrl-C on the terminal must not reach it: this process drains first and stops Postgres last.
                start_new_session=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            started.set_exception(error)
            return
        started.set_result(child.pid)
        child.wait()
        self._ended.set()

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return not self._ended.is_set()

    def stop(self, steps: Sequence[tuple[signal.Signals, float]] = STOP_STEPS) -> None:
        """Send each signal in turn, waiting some seconds after each, until the process has ended."""
        for step, seconds in steps:
            if self.alive:
                with contextlib.suppress(ProcessLookupError):  # it ended just now
                    os.kill(self.pid, step)
                _go_on(self.pid)
            if self._ended.wait(seconds):
                return


def _go_on(pid: int) -> None:
    """Continue stopped processes of the server (SIGSTOP, a debugger), which would not receive a signal."""
    children: list[str] = []
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for one in (pid, *map(int, children)):
        with contextlib.suppress(OSError):
            os.kill(one, signal.SIGCONT)
