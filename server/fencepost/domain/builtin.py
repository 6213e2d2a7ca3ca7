"""The built-in definitions: tasks that the server executes itself, and timers, which run without a worker."""

from __future__ import annotations

import msgspec

from fencepost.domain.definition import TaskDefinition
from fencepost.domain.limits import LONGEST_MS
from fencepost.domain.matching import Rule, index_key_of, read_rules
from fencepost.domain.query import MOST_CHARACTERS
from fencepost.domain.times import time_text
from fencepost.domain.validation import refusal_of_struct
from fencepost.errors import Refusal, invalid_params

# The caller in the log for tasks that the server executes, and for changes that it makes by itself.
ENGINE = "awf.engine"

WAIT = "awf.task/wait"
SUBSCRIBE = "awf.task/subscribe"
# The definition of every decision task on the wire.
DECISION = "awf.workflow/decision-task"
# Tasks that run without a worker from their creation.
TIMERS = (WAIT, SUBSCRIBE)
RUN_RPC = "aidbox.task/run-rpc"
RUN_SQL = "aidbox.task/run-sql"
CLEAN_UP = "awf.task/clean-up-activities"
# Replaces an activity that cannot start: the task fails with the reason.
REFUSED = "awf.task/refused"

_NUMBER = {"type": "number", "minimum": 0, "maximum": LONGEST_MS / 1000}
# JSON Schema applies `maxLength` to strings only, and the other two limits to numbers only.
_STEP = {"type": ["string", "integer"], "maxLength": 200, "minimum": 0, "maximum": 2**31 - 1}
_RULE = {
    "type": "object",
    "required": ["get-in", "comparator", "value"],
    "additionalProperties": False,
    "properties": {
        "get-in": {"type": "array", "minItems": 1, "maxItems": 32, "items": _STEP},
        "comparator": {"enum": ["eq", "gt", "lt", "ge", "le"]},
        "value": {"type": ["string", "number", "boolean", "null"]},
    },
}
_NAMES = {"type": "array", "minItems": 1, "maxItems": 1000, "items": {"type": "string"}}
_CLEANING_RULE = {
    "type": "object",
    "required": ["retentionPolicy"],
    "additionalProperties": False,
    "properties": {
        "retentionPolicy": {
            "type": "object",
            "required": ["unit", "value"],
            "additionalProperties": False,
            "properties": {
                "unit": {"enum": ["minute", "hour", "day", "week", "month", "year"]},
                "value": {"type": "integer", "minimum": 0, "maximum": 1_000_000},
            },
        },
        "includeDefinitions": _NAMES,
        "excludeDefinitions": _NAMES,
    },
    "not": {"required": ["includeDefinitions", "excludeDefinitions"]},
}
BUILT_IN = (
    TaskDefinition(
        name=WAIT,
        allowed_retry_count=0,
        params={
            "type": "object",
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
            "properties": {
                "duration": {
                    "type": "object",
                    "additionalProperties": False,
                    "minProperties": 1,
                    "properties": {"hours": _NUMBER, "minutes": _NUMBER, "seconds": _NUMBER},
                },
                "until": {"type": "string"},
            },
        },
    ),
    TaskDefinition(
        name=SUBSCRIBE,
        in_progress_timeout=LONGEST_MS,
        allowed_retry_count=0,
        params={
            "type": "object",
            "required": ["select-by"],
            "additionalProperties": False,
            "properties": {"select-by": {"type": "array", "minItems": 1, "maxItems": 32, "items": _RULE}},
        },
    ),
    TaskDefinition(
        name=RUN_RPC,
        # A refused call would be refused again. If a server died in the middle, the call may have been done.
        allowed_retry_count=0,
        params={
            "type": "object",
            "required": ["method"],
            "additionalProperties": False,
            "properties": {
                "method": {"type": "string", "minLength": 1, "maxLength": 200},
                "params": {"type": "object"},
            },
        },
    ),
    TaskDefinition(
        name=RUN_SQL,
        allowed_retry_count=0,
        params={
            "type": "object",
            "required": ["sql"],
            "additionalProperties": False,
            "properties": {
                "sql": {
                    "type": ["string", "array"],
                    "minLength": 1,
                    "maxLength": MOST_CHARACTERS,
                    "minItems": 1,
                    "maxItems": 1001,
                    "prefixItems": [{"type": "string", "minLength": 1, "maxLength": MOST_CHARACTERS}],
                }
            },
        },
    ),
    TaskDefinition(
        name=CLEAN_UP,
        params={
            "type": "object",
            "required": ["rules"],
            "additionalProperties": False,
            "properties": {"rules": {"type": "array", "minItems": 1, "maxItems": 100, "items": _CLEANING_RULE}},
        },
    ),
    TaskDefinition(
        name=REFUSED,
        allowed_retry_count=0,
        params={
            "type": "object",
            "required": ["reason"],
            "additionalProperties": False,
            "properties": {"reason": {"type": "string"}, "path": {"type": "string"}},
        },
    ),
)


class _Duration(msgspec.Struct, frozen=True):
    hours: float = 0
    minutes: float = 0
    seconds: float = 0


class _Wait(msgspec.Struct, frozen=True):
    duration: _Duration | None = None
    until: str | None = None


class Timer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The end of a task without a worker: at `until` (ISO-8601 with a zone), or after `milliseconds`.

    A subscription has the index key by which events find it.
    """

    until: str | None = None
    milliseconds: int | None = None
    subscription_path: str | None = None
    subscription_value: int | None = None

    @property
    def is_subscription(self) -> bool:
        """Whether the task waits for an event."""
        return self.subscription_path is not None


def timer_of(definition: str, params: bytes | None, execute_at: str | None) -> Timer | None:
    """Return the timer of a new task; None for a task that workers execute.

    The params have been checked against the definition. Raises Refusal (`invalid-params`) for an invalid time.
    """
    if definition not in TIMERS:
        return None
    if execute_at is not None:
        raise invalid_params(f"{definition} begins at once; a wait can last `until` a time", "executeAt")
    if definition == SUBSCRIBE:
        return _subscription_timer(params or b"")
    wait = msgspec.json.decode(params or b"{}", type=_Wait)
    if wait.until is not None:
        return Timer(until=time_text(wait.until, "params.until"))
    duration = wait.duration or _Duration()
    milliseconds = round((duration.hours * 3600 + duration.minutes * 60 + duration.seconds) * 1000)
    if milliseconds > LONGEST_MS:
        raise invalid_params("Expected at most ten years", "params.duration")
    return Timer(milliseconds=milliseconds)


def _subscription_timer(params: bytes) -> Timer:
    try:
        path, value = index_key_of(read_rules(params))
    except msgspec.ValidationError as error:
        raise refusal_of_struct(str(error), Rule).within("params") from None
    except Refusal as refusal:
        raise refusal.within("params") from None
    return Timer(milliseconds=LONGEST_MS, subscription_path=path, subscription_value=value)
