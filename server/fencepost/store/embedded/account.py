"""The account of the Postgres processes: our own, or for root one that no other process has.

Postgres refuses to run as root. Another process of a shared user (`nobody`) could read its files, signal it and connect
to it, so root uses a user id without a name and without a process, which is stored as the owner of `pgdata`. `nobody`
is used for initdb, which needs a name, on systems other than Linux, in namespaces without a free id, and for data with
tablespaces.

Only Postgres's own folders get this owner. Folders above them keep their owner and permissions: where one is closed to
the account (a home with mode 0700), Postgres gets its folder as an open descriptor instead of a path.
"""

from __future__ import annotations

import os
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fencepost.errors import StartRefused
from fencepost.store.embedded.handover import hand_over

if sys.platform != "win32":
    import grp
    import pwd

# Above the ids of useradd and below those of systemd's dynamic users; inside the 65536 ids that containers get.
UNNAMED = range(60578, 61184)
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Account:
    """The user and the group of the Postgres processes."""

    uid: int
    gid: int

    @property
    def is_foreign(self) -> bool:
        """Whether it differs from our own account."""
        return self.uid != os.geteuid()

    @property
    def is_unnamed(self) -> bool:
        """Whether root chose this id because no user and no process has it."""
        return self.is_foreign and self.uid in UNNAMED

    @property
    def is_nobody(self) -> bool:
        """Whether it is a foreign account that other processes may run as too."""
        nobody = _nobody()
        return self.is_foreign and nobody is not None and nobody.uid == self.uid

    def own(self, path: Path) -> None:
        """Give `path` to the account; of a symbolic link the link itself, never its target."""
        if self.is_foreign:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def own_tree(self, root: Path) -> None:
        """Give `root` and its contents to the account; `root` last, since its owner shows that this was completed."""
        if self.is_foreign:
            nobody = _nobody()
            hand_over(root, self.uid, self.gid, former={*UNNAMED, *([nobody.uid] if nobody else [])})


def account_for(pgdata: Path) -> Account:
    """Return the account that Postgres runs as in `pgdata`, which may not exist yet.

    For root this is the owner of the folder, so that a folder of an ordinary user stays usable by that user. A folder
    of root or of `nobody` gets an account of its own.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    nobody = _nobody()
    if pgdata.exists():
        owner = Account(pgdata.stat().st_uid, pgdata.stat().st_gid)
        if owner.uid != 0 and (not owner.is_nobody or _has_links(pgdata)):
            return owner
    account = _find_unnamed(pgdata) or nobody
    if account is None:
        raise _no_nobody()
    return account


def account_for_setup(account: Account) -> Account:
    """Return the account for initdb, which needs a user with a name: `nobody`, in the group of `account`.

    The group keeps other processes of `nobody` from tracing it: the kernel compares both ids.
    """
    if not account.is_foreign or _has_name(account.uid):
        return account
    nobody = _nobody()
    if nobody is None:
        raise _no_nobody()
    return replace(account, uid=nobody.uid)


def _no_nobody() -> StartRefused:
    return StartRefused(
        "Postgres refuses to run as root and this system has no user nobody to run it as; "
        "start Fencepost as an ordinary user."
    )


def _nobody() -> Account | None:
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return None
    return Account(nobody.pw_uid, nobody.pw_gid)


def _has_links(pgdata: Path) -> bool:
    """Return whether some data is elsewhere, in folders that would need the new owner too."""
    spaces = pgdata / "pg_tblspc"
    return (pgdata / "pg_wal").is_symlink() or (spaces.is_dir() and any(path.is_symlink() for path in spaces.iterdir()))


def _find_unnamed(pgdata: Path) -> Account | None:
    """Return an account without a name and without a process, or None when this system has none."""
    if sys.platform != "linux":
        return None
    taken = {status.st_uid for status in _processes()}
    first = zlib.crc32(os.fsencode(pgdata))
    for step in range(len(UNNAMED)):
        id = UNNAMED[(first + step) % len(UNNAMED)]
        if id not in taken and _is_mapped(id) and not _has_name(id):
            return Account(id, id)
    return None


def _processes() -> Iterator[os.stat_result]:
    for process in PROC.iterdir():
        if process.name.isdigit():
            try:
                yield process.stat()
            except (FileNotFoundError, ProcessLookupError):
                continue


def _is_mapped(id: int) -> bool:
    """Return whether the user namespace of this process maps the id, as a user and as a group."""
    for name in ("uid_map", "gid_map"):
        rows = [[int(word) for word in line.split()] for line in (PROC / "self" / name).read_text().splitlines()]
        if not any(inside <= id < inside + count for inside, _, count in rows):
            return False
    return True


def _has_name(id: int) -> bool:
    for lookup in (pwd.getpwuid, grp.getgrgid):
        try:
            lookup(id)
        except KeyError:
            continue
        return True
    return False


def find_blocker(account: Account, path: Path) -> Path | None:
    """Return the outermost folder above `path` that the account may not enter, or None."""
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
    """Yield a path by which the account reaches its `folder`, and the descriptors that a child must inherit."""
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
