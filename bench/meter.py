"""The cost of a measured interval: CPU from /proc, write-ahead log and commits from Postgres.

The CPU time of a group is that of its processes and their descendants, with all their threads. Running processes have
CPU clocks, in nanoseconds. Ended ones are included through the parent that waited for them, in ticks of 10 ms; a
contestant should therefore keep its processes for the whole run. Commits are the commit records in the write-ahead log,
which waited for the disk; the statistics views lag by up to ten seconds.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

_TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of an interval: its seconds, CPU seconds by group, and the writes of Postgres."""

    seconds: float
    cpu: Mapping[str, float]
    wal_bytes: int
    commits: int


class Meter:
    """Reads groups of processes and one Postgres before and after an interval."""

    def __init__(self, observer: psycopg.Connection[Any], groups: Mapping[str, Iterable[int]]) -> None:
        self._observer = observer
        self._groups = {name: tuple(pids) for name, pids in groups.items()}
        self._lsn = self._insert_lsn()
        self._cpu = self._read()
        self._began = time.perf_counter()

    def stop(self) -> Cost:
        """Return the cost since the creation of the meter."""
        seconds = time.perf_counter() - self._began
        cpu = {name: value - self._cpu[name] for name, value in self._read().items()}
        lsn = self._insert_lsn()
        written = self._scalar("select (%s::pg_lsn - %s::pg_lsn)::int8", lsn, self._lsn)
        return Cost(seconds, cpu, written, self._commits(lsn))

    def _commits(self, lsn: str) -> int:
        if lsn == self._lsn:
            return 0
        commits: int = self._scalar(
            "select coalesce(sum(count), 0)::int8 from pg_get_wal_stats(%s::pg_lsn, %s::pg_lsn, true)"
            """ where "resource_manager/record_type" like 'Transaction/COMMIT%%'""",
            self._lsn,
            lsn,
        )
        return commits

    def _insert_lsn(self) -> str:
        return str(self._scalar("select pg_current_wal_flush_lsn()"))

    def _scalar(self, query: str, *params: object) -> Any:
        row = self._observer.execute(query, params or None).fetchone()
        assert row is not None
        return row[0]

    def _read(self) -> dict[str, float]:
        children = _children()
        return {name: cpu_seconds(pids, children) for name, pids in self._groups.items()}


def cpu_seconds(pids: Iterable[int], children: Mapping[int, list[int]] | None = None) -> float:
    """Return the CPU seconds of processes and their descendants."""
    seconds = 0.0
    for pid in tree(pids, children):
        if fields := _stat(pid):
            ended = sum(map(int, fields[13:15])) * _TICK
            with contextlib.suppress(OSError):
                seconds += ended + time.clock_gettime(_cpu_clock(pid))
    return seconds


def _cpu_clock(pid: int) -> int:
    """Return the id of the CPU clock of a process, as clock_getcpuclockid(3) does; Python has it for threads only."""
    return ~pid << 3 | 2


def tree(pids: Iterable[int], children: Mapping[int, list[int]] | None = None) -> set[int]:
    """Return processes and their descendants."""
    below = _children() if children is None else children
    waiting, found = list(pids), set[int]()
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += below.get(pid, ())
    return found


def rss_bytes(pid: int) -> int:
    """Return the resident memory of one process."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(int(name))):
            children.setdefault(int(fields[1]), []).append(int(name))
    return children


def _stat(pid: int) -> list[str]:
    """Return the fields from the third on, or nothing when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text[text.rindex(")") + 2 :].split()
