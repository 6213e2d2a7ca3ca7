"""Gives Postgres's folder to another account, while hostile processes of the former owner may still run.

No path and no link is followed: each file is opened in its folder and changed by its descriptor. The folder itself goes
to root first, which shuts out the former owner and marks a hand-over that is interrupted.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Set
from pathlib import Path

from fencepost.errors import StartRefused


def hand_over(root: Path, uid: int, gid: int, *, former: Set[int]) -> None:
    """Give `root` and its contents, except links, to the account; `root` itself last.

    A file with several hard links is refused unless one of the `former` owners owns it: they could have linked a file
    of another user.
    """
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fchown(top, 0, 0)
        for _, folders, files, inside in os.fwalk(".", dir_fd=top, follow_symlinks=False):
            for name in (*folders, *files):
                _give(name, inside, uid, gid, former)
        os.fchown(top, uid, gid)
    finally:
        os.close(top)


def _give(name: str, inside: int, uid: int, gid: int, former: Set[int]) -> None:
    try:
        # O_NONBLOCK: do not wait for a writer if it is a pipe.
        entry = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=inside)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENOENT):  # a link, a socket, gone
            return
        raise
    try:
        status = os.fstat(entry)
        several = status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode)
        if several and status.st_uid != uid and status.st_uid not in former:
            raise StartRefused(
                f"The file {name} in the data of Postgres has a second name elsewhere and belongs to user "
                f"{status.st_uid}; copy the data without hard links."
            )
        os.fchown(entry, uid, gid)
    finally:
        os.close(entry)
