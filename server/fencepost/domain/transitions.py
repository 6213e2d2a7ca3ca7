"""The states of a task and the transitions between them; SQL has the same table as a check of `task_log`.

waiting      due later: at its `executeAt`, or for its next attempt
ready        may be leased to a worker
requested    leased to a worker that has not begun
in-progress  a worker executes it
done         finished, with an outcome
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

# Entries that retention writes before it drops the newest log entry of a live task. They change no state.
SNAPSHOTS: frozenset[tuple[str, str]] = frozenset((status, status) for status in LIVE)
