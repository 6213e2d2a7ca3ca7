"""Making Postgres's own folder, whole or not at all, and checking that the binaries fit it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from fencepost.errors import StartRefused
from fencepost.store.embedded.account import Account, reachable
from fencepost.store.embedded.binaries import Binaries
from fencepost.store.embedded.folder import DataFolder
from fencepost.store.embedded.postmaster import run_as

BUILTIN_LOCALE_SINCE = 17
UNFINISHED = "pgdata.new-"


def ensure_cluster(folder: DataFolder, binaries: Binaries, account: Account) -> None:
    """Make `pgdata` if it is not there, and refuse one that these binaries cannot open."""
    _sweep(folder)
    if not folder.pgdata.exists() or not any(folder.pgdata.iterdir()):
        _create(folder, binaries, account)
        # Once more: a killed setup's last children may have gone on writing into its folder during the first.
        _sweep(folder)
        return
    _check_version(folder.pgdata, binaries)
    if folder.pgdata.stat().st_uid != account.uid and account.is_foreign:
        account.own_tree(folder.pgdata)  # restored by root from a backup


def made_by(pgdata: Path) -> str | None:
    """Return the major version that made the data, if there are any."""
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
    """Remove what setups that did not get to their end have left."""
    for unfinished in folder.path.glob(f"{UNFINISHED}*"):
        shutil.rmtree(unfinished, ignore_errors=True)


def _create(folder: DataFolder, binaries: Binaries, account: Account) -> None:
    """Run initdb beside the final place and move the result there, synced.

    initdb writes PG_VERSION first, so a folder in which it was cut off looks finished.
    """
    new = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder.path))
    account.own(new)
    output = folder.log.open()
    try:
        with reachable(account, new) as (name, inherited):
            for arguments in (initdb_arguments(binaries.major), ("--sync-only",)):
                command = (binaries.program("initdb"), "-D", name, *arguments)
                if run_as(account, command, output=output, inherited=inherited) != 0:
                    raise StartRefused(f"Postgres could not set up {folder.pgdata}: {folder.log.last_words()}.")
    finally:
        os.close(output)
    new.rename(folder.pgdata)
    _sync(folder.path)


def initdb_arguments(major: int) -> tuple[str, ...]:
    """Return what initdb is told: sorting that no update of the host's libraries can change, where there is one."""
    locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    if major < BUILTIN_LOCALE_SINCE:
        locale = ("--locale-provider=libc", "--locale=C.UTF-8")
    # The socket's folder is private, so who reaches the socket is trusted; nobody comes in over TCP.
    access = ("--username=postgres", "--auth-local=trust", "--auth-host=reject")
    return (*access, *locale, "--encoding=UTF8", "--no-sync")


def _sync(folder: Path) -> None:
    """Make the names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
