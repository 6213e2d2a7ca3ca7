"""Run as another user: try to reach an embedded Postgres in several ways and print the error of each attempt."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg


def error_of(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except (OSError, psycopg.Error) as error:
        return f"{type(error).__name__}: {error}"
    return ""


uid, pid, pgdata, conninfo = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
os.setgroups([])
os.setgid(uid)
os.setuid(uid)
attempts: dict[str, Callable[[], object]] = {
    "connect": lambda: psycopg.connect(conninfo).close(),
    "read": lambda: (pgdata / "PG_VERSION").read_text(),
    "signal": lambda: os.kill(pid, signal.SIGHUP),
    "trace": lambda: Path(f"/proc/{pid}/environ").read_bytes(),
}
print(json.dumps({name: error_of(attempt) for name, attempt in attempts.items()}))
