"""What a killed Postgres leaves in the way of the next one.

Postgres refuses to start while the process that its lock files name seems to live, and a zombie that nobody reaps, or a
stranger with the same number after a restart of the container, seems to live for ever. `postmaster.pid` is not ours to
remove on a guess: it also names the shared memory by which Postgres notices surviving children of the dead server,
and two servers in one folder destroy it. So both lock files go only when no living process works in the folder, which
is where every process of Postgres works.
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
    """Return the lock files that are there."""
    return [path for path in (pgdata / "postmaster.pid", sockets / f".s.PGSQL.{PORT}.lock") if path.exists()]


def find_lock_pid(pgdata: Path) -> int | None:
    """Return the process that postmaster.pid names."""
    try:
        return int((pgdata / "postmaster.pid").read_text().partition("\n")[0])
    except (FileNotFoundError, ValueError):
        return None


def is_deserted(pgdata: Path) -> bool:
    """Whether it is certain that no living process works in `pgdata`; never so on a system without /proc."""
    if not (PROC / "self" / "stat").exists():
        return False
    return not any(_works_in(process, pgdata) for process in PROC.iterdir() if process.name.isdigit())


def stop_servers(pgdata: Path) -> None:
    """Stop the server that works in `pgdata`, if one does, and wait until all its processes are gone."""
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
    """Return the processes in `pgdata` that are not root's, as Postgres never is (a shell of the operator may be)."""
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
            # Root in a container may not look, either; then a server of the folder's owner has to count as this one.
            return name == "postgres" and process.stat().st_uid == pgdata.stat().st_uid
    except (FileNotFoundError, ProcessLookupError):
        return False


def find_orphan(pgdata: Path, conninfo: str) -> int | None:
    """Return the server that runs in `pgdata` although its owner is gone.

    That something answers at the socket is not enough, so it is shown a file that only a server in this folder sees.
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
