"""The actions of a decision, for deciders inside and outside of this server.

A decider is a function `decide(workflow, event) -> actions`. It gets facts: its workflow, the event, and on request the
activities of the workflow and their ends. It may get the same event twice, when its first answer was lost with its
process. Labels make the second answer idempotent: a label that is in use with the same content starts nothing.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from typing import Annotated

import msgspec
import orjson
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.domain.definition import Name
from fencepost.domain.payload import canonical
from fencepost.domain.task_overrides import TaskOverrides
from fencepost.domain.times import utc_text
from fencepost.domain.validation import refusal_of_struct
from fencepost.errors import INVALID_ACTION, Refusal, join_fields

MOST_ACTIONS = 1000
Label = Annotated[str, Meta(min_length=1, max_length=200)]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """Request for a task or workflow of `definition`; the label is unique within the workflow."""

    definition: Name
    label: Label | None = None
    params: Raw | UnsetType = UNSET
    execute_at: str | None = None
    settings: TaskOverrides | UnsetType = UNSET


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", tag_field="action", kw_only=True):
    """One of the actions below."""


class ScheduleTask(Action, frozen=True, forbid_unknown_fields=True, tag="awf.workflow.action/schedule-task"):
    """Begin a task."""

    task_request: Request


class ScheduleWorkflow(Action, frozen=True, forbid_unknown_fields=True, tag="awf.workflow.action/schedule-workflow"):
    """Begin a child workflow. `task-request` is accepted too, since the vendor's clients send it."""

    task_request: Request | None = None
    workflow_request: Request | None = None


class DoNothing(Action, frozen=True, forbid_unknown_fields=True, tag="awf.workflow.action/do-nothing"):
    """Wait for the next event."""


class CompleteWorkflow(Action, frozen=True, forbid_unknown_fields=True, tag="awf.workflow.action/complete-workflow"):
    """Complete the workflow, and cancel its live tasks and children."""

    result: Raw | UnsetType = UNSET


class Fail(Action, frozen=True, forbid_unknown_fields=True, tag="awf.workflow.action/fail"):
    """Fail the workflow, and cancel its live tasks and children."""

    error: Raw | UnsetType = UNSET


class UnknownError(Action, frozen=True, forbid_unknown_fields=True, tag="awf.workflow.action/unknown-error"):
    """Fail the workflow for a reason that its decider does not know."""

    error: Raw | UnsetType = UNSET


AnyAction = ScheduleTask | ScheduleWorkflow | DoNothing | CompleteWorkflow | Fail | UnknownError
Ending = CompleteWorkflow | Fail | UnknownError


def read_actions(text: bytes | None) -> Sequence[AnyAction]:
    """Return the actions of a decision's result: one action or an array; raise Refusal (`invalid-action`)."""
    several = text is not None and text.lstrip()[:1] == b"["
    try:
        actions = _several.decode(text) if several and text else [_one.decode(text or b"null")]
    except msgspec.ValidationError as error:
        fault = refusal_of_struct(str(error), AnyAction)
        raise invalid_action(fault.message, fault.field or "") from None
    if len(actions) > MOST_ACTIONS:
        raise invalid_action(f"{len(actions)} actions; a decision has at most {MOST_ACTIONS}")
    for number, action in enumerate(actions[:-1]):
        if isinstance(action, Ending):
            raise invalid_action("no action can follow the one that ends the workflow", f"[{number + 1}]")
    return actions


def invalid_action(reason: str, field: str = "") -> Refusal:
    """Return the refusal of a decision; `field` is one of its result."""
    return Refusal(INVALID_ACTION, field=join_fields("result", field), reason=reason)


def request_of(action: ScheduleTask | ScheduleWorkflow) -> tuple[str, Request]:
    """Return the request of an action, after the name of its member; raise Refusal (`invalid-action`)."""
    match action:
        case ScheduleTask(task_request=request):
            return "task-request", request
        case ScheduleWorkflow(task_request=None, workflow_request=Request() as request):
            return "workflow-request", request
        case ScheduleWorkflow(task_request=Request() as request, workflow_request=None):
            return "task-request", request
    raise invalid_action("either 'task-request' or 'workflow-request' is needed")


def digest_of(
    *, is_workflow: bool, definition: str, params: bytes | None, execute_at: str | None, settings: bytes | None = None
) -> str:
    """Return the hash of a request, as the text of a UUID; requests with the same content have equal hashes."""
    parsed = None if params is None else orjson.loads(params)
    asked = [is_workflow, definition, parsed, None if execute_at is None else utc_text(execute_at)]
    said = canonical(asked if settings is None else [*asked, orjson.loads(settings)])
    return str(uuid.UUID(bytes=hashlib.blake2b(said, digest_size=16).digest()))


_one: msgspec.json.Decoder[AnyAction] = msgspec.json.Decoder(AnyAction)
_several: msgspec.json.Decoder[list[AnyAction]] = msgspec.json.Decoder(list[AnyAction])
