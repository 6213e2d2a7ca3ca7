"""Runs `fencepost serve` with its own Postgres as a child process."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fencepost import subprocesses
from fencepost.errors import StartRefused
from fencepost.subprocesses import Child

HOST = "127.0.0.1"
USUAL_PORT = 8080
_READY = re.compile(r"fencepost: ready on (\S+)")
# `serve` exits within ten seconds of SIGTERM; its Postgres may take longer.
_STOP_SECONDS = 30.0


@contextmanager
def serving(data_dir: Path, port: int) -> Iterator[tuple[Child, str]]:
    """Start a server and yield it with its URL; stop it after the block. Raises StartRefused if it cannot start."""
    arguments = ["serve", "--host", HOST, "--port", str(port), "--data-dir", str(data_dir), "--log-level", "warning"]
    # An orphaned server stops gracefully, with its Postgres.
    server = Child("fencepost", arguments, orphaned=signal.SIGTERM, output=subprocess.PIPE)
    try:
        yield server, _url(server)
    finally:
        subprocesses.stop([server], _STOP_SECONDS)


def _url(server: Child) -> str:
    # Without a timeout: Postgres may need long to recover from a crash, and a server that cannot start exits.
    for line in server.output:
        ready = _READY.match(line)
        if ready is not None:
            return ready[1]
    raise StartRefused(f"the demo's server could not start (exit status {server.wait()}); see the reason above")


def usual_port() -> int:
    """Return the usual port if it is free, else 0."""
    try:
        socket.create_server((HOST, USUAL_PORT)).close()
    except OSError:
        return 0
    return USUAL_PORT
