"""Creates the cluster, completely or not at all, and checks that the binaries fit it."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fencepost.errors import StartRefused
from fencepost.store.embedded.account import Account, account_for_setup, find_blocker, reachable
from fencepost.store.embedded.binaries import Binaries
from fencepost.store.embedded.folder import DataFolder
from fencepost.store.embedded.leftovers import stop_servers
from fencepost.store.embedded.postmaster import run_as

BUILTIN_LOCALE_SINCE = 17
UNFINISHED = "pgdata.new-"


def ensure_cluster(folder: DataFolder, binaries: Binaries, account: Account) -> None:
    """Create `pgdata` if it is missing; raise StartRefused when these binaries cannot open it."""
    _sweep(folder)
    if not folder.pgdata.exists() or not any(folder.pgdata.iterdir()):
        _create(folder, binaries, account)
        # A second time: children of a killed setup may have written into its folder during the first sweep.
        _sweep(folder)
        return
    _check_version(folder.pgdata, binaries)
    owner = folder.pgdata.stat().st_uid
    if account.is_foreign and owner != account.uid:
        if owner != 0:
            # Postgres does not detect a live server of another user, and two servers in one folder destroy it.
            stop_servers(folder.pgdata)
        account.own_tree(folder.pgdata)


def made_by(pgdata: Path) -> str | None:
    """Return the major version that created the data, or None without data."""
    try:
        return (pgdata / "PG_VERSION").read_text("ascii").strip()
    except (OSError, ValueError):
        return None


def _check_version(pgdata: Path, binaries: Binaries) -> None:
    try:
        major = (pgdata / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise StartRefused(
            f"{pgdata} holds files but no Postgres data; choose another folder with --data-dir."
        ) from None
    if major != str(binaries.major):
        raise StartRefused(
            f"The data in {pgdata} was made by PostgreSQL {major} and the binaries in {binaries.folder} are "
            f"{binaries.version}; install PostgreSQL {major} as well to open it with that, and to move to "
            f"{binaries.major} copy it with pg_dump and psql or convert it with pg_upgrade."
        )


def _sweep(folder: DataFolder) -> None:
    """Remove the folders of setups that were interrupted."""
    for unfinished in folder.path.glob(f"{UNFINISHED}*"):
        shutil.rmtree(unfinished, ignore_errors=True)


def _create(folder: DataFolder, binaries: Binaries, account: Account) -> None:
    """Run initdb in a folder beside the final one, sync the result and move it into place.

    initdb writes PG_VERSION first, so an interrupted cluster looks complete. The outer folder is private, so that other
    processes of the setup's account cannot reach it; Postgres gets the inner one.
    """
    outer = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder.path))
    if account.is_foreign and sys.platform != "linux":
        outer.chmod(0o711)
    new = outer / "pgdata"
    new.mkdir(mode=0o700)
    setup = account_for_setup(account)
    setup.own(new)
    with _programs_open_to(setup, account, binaries):
        _initdb(folder, binaries, setup, new, initdb_arguments(binaries.major))
    if setup != account:
        account.own_tree(new)
    _initdb(folder, binaries, account, new, ("--sync-only",))
    new.rename(folder.pgdata)
    _sync(folder.path)
    outer.rmdir()


@contextmanager
def _programs_open_to(setup: Account, account: Account, binaries: Binaries) -> Iterator[None]:
    """Open the private folder of the copied programs to the account's group, which only the setup shares."""
    blocker = find_blocker(setup, binaries.folder / "initdb")
    if blocker is None or not account.is_unnamed:
        yield
        return
    mode = stat.S_IMODE(blocker.stat().st_mode)
    blocker.chmod(mode | stat.S_IXGRP)
    try:
        yield
    finally:
        blocker.chmod(mode)


def _initdb(folder: DataFolder, binaries: Binaries, account: Account, new: Path, arguments: Sequence[str]) -> None:
    output = folder.log.open()
    try:
        with reachable(account, new) as (name, inherited):
            command = (binaries.program("initdb"), "-D", name, *arguments)
            if run_as(account, command, output=output, inherited=inherited) != 0:
                raise StartRefused(f"Postgres could not set up {folder.pgdata}: {folder.log.last_words()}.")
    finally:
        os.close(output)


def initdb_arguments(major: int) -> tuple[str, ...]:
    """Return the arguments of initdb: a collation that library updates of the host cannot change, if available."""
    locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    if major < BUILTIN_LOCALE_SINCE:
        locale = ("--locale-provider=libc", "--locale=C.UTF-8")
    # The socket's folder is private to the account, and TCP is off. Root's server has rules of its own (access.py).
    access = ("--username=postgres", "--auth-local=trust", "--auth-host=reject")
    return (*access, *locale, "--encoding=UTF8", "--no-sync")


def _sync(folder: Path) -> None:
    """Sync the entries of `folder` to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
