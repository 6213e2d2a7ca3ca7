"""Access rules for a Postgres that root runs as another account: only root may connect, checked by the kernel.

The check (`peer`) holds even where another process can reach the socket. The server of an ordinary user needs no rules:
its socket is in a folder that only this user can enter, and rules that the user has written stay in force.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from fencepost.store.embedded.account import Account

if sys.platform != "win32":
    import pwd

ANY_ROLE_SINCE = 16
RULES = "local all all peer map=fencepost\nlocal replication all peer map=fencepost\n"


def access_settings(pgdata: Path, name: str, account: Account, major: int) -> dict[str, str]:
    """Write the rules into `pgdata`, which the server sees as `name`; return the settings that refer to them."""
    if not account.is_unnamed and not account.is_nobody:
        return {}
    role = "all"
    if major < ANY_ROLE_SINCE:
        if account.is_unnamed:
            return {}  # Its socket is in a private folder, and a map cannot say "any role" in this version.
        role = "postgres"
    _write(pgdata, "fencepost_hba.conf", RULES, account)
    _write(pgdata, "fencepost_ident.conf", f'fencepost "{pwd.getpwuid(0).pw_name}" {role}\n', account)
    return {"hba_file": f"{name}/fencepost_hba.conf", "ident_file": f"{name}/fencepost_ident.conf"}


def _write(pgdata: Path, name: str, text: str, account: Account) -> None:
    """Replace a file in a folder with an untrusted owner, without following links."""
    unfinished = f"{name}.{secrets.token_hex(4)}"
    folder = os.open(pgdata, os.O_RDONLY | os.O_DIRECTORY)
    try:
        file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
        with os.fdopen(file, "w") as writer:
            writer.write(text)
            os.fchown(file, account.uid, account.gid)
        os.rename(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        os.close(folder)
