"""The closed list of what the server says about itself; log lines, metrics and tests listen to it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum
from typing import Any

_log = logging.getLogger("fencepost")


class Event(Enum):
    """Everything that may be emitted: a name, a log level, and a sentence over the event's fields."""

    DATABASE_STARTED = ("database-started", logging.INFO, "Postgres {version} in {folder}, for this machine only")
    DATABASE_DIED = ("database-died", logging.ERROR, "the server's own Postgres ended; starting it again")
    DATABASE_LOST = ("database-lost", logging.WARNING, "the database {reason}; calls are answered 503 meanwhile")
    DATABASE_BACK = ("database-back", logging.INFO, "the database answers again after {seconds} s")
    MIGRATED = ("migrated", logging.INFO, "applied {name}")
    DEFINITION_APPLIED = ("definition-applied", logging.INFO, "{name} is at version {version}")
    LISTENING = ("listening", logging.INFO, "hearing other servers")
    MACHINES_WELCOME = ("machines-welcome", logging.INFO, "machines may call {host}:{port}")
    MACHINE_STUCK = (
        "machine-stuck",
        logging.WARNING,
        "worker {worker!r} repeats for ever that it begins {action!r} of {workflow!r}, which has ended; restart it",
    )
    LISTENER_LOST = ("listener-lost", logging.WARNING, "cannot hear other servers: {reason}; trying again")
    REAPED = ("reaped", logging.DEBUG, "did {count} things that were due")
    SCHEDULED = ("scheduled", logging.DEBUG, "started {started} due times of schedules and skipped {skipped}")
    SCHEDULE_REFUSED = ("schedule-refused", logging.WARNING, "{name} cannot start what it is for: {reason}")
    DEVICES_LOST = ("devices-lost", logging.INFO, "{count} devices fell silent; what they were at is aborted")
    PARTITION_MADE = ("partition-made", logging.INFO, "{name} takes history until {until}")
    PARTITION_DROPPED = ("partition-dropped", logging.INFO, "{name} was older than the retention")
    PARTITIONS_DELAYED = ("partitions-delayed", logging.WARNING, "partitions stay for now: {reason}; trying again")
    HISTORY_DELETED = ("history-deleted", logging.INFO, "deleted {count} old rows that were in no partition")
    LOOP_DELAYED = ("loop-delayed", logging.WARNING, "{loop} cannot go on: {reason}; trying again")
    LOOP_FAILED = ("loop-failed", logging.ERROR, "{loop} failed and goes on")
    CALL_FAILED = ("call-failed", logging.ERROR, "{method} failed by a bug, reference {reference}")
    WORKER_DIED = ("worker-died", logging.ERROR, "worker {pid} ended with status {status}; starting another")
    LOGIN_FAILED = ("login-failed", logging.WARNING, "{count} calls from {address} with wrong credentials: {reason}")
    DRAINING = ("draining", logging.INFO, "taking no more polls; finishing what runs")

    def __init__(self, label: str, level: int, sentence: str) -> None:
        self.label = label
        self.level = level
        self.sentence = sentence


Listener = Callable[[Event, dict[str, Any]], None]
listeners: list[Listener] = []


def emit(event: Event, *, error: BaseException | None = None, **fields: Any) -> None:
    """Say that something happened; `error` adds its traceback to the log line."""
    _log.log(event.level, "%s: %s", event.label, event.sentence.format(**fields), exc_info=error)
    for listener in listeners:
        listener(event, fields)
