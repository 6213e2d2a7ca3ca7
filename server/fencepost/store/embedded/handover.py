"""Giving Postgres's folder to another account, beside processes of the former owner that may work against it.

Nothing is reached through a path or a link: each file is opened in its folder and given by its descriptor. The folder
itself goes to root first, so that the former owner is shut out and a hand-over that was cut off is seen as such.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Set
from pathlib import Path

from fencepost.errors import StartRefused


def hand_over(root: Path, uid: int, gid: int, *, former: Set[int]) -> None:
    """Give `root` and all that is in it to the account, as far as it is no link; `root` itself last.

    A file with several names is refused unless one of the `former` owners has it: one of them could have put a name of
    somebody else's file there.
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
        # Without waiting for a writer, should it be a pipe.
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
