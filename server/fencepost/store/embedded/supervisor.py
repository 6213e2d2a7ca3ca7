"""Starts Postgres, waits until it answers, stops it, and cleans up after a killed predecessor.

Postgres itself decides whether it can start. When it ends because of lock files, it is started again: usually the
predecessor is still shutting down, or is a zombie about to be reaped, and Postgres then removes the files itself. An
orphan that still answers is stopped, and lock files without a live process are removed after a while.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg.conninfo import make_conninfo

from fencepost.errors import StartRefused
from fencepost.store.embedded.access import access_settings
from fencepost.store.embedded.account import Account, account_for, reachable
from fencepost.store.embedded.binaries import Binaries, find_binaries, reachable_binaries
from fencepost.store.embedded.cluster import ensure_cluster, made_by
from fencepost.store.embedded.folder import PORT, DataFolder
from fencepost.store.embedded.leftovers import find_lock_files, find_lock_pid, find_orphan, is_deserted
from fencepost.store.embedded.postmaster import Postmaster

START_SECONDS = 15.0
WAIT_BEFORE_CLEARING_SECONDS = 2.0
RETRY_SECONDS = 0.2
PROBE_SECONDS = 0.02

# For a small machine. Durability is left at Postgres's own defaults: fsync and synchronous_commit are on.
DEFAULTS = {"max_connections": "100", "shared_buffers": "128MB", "log_checkpoints": "off", "lc_messages": "C"}


class EmbeddedPostgres:
    """A Postgres server in `data_dir`, a child of this process.

    `options` are settings of Postgres such as {"fsync": "off"}. After `start`, `conninfo` opens a connection, `version`
    is that of the server ("18.6"). `start` and `stop` may be called from any thread, but from one at a time; a server
    that died is started again by calling `start` again.
    """

    def __init__(
        self, data_dir: Path, *, bin_dir: Path | None = None, options: Mapping[str, str] | None = None
    ) -> None:
        self.conninfo = ""
        self.version = ""
        self._bin_dir = bin_dir
        self._options = {**DEFAULTS, **(options or {})}
        try:
            self._folder = DataFolder(data_dir)
        except OSError as error:  # a relative path in a current folder that was deleted
            raise StartRefused(f"The data folder {data_dir} cannot be used: {error}.") from error
        self._postmaster: Postmaster | None = None

    @property
    def alive(self) -> bool:
        """Whether the server process is running."""
        return self._postmaster is not None and self._postmaster.alive

    @property
    def pid(self) -> int:
        """The pid of the server process; only after `start`."""
        assert self._postmaster is not None
        return self._postmaster.pid

    def start(self) -> str:
        """Start the server and return its conninfo once it answers; raise StartRefused when it cannot run."""
        if sys.platform == "win32":
            raise StartRefused(
                "Fencepost has no Postgres of its own on Windows; give the address of yours with --database-url."
            )
        if self.alive:
            return self.conninfo
        try:
            self._start()
        except OSError as error:
            self.stop()
            raise StartRefused(f"The data folder {self._folder.path} cannot be used: {error}.") from error
        except BaseException:
            self.stop()
            raise
        return self.conninfo

    def stop(self) -> None:
        """Shut the server down, wait for its end, and unlock the folder; a second call does nothing."""
        if self._postmaster is not None:
            self._postmaster.stop()
            self._postmaster = None
        if self._folder.is_locked:
            self._folder.discard_short_folder()
            self._folder.unlock()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        folder = self._folder
        account = account_for(folder.pgdata)
        binaries = find_binaries(self._bin_dir, made_by=made_by(folder.pgdata))
        folder.make(account)
        folder.lock()
        binaries = reachable_binaries(binaries, account, folder.shelf(account))
        ensure_cluster(folder, binaries, account)
        sockets = folder.socket_folder(account)
        self.version = binaries.version
        self.conninfo = make_conninfo("", host=str(sockets), port=PORT, user="postgres", dbname="postgres")
        began = time.monotonic()
        # Checked before and after: a predecessor may end, and remove its lock files, just after it blocked this start.
        blocked = bool(find_lock_files(folder.pgdata, sockets))
        while not self._try(binaries, account, sockets):
            blocked, was_blocked = bool(find_lock_files(folder.pgdata, sockets)), blocked
            waited = time.monotonic() - began
            if waited > START_SECONDS or not (blocked or was_blocked):
                raise self._refusal("ended at once")
            self._clear_the_way(sockets, waited)
            time.sleep(RETRY_SECONDS)

    def _try(self, binaries: Binaries, account: Account, sockets: Path) -> bool:
        """Start the process; return True when it answers, False when it ends."""
        output = self._folder.log.open()
        try:
            with reachable(account, self._folder.pgdata) as (name, inherited):
                access = access_settings(self._folder.pgdata, name, account, binaries.major)
                command = (binaries.program("postgres"), "-D", name, *self._settings(sockets, access))
                self._postmaster = Postmaster(account, command, output=output, inherited=inherited)
        finally:
            os.close(output)
        give_up_at = time.monotonic() + START_SECONDS
        while self._postmaster.alive:
            reason = self._why_not_ready(self._postmaster.pid)
            if not reason:
                return True
            if "starting up" in reason:
                # The server is replaying its log after a crash; this has no time limit.
                give_up_at = time.monotonic() + START_SECONDS
            if time.monotonic() > give_up_at:
                raise self._refusal(f"does not answer ({reason})")
            time.sleep(PROBE_SECONDS)
        return False

    def _settings(self, sockets: Path, access: Mapping[str, str]) -> list[str]:
        ours = {**access, "listen_addresses": "", "port": str(PORT), "unix_socket_directories": f'"{sockets}"'}
        return [word for name, value in {**self._options, **ours}.items() for word in ("-c", f"{name}={value}")]

    def _why_not_ready(self, pid: int) -> str:
        """Return the reason why this process cannot connect, an empty text when it can."""
        try:
            psycopg.connect(self.conninfo, connect_timeout=2).close()
        except psycopg.OperationalError as error:
            return str(error).strip()
        return "" if find_lock_pid(self._folder.pgdata) == pid else "another server answers"

    def _clear_the_way(self, sockets: Path, waited: float) -> None:
        pgdata = self._folder.pgdata
        orphan = find_orphan(pgdata, self.conninfo)
        if orphan is not None:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.kill(orphan, signal.SIGINT)
        elif waited > WAIT_BEFORE_CLEARING_SECONDS and is_deserted(pgdata):
            for path in find_lock_files(pgdata, sockets):
                path.unlink()

    def _refusal(self, what: str) -> StartRefused:
        return StartRefused(f"Postgres in {self._folder.path} {what}: {self._folder.log.last_words()}.")
