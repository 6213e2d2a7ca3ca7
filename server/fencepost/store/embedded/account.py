"""As whom Postgres runs: as ourselves, or as `nobody` when we are root, because Postgres refuses to be root.

Only Postgres's own folders are given to that account. What lies above them keeps its owner and its permissions: where
a folder above is closed to the account (a home with mode 0700), Postgres is handed the folder itself as an open
descriptor, and not a path through it.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fencepost.errors import StartRefused

if sys.platform != "win32":
    import pwd


@dataclass(frozen=True, slots=True)
class Account:
    """The user and the group of the Postgres processes."""

    uid: int
    gid: int

    @property
    def is_foreign(self) -> bool:
        """Whether it is another account than our own."""
        return self.uid != os.geteuid()

    def own(self, path: Path) -> None:
        """Give `path` to the account; a symbolic link itself, never what it points to."""
        if self.is_foreign:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def own_tree(self, root: Path) -> None:
        """Give `root` and all that is in it to the account; `root` last, for its owner says that this was completed."""
        for path in (*root.rglob("*"), root):
            self.own(path)


def account_for(pgdata: Path) -> Account:
    """Return the account that Postgres runs as in `pgdata`, which need not exist.

    For root that is the folder's owner, so that a folder first used by an ordinary user stays usable by that user.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if pgdata.exists() and pgdata.stat().st_uid != 0:
        return Account(pgdata.stat().st_uid, pgdata.stat().st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise StartRefused(
            "Postgres refuses to run as root and this system has no user nobody to run it as; "
            "start Fencepost as an ordinary user."
        ) from None
    return Account(nobody.pw_uid, nobody.pw_gid)


def find_blocker(account: Account, path: Path) -> Path | None:
    """Return the outermost folder above `path` that the account may not enter, if there is one."""
    if not account.is_foreign:
        return None
    return next((folder for folder in reversed(path.resolve().parents) if not _may_enter(account, folder)), None)


def _may_enter(account: Account, folder: Path) -> bool:
    status = folder.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


@contextmanager
def reachable(account: Account, folder: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield a path by which the account reaches its `folder`, and the descriptors that a child must inherit for it."""
    blocker = find_blocker(account, folder)
    if blocker is None:
        yield str(folder), ()
        return
    if sys.platform != "linux":
        raise StartRefused(
            f"Postgres runs as another user because Fencepost was started as root, and that user may not enter "
            f"{blocker}; choose another folder with --data-dir."
        )
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}", (descriptor,)
    finally:
        os.close(descriptor)
