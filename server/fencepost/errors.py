"""Every expected failure, by name.

    StartRefused        the server or a command cannot start: one sentence for the operator, exit status 2
    Refusal             a call is refused: one of the kinds below, or of a vocabulary's (vocabularies/*/errors.py)
        BadText         its text is not JSON or YAML that can be stored (notation/text.py)

Any other exception is a bug and is answered as `internal-error`. docs/errors.md has a row for each kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple


class StartRefused(Exception):
    """The process cannot start; the message is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of refusal: its `type` on the wire, the HTTP status of a single call, and a message template."""

    type: str
    status: int
    template: str


INVALID_REQUEST = Kind("invalid-request", 400, "{reason}")
INVALID_PARAMS = Kind("invalid-params", 400, "{reason}")
UNAUTHENTICATED = Kind("unauthenticated", 401, "{reason}")
OTHER_SITE = Kind("other-site", 403, "{reason}")
NOT_FOUND = Kind("not-found", 404, "there is nothing at {path}")
METHOD_NOT_FOUND = Kind("method-not-found", 404, "there is no method {name!r}{hint}")
DEFINITION_NOT_FOUND = Kind("definition-not-found", 404, "there is no definition {name!r}{hint}")
TASK_NOT_FOUND = Kind("task-not-found", 404, "there is no task {id!r}")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "{path} takes {allowed}")
NOT_ACCEPTABLE = Kind("not-acceptable", 406, "cannot answer in {accept!r}; ask for application/json or text/yaml")
EXEC_ID_MISMATCH = Kind("exec-id-mismatch", 409, "task {id!r} is no longer held under execId {exec_id}")
ALREADY_ENDED = Kind(
    "already-exists", 409, "a task {id!r} has ended; its id is free ten minutes after that, since the task was not kept"
)
ALREADY_EXISTS = Kind("already-exists", 409, "a task {id!r} with other content exists")
REQUEST_ID_ENDED = Kind("request-id-reused", 409, "tasks of requestId {request_id!r} have ended and are not kept")
REQUEST_ID_REUSED = Kind("request-id-reused", 409, "requestId {request_id!r} was used with other params")
FINISHED_OTHERWISE = Kind("task-has-been-done", 409, "task {id!r} is done already: {outcome}")
REQUEST_TIMEOUT = Kind("request-timeout", 408, "the request did not arrive within {seconds:g} seconds")
PAYLOAD_TOO_LARGE = Kind("payload-too-large", 413, "the body is larger than {limit} bytes")
UNSUPPORTED_MEDIA_TYPE = Kind("unsupported-media-type", 415, "cannot read {content_type!r}; {hint}")
HEAD_TOO_LARGE = Kind("head-too-large", 431, "the head of the request is larger than {limit} bytes")
TASK_HAS_BEEN_DONE = Kind("task-has-been-done", 422, "task {id!r} is done already: {outcome}")
TASK_NOT_DONE = Kind("task-not-done", 422, "task {id!r} is {status}; only a done task can be retried")
TASK_NOT_REQUESTED = Kind("task-not-requested", 422, "task {id!r} is {status}, not requested")
TASK_NOT_IN_PROGRESS = Kind("task-not-in-progress", 422, "task {id!r} is {status}, not in-progress")
TASK_HAS_A_LIMIT = Kind("task-has-a-limit", 422, "{definition!r} has a limit: only a poll can start task {id!r}")
DEFINITION_IN_USE = Kind("definition-in-use", 422, "definition {name!r} has {live} live tasks or workflows")
DEFINITION_OF_OTHER_KIND = Kind(
    "definition-of-other-kind", 422, "{name!r} was declared as a {declared}, and cannot change its kind"
)
INVALID_ACTION = Kind("invalid-action", 422, "{reason}")
WORKFLOW_NOT_FOUND = Kind("workflow-not-found", 404, "there is no workflow {id!r}")
WORKFLOW_EXISTS = Kind("already-exists", 409, "a workflow {id!r} with other content exists")
KEY_TAKEN = Kind(
    "workflow-key-taken", 409, "workflow {id!r} is live and has the key {key!r}; only one live workflow may have it"
)
SIGNAL_REUSED = Kind("already-exists", 409, "workflow {id!r} has another signal with the id {signal_id!r}")
EVENT_EXISTS = Kind("already-exists", 409, "an event {id!r} with other content exists")
WORKFLOW_HAS_BEEN_DONE = Kind("workflow-has-been-done", 422, "workflow {id!r} is done already: {outcome}")
TASK_IS_A_DECISION = Kind(
    "task-is-a-decision", 422, "task {id!r} is a decision of workflow {workflow!r}; cancel the workflow"
)
RUN_SQL_OFF = Kind("run-sql-off", 422, "SQL is switched off: the server has no --run-sql-url")
RUN_SQL_UNSAFE = Kind("run-sql-unsafe", 422, "--run-sql-url must be for a role that only reads: {reason}")
SQL_FAILED = Kind("sql-failed", 422, "{reason}")
TOO_MANY_ROWS = Kind("too-many-rows", 422, "the result has more than {limit}")
ANSWER_FULL = Kind(
    "answer-full", 422, "the answers of the array have {limit} bytes; this call was not run: send it in another array"
)
SCHEDULE_NOT_FOUND = Kind("schedule-not-found", 404, "there is no schedule {name!r}{hint}")
DEFINITION_EXISTS = Kind("already-exists", 409, "a definition {name!r} already exists")
INTERNAL_ERROR = Kind("internal-error", 500, "this is a bug in the server; its log has it under {reference}")
READ_TOO_LONG = Kind("read-too-long", 422, "this read took longer than {seconds} s; narrow it with a filter")
UNAVAILABLE = Kind("unavailable", 503, "{reason}")

# The first characters of a field that follows another field without a dot; empty for the value itself.
_NO_DOT_BEFORE = ("", ".", "[")


class Verbatim(str):
    """A field that `path_of` returns unchanged, such as the name of a parameter in the query of a URL."""

    __slots__ = ()


class FieldError(NamedTuple):
    """One of several faults of a value."""

    field: str
    message: str


class Refusal(Exception):
    """A refused call: its kind, a message, the field at fault, and further faults.

    A field is relative to the value that was checked, such as `name` and `stages[2].options`; it is empty for the value
    itself. It is None if no field is at fault. The edge converts fields to JSON paths.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        field: str | None = None,
        errors: list[FieldError] | None = None,
        retry_after: int | None = None,
        allow: str | None = None,
        **details: Any,
    ) -> None:
        self.kind = kind
        self.message = kind.template.format(**details)
        self.field = field
        self.errors = errors
        self.retry_after = retry_after
        self.allow = allow
        super().__init__(self.message)

    def about(self, field: str) -> Refusal:
        """Return this refusal with another field, without further faults."""
        return self._located(field, None)

    def within(self, outer: str) -> Refusal:
        """Return this refusal for a value that has the checked value in its field `outer`."""
        errors = self.errors and [error._replace(field=join_fields(outer, error.field)) for error in self.errors]
        return self._located(join_fields(outer, self.field or ""), errors)

    def renamed(self, old: str, new: str) -> Refusal:
        """Return this refusal for a value that has the field `old`, and all fields in it, under the name `new`."""
        errors = self.errors and [error._replace(field=_renamed(error.field, old, new)) for error in self.errors]
        return self._located(None if self.field is None else _renamed(self.field, old, new), errors)

    def _located(self, field: str | None, errors: list[FieldError] | None) -> Refusal:
        """Return a copy: several calls may share one refusal."""
        copy = type(self).__new__(type(self), self.message)
        vars(copy).update(vars(self), field=field, errors=errors)
        return copy


def invalid_params(reason: str, field: str | None = None, errors: list[FieldError] | None = None) -> Refusal:
    """Return a refusal of kind `invalid-params`."""
    return Refusal(INVALID_PARAMS, field=field, errors=errors, reason=reason)


def join_fields(outer: str, inner: str) -> str:
    """Return the field `inner` of the value in the field `outer`; either may be empty."""
    return outer + inner if not outer or inner[:1] in _NO_DOT_BEFORE else f"{outer}.{inner}"


def path_of(field: str, base: str = "$") -> str:
    """Return the JSON path of a field of the value at the JSON path `base`."""
    return str(field) if isinstance(field, Verbatim) else join_fields(base, field)


def field_of(path: str) -> str:
    """Return the field that a JSON path leads to.

    A first name that is empty or begins with `.` or `[` keeps the dot before it; without it, `path_of` would return
    another path.
    """
    steps = path.removeprefix("$")
    return steps[1:] if steps[:1] == "." and steps[1:2] not in _NO_DOT_BEFORE else steps


def _renamed(field: str, old: str, new: str) -> str:
    inner = field.removeprefix(old)
    is_inside = field.startswith(old) and inner[:1] in _NO_DOT_BEFORE
    return join_fields(new, field_of(inner)) if is_inside else field


def kinds_of(module: Mapping[str, object]) -> tuple[Kind, ...]:
    """Return the kinds of refusal among the names of a module, in the order of their declaration."""
    return tuple(value for value in module.values() if isinstance(value, Kind))


def catalogue(*more: Iterable[Kind]) -> tuple[Kind, ...]:
    """Return every kind of refusal, those of the core and `more`, by status and then by declaration."""
    kinds = [*kinds_of(globals()), *chain.from_iterable(more)]
    return tuple(sorted(kinds, key=attrgetter("status")))
