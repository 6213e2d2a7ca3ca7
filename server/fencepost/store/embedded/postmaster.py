"""The child process that ends when we do, however we end.

On Linux the kernel sends it SIGINT (a fast shutdown) when its parent dies, kill -9 included. The kernel means the
*thread* that started it, so that thread is one of our own which lives as long as the child does; it also reaps the
child, since Postgres takes a zombie for a running server. Elsewhere an orphan runs on until the next start stops it.

Between fork and exec stands a small program and no preexec_fn: Python code in a forked child of a process with threads
can deadlock. It starts with our rights (the interpreter may lie where the account cannot look), gives them up, and only
then asks for the signal, because changing the user forgets that request.
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

# Fast, then without the final checkpoint, then not asked.
STOP_STEPS = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))

# Our environment is not passed on: PG* and LC_* would change the server, and the rest may hold secrets.
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
    """Run a command to its end as the account and return its exit status."""
    launch = _launch(account, command)
    done = subprocess.run(
        launch, stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=inherited, check=False
    )
    return done.returncode


def _launch(account: Account, command: Sequence[str]) -> list[str]:
    identity = (os.getpid(), account.uid, account.gid)
    return [sys.executable, "-I", "-S", "-c", LAUNCHER, *map(str, identity), *command]


class Postmaster:
    """A Postgres server process from its start to its end; it may be started from any thread."""

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
                # A Ctrl-C on the terminal is ours to answer: we drain first and stop Postgres last.
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
        """Whether the process still runs."""
        return not self._ended.is_set()

    def stop(self, steps: Sequence[tuple[signal.Signals, float]] = STOP_STEPS) -> None:
        """Send each signal in turn and wait its seconds, until the process has ended."""
        for step, seconds in steps:
            if self.alive:
                os.kill(self.pid, step)
                _go_on(self.pid)
            if self._ended.wait(seconds):
                return


def _go_on(pid: int) -> None:
    """Let a server and its processes go on that were stopped (SIGSTOP, a debugger): they would not see our signal."""
    children: list[str] = []
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for one in (pid, *map(int, children)):
        with contextlib.suppress(OSError):
            os.kill(one, signal.SIGCONT)
