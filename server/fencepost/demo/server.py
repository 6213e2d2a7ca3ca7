"""A real `fencepost serve`, with its own Postgres, as a child."""

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
# `serve` ends within ten seconds of SIGTERM, and Postgres after it may need some more.
_STOP_SECONDS = 30.0


@contextmanager
def serving(data_dir: Path, port: int) -> Iterator[tuple[Child, str]]:
    """Start a server and give it with its URL; stop it when the block ends. Raise StartRefused when it ends at once."""
    arguments = ["serve", "--host", HOST, "--port", str(port), "--data-dir", str(data_dir), "--log-level", "warning"]
    # Orphaned it stops in order, Postgres included.
    server = Child("fencepost", arguments, orphaned=signal.SIGTERM, output=subprocess.PIPE)
    try:
        yield server, _url(server)
    finally:
        subprocesses.stop([server], _STOP_SECONDS)


def _url(server: Child) -> str:
    # Without a timeout: after a crash Postgres takes as long as it takes, and a server that cannot start ends.
    for line in server.output:
        ready = _READY.match(line)
        if ready is not None:
            return ready[1]
    raise StartRefused(f"the demo's server could not start (exit status {server.wait()}); its reason is above")


def usual_port() -> int:
    """Return the usual port if it is free, else 0."""
    try:
        socket.create_server((HOST, USUAL_PORT)).close()
    except OSError:
        return 0
    return USUAL_PORT
