"""Files and processes of a killed Postgres that keep the next one from starting.

Postgres refuses to start while the process in its lock files seems to be alive. A zombie that is never reaped seems so
for ever, and so does another process with the same pid after a restart of the container. `postmaster.pid` must not be
removed on a guess: it also names the shared memory by which Postgres detects surviving children of the dead server, and
two servers in one folder destroy it. Both lock files are removed only when no live process has the folder as its
working directory, which every process of Postgres has.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from pathlib import Path

import psycopg

from fencepost.errors import StartRefused
from fencepost.store.embedded.folder import PORT

PROC = Path("/proc")
STOP_SECONDS = 15.0
RETRY_SECONDS = 0.2


def find_lock_files(pgdata: Path, sockets: Path) -> list[Path]:
    """Return the lock files that exist."""
    return [path for path in (pgdata / "postmaster.pid", sockets / f".s.PGSQL.{PORT}.lock") if path.exists()]


def find_lock_pid(pgdata: Path) -> int | None:
    """Return the pid in postmaster.pid."""
    try:
        return int((pgdata / "postmaster.pid").read_text().partition("\n")[0])
    except (FileNotFoundError, ValueError):
        return None


def is_deserted(pgdata: Path) -> bool:
    """Return whether certainly no live process works in `pgdata`; always False without /proc."""
    if not (PROC / "self" / "stat").exists():
        return False
    return not any(_works_in(process, pgdata) for process in PROC.iterdir() if process.name.isdigit())


def stop_servers(pgdata: Path) -> None:
    """Stop the server that works in `pgdata`, if any, and wait for the end of all its processes."""
    give_up_at = time.monotonic() + STOP_SECONDS
    while servers := _find_servers(pgdata):
        lead = find_lock_pid(pgdata)
        if lead in servers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(lead, signal.SIGINT)
        if time.monotonic() > give_up_at:
            raise StartRefused(
                f"Process {servers[0]} works in {pgdata}, which gets a user of its own first; end that process."
            )
        time.sleep(RETRY_SECONDS)


def _find_servers(pgdata: Path) -> list[int]:
    """Return the processes in `pgdata`, except those of root: Postgres never runs as root, an operator's shell may."""
    servers = []
    for process in PROC.iterdir():
        if process.name.isdigit() and _works_in(process, pgdata):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if process.stat().st_uid != 0:
                    servers.append(int(process.name))
    return servers


def _works_in(process: Path, pgdata: Path) -> bool:
    try:
        name, _, rest = (process / "stat").read_text(errors="replace").partition("(")[2].rpartition(")")
        if rest.split()[0] in "ZX":
            return False
        try:
            return os.path.samestat((process / "cwd").stat(), pgdata.stat())
        except PermissionError:
            # Root in a container may not be allowed to look; then a server of the folder's owner counts as this one.
            return name == "postgres" and process.stat().st_uid == pgdata.stat().st_uid
    except (FileNotFoundError, ProcessLookupError):
        return False


def find_orphan(pgdata: Path, conninfo: str) -> int | None:
    """Return the pid of the server that runs in `pgdata` although its owner is gone.

    An answer at the socket is not enough: the server must see a file that only a server in this folder can see.
    """
    mark = pgdata / f"fencepost-{secrets.token_hex(8)}"
    mark.touch()
    try:
        with psycopg.connect(conninfo, connect_timeout=2) as connection:
            seen = connection.execute("select (pg_stat_file(%s, true)).size is not null", [mark.name]).fetchone()
    except psycopg.OperationalError:
        return None
    finally:
        mark.unlink()
    return find_lock_pid(pgdata) if seen == (True,) else None
