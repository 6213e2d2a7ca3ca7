"""The closed list of log events; log lines, metrics and tests subscribe to it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum
from typing import Any

_log = logging.getLogger("fencepost")


class Event(Enum):
    """A log event: a name, a log level, and a message with the event's fields."""

    DATABASE_STARTED = (
        "database-started",
        logging.INFO,
        "Postgres {version} in {folder}, reachable from this host only",
    )
    DATABASE_DIED = ("database-died", logging.ERROR, "the embedded Postgres exited; restarting it")
    DATABASE_LOST = ("database-lost", logging.WARNING, "the database {reason}; calls are answered 503 meanwhile")
    DATABASE_BACK = ("database-back", logging.INFO, "the database answers again after {seconds} s")
    MIGRATED = ("migrated", logging.INFO, "applied {name}")
    DEFINITION_APPLIED = ("definition-applied", logging.INFO, "{name} is at version {version}")
    LISTENING = ("listening", logging.INFO, "listening for notifications of other servers")
    GRPC_LISTENING = ("grpc-listening", logging.INFO, "gRPC listening on {host}:{port}")
    MACHINE_STUCK = (
        "machine-stuck",
        logging.WARNING,
        "worker {worker!r} keeps reporting {action!r} of ended workflow {workflow!r} as running; restart it",
    )
    LISTENER_LOST = ("listener-lost", logging.WARNING, "cannot listen for notifications: {reason}; retrying")
    REAPED = ("reaped", logging.DEBUG, "reaped {count} tasks")
    SCHEDULED = ("scheduled", logging.DEBUG, "started {started} scheduled runs, skipped {skipped}")
    SCHEDULE_REFUSED = ("schedule-refused", logging.WARNING, "{name} cannot start its task or workflow: {reason}")
    DEVICES_EXPIRED = ("devices-expired", logging.INFO, "expired {count} silent devices and aborted their tasks")
    PARTITION_MADE = ("partition-made", logging.INFO, "created partition {name} for history until {until}")
    PARTITION_DROPPED = (
        "partition-dropped",
        logging.INFO,
        "dropped partition {name}, which was older than the retention",
    )
    PARTITIONS_DELAYED = ("partitions-delayed", logging.WARNING, "cannot change partitions: {reason}; retrying")
    HISTORY_DELETED = ("history-deleted", logging.INFO, "deleted {count} old rows outside of partitions")
    LOOP_DELAYED = ("loop-delayed", logging.WARNING, "{loop} cannot continue: {reason}; retrying")
    LOOP_FAILED = ("loop-failed", logging.ERROR, "{loop} failed; continuing")
    CALL_FAILED = ("call-failed", logging.ERROR, "{method} failed with a bug, reference {reference}")
    WORKER_DIED = ("worker-died", logging.ERROR, "worker {pid} ended with status {status}; starting another")
    LOGIN_FAILED = ("login-failed", logging.WARNING, "{count} calls from {address} with wrong credentials: {reason}")
    DRAINING = ("draining", logging.INFO, "draining: no more polls, finishing running calls")

    def __init__(self, label: str, level: int, sentence: str) -> None:
        self.label = label
        self.level = level
        self.sentence = sentence


Listener = Callable[[Event, dict[str, Any]], None]
listeners: list[Listener] = []


def emit(event: Event, *, error: BaseException | None = None, **fields: Any) -> None:
    """Emit an event to all listeners; `error` adds its traceback to the log line."""
    _log.log(event.level, "%s: %s", event.label, event.sentence.format(**fields), exc_info=error)
    for listener in listeners:
        listener(event, fields)
