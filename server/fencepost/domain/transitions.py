"""The states of a task and the ways between them; the same table stands in SQL as a check of `task_log`.

waiting      due later: `executeAt` is ahead, or a retry is
ready        a worker may have it
requested    leased to a worker that has not begun
in-progress  a worker is on it
done         over, with an outcome
"""

from __future__ import annotations

STATUSES = ("waiting", "ready", "requested", "in-progress", "done")
LIVE = STATUSES[:-1]
OUTCOMES = ("succeeded", "failed", "canceled")

TRANSITIONS: frozenset[tuple[str, str]] = frozenset(
    {
        ("waiting", "ready"),
        ("waiting", "done"),
        ("ready", "requested"),
        ("ready", "in-progress"),
        ("ready", "done"),
        ("requested", "ready"),
        ("requested", "in-progress"),
        ("requested", "done"),
        ("in-progress", "ready"),
        ("in-progress", "waiting"),
        ("in-progress", "in-progress"),
        ("in-progress", "done"),
        ("done", "ready"),
        ("done", "done"),
    }
)

# What retention writes when the entries that said where a live task stands have to go. No way leads anywhere by it.
SNAPSHOTS: frozenset[tuple[str, str]] = frozenset((status, status) for status in LIVE)
