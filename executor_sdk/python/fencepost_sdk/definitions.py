"""The settings of `@worker.task` and `@worker.workflow`, and the definitions made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, TypedDict

from fencepost_sdk.payloads import schema

Schema = Mapping[str, Any] | type


class Settings(TypedDict, total=False):
    """The settings of `@worker.task`; see `Worker.task`."""

    requested_to_start_timeout: timedelta
    in_progress_timeout: timedelta
    allowed_retry_count: int
    retry_delay: timedelta
    attempt_timeout: timedelta
    concurrency_limit: int
    concurrency_path: Sequence[str | int]
    params: Schema
    result: Schema
    error: Schema


class WorkflowSettings(TypedDict, total=False):
    """The settings of `@worker.workflow`: those of its decision tasks, and the schemas of its payloads."""

    requested_to_start_timeout: timedelta
    in_progress_timeout: timedelta
    allowed_retry_count: int
    retry_delay: timedelta
    attempt_timeout: timedelta
    params: Schema
    result: Schema
    error: Schema


class OwnSettings(TypedDict, total=False):
    """The `settings` of `Client.create`, which override those of the definition for one task."""

    requested_to_start_timeout: timedelta
    in_progress_timeout: timedelta
    allowed_retry_count: int
    retry_delay: timedelta
    attempt_timeout: timedelta
    expires_after: timedelta


WIRE = {
    "requested_to_start_timeout": "requestedToStartTimeout",
    "in_progress_timeout": "inProgressTimeout",
    "allowed_retry_count": "allowedRetryCount",
    "retry_delay": "retryDelay",
    "attempt_timeout": "attemptTimeout",
    "concurrency_limit": "concurrencyLimit",
    "concurrency_path": "concurrencyPath",
}


OWN = {key: WIRE[key] for key in WIRE if not key.startswith("concurrency_")} | {"expires_after": "expiresAfter"}


def own_settings(settings: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the settings of one task in the form of the protocol; raises TypeError for an unknown one.

    Settings with the names of the protocol are passed on unchanged.
    """
    if settings is None:
        return None
    own = {}
    for setting, value in settings.items():
        if setting in OWN:
            own[OWN[setting]] = _wire_value("settings", setting, value)
        elif setting in OWN.values():
            own[setting] = value
        else:
            raise TypeError(f"settings: there is no setting {setting!r}; there are {', '.join(OWN)}")
    return own


def task_document(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task definition, with durations in milliseconds and types as JSON Schema; raises TypeError."""
    return _document("task", name, settings, WIRE)


def workflow_document(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a workflow definition, like `task_document`; workflows have no concurrency limit."""
    return _document("workflow", name, settings, {key: WIRE[key] for key in WIRE if not key.startswith("concurrency_")})


def _document(kind: str, name: str, settings: Mapping[str, Any], wire: Mapping[str, str]) -> dict[str, Any]:
    document: dict[str, Any] = {"kind": kind, "name": name}
    for setting, value in settings.items():
        if setting in ("params", "result", "error"):
            document[setting] = value if isinstance(value, Mapping) else schema(value)
        elif setting not in wire:
            raise TypeError(f"{name}: there is no setting {setting!r}; there are {', '.join([*wire, 'params'])}…")
        else:
            document[wire[setting]] = _wire_value(name, setting, value)
    return document


def _wire_value(name: str, setting: str, value: Any) -> Any:
    if setting in ("allowed_retry_count", "concurrency_limit"):
        return value
    if setting == "concurrency_path":
        if isinstance(value, str):
            raise TypeError(f"{name}: {setting} is a list such as ['params', 'customer'], not {value!r}")
        return list(value)
    if not isinstance(value, timedelta):
        raise TypeError(f"{name}: {setting} is a timedelta, such as timedelta(minutes=2), not {value!r}")
    return round(value / timedelta(milliseconds=1))
