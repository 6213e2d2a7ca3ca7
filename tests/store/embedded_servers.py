"""Processes that own an embedded Postgres, and queries about processes and servers."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fencepost.store.embedded import EmbeddedPostgres

CHILD = Path(__file__).with_name("embedded_child.py")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="is about being root: run the tests as root")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="is about Linux's /proc and prctl")


@dataclass
class Owner:
    """A process that owns an embedded Postgres."""

    process: subprocess.Popen[str]
    owner: int
    pid: int
    conninfo: str

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def child(data_dir: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(CHILD), str(data_dir), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def owner(data_dir: Path, *arguments: str) -> Iterator[Owner]:
    with child(data_dir, *arguments) as process:
        assert process.stdout is not None
        yield Owner(process, **json.loads(process.stdout.readline()))


def ask(conninfo: str, question: str) -> Any:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(question).fetchone()
    assert row is not None
    return row[0]


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def has_ended(server: EmbeddedPostgres) -> bool:
    return not server.alive


def states(pid: int) -> str:
    """Return the states of the threads of a process: T is stopped, Z a zombie."""
    threads = Path(f"/proc/{pid}/task").glob("*/stat")
    return "".join(sorted({thread.read_text().rpartition(")")[2].split()[0] for thread in threads}))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def answers(conninfo: str) -> bool:
    try:
        psycopg.connect(conninfo).close()
    except psycopg.OperationalError:
        return False
    return True
