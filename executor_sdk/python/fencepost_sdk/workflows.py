"""Workflows for who wants them: how the wire has them, and what a client says about them (see conversations.py)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct

from fencepost_sdk.conversations import Conversation, call, settle, wish
from fencepost_sdk.errors import RpcError, WorkflowCanceled, WorkflowFailed
from fencepost_sdk.payloads import encode
from fencepost_sdk.protocol import Meta, Task

CREATE = "awf.workflow/create-and-execute"
STATUS = "awf.workflow/status"


class Workflow(
    Struct,
    kw_only=True,
    tag_field="resourceType",
    tag="AidboxWorkflow",
    rename={
        "execute_at": "executeAt",
        "outcome_reason": "outcomeReason",
        "definition_version": "definition-version",
    },
):
    """A workflow as the server told it; a snapshot, as `Task` is. `status` is `created`, `in-progress` or `done`.

    workflow = client.create_workflow("demo/order", {"width": 640})
    print(workflow.id, workflow.status)
    """

    id: str
    definition: str
    status: str
    label: str | None = None
    params: Any = None
    outcome: str | None = None
    outcome_reason: dict[str, Any] | None = None
    result: Any = None
    error: Any = None
    execute_at: datetime | None = None
    requester: dict[str, Any] | None = None
    definition_version: int | str | None = None
    meta: Meta = msgspec.field(default_factory=Meta)


class WorkflowStatus(Struct):
    """What `Client.workflow` tells: the workflow and, when asked for, what it has begun and its decisions, in order.

    status = client.workflow("order-1815", include_activities=True)
    print([(activity.label, activity.outcome) for activity in status.activities or []])
    """

    workflow: Workflow
    activities: list[Task | Workflow] | None = None
    decisions: list[Task] | None = None


class WorkflowPage(Struct, rename={"workflows": "resources"}):
    """Some workflows of a list, and `next`, the `after` of the following page (None on the last one).

    page = client.list_workflows(status="in-progress", limit=10)
    print([workflow.id for workflow in page], page.next)
    """

    workflows: list[Workflow]
    next: str | None = None

    def __iter__(self) -> Iterator[Workflow]:
        return iter(self.workflows)

    def __len__(self) -> int:
        return len(self.workflows)


class _Resource(Struct):
    resource: Workflow


class _Kind(Struct, rename={"kind": "resourceType"}):
    kind: str


class _Status(Struct, rename="kebab"):
    resource: Workflow
    activities: list[Raw] | None = None
    activities_next: str | None = None
    decisions: list[Task] | None = None
    decisions_next: str | None = None


def create(
    definition: str,
    params: Any,
    *,
    id: str | None,
    label: str | None,
    execute_at: datetime | str | None,
    patience: float,
) -> Conversation[Workflow]:
    """Begin a workflow, under an id of our own if need be, as a task is created."""
    asked = wish(definition, params, id=id, label=label, execute_at=execute_at)
    return (yield from call(CREATE, asked, _Resource, patience)).resource


def status(id: str, *, activities: bool, decisions: bool, patience: float) -> Conversation[WorkflowStatus]:
    """Look at a workflow, with all that it has begun or decided, however many answers that takes."""
    asked: dict[str, Any] = {"id": id, "include-activities?": activities, "include-decisions?": decisions}
    first = yield from call(STATUS, asked, _Status, patience)
    begun, made = first.activities, first.decisions
    page = first
    while page.activities_next or page.decisions_next:
        following = {"id": id, "include-activities?": bool(page.activities_next)}
        following |= {"include-decisions?": bool(page.decisions_next)}
        if page.activities_next:
            following["activities-after"] = page.activities_next
        if page.decisions_next:
            following["decisions-after"] = page.decisions_next
        page = yield from call(STATUS, following, _Status, patience)
        begun = begun if page.activities is None else [*(begun or ()), *page.activities]
        made = made if page.decisions is None else [*(made or ()), *page.decisions]
    return WorkflowStatus(first.resource, None if begun is None else [_activity(one) for one in begun], made)


def signal(id: str, name: str, payload: Any, *, signal_id: str | None, patience: float) -> Conversation[Workflow]:
    """Tell a workflow something, under an id of our own if need be: a repeated one is taken once."""
    asked: dict[str, Any] = {"id": id, "name": name, "signal-id": signal_id or str(uuid.uuid4())}
    if payload is not None:
        asked["payload"] = Raw(encode(payload, "$.payload"))
    return (yield from call("awf.workflow/signal", asked, _Resource, patience)).resource


def cancel(id: str, patience: float) -> Conversation[Workflow]:
    """Cancel a workflow; when our own lost call has done it already, that is a success."""
    try:
        return (yield from call("awf.workflow/cancel", {"id": id}, _Resource, patience)).resource
    except RpcError as error:
        if error.repeated:
            workflow = (yield from call(STATUS, {"id": id}, _Resource, patience)).resource
            if workflow.outcome == "canceled":
                return workflow
        raise


def listing(asked: Mapping[str, Any], patience: float) -> Conversation[WorkflowPage]:
    """List one page of workflows."""
    return (yield from call("awf.workflow/list", asked, WorkflowPage, patience))


def result(id: str, timeout: float | None, patience: float) -> Conversation[Any]:
    """Look at a workflow, more and more seldom, until it is done."""

    def look() -> Conversation[Workflow]:
        return (yield from call(STATUS, {"id": id}, _Resource, patience)).resource

    workflow = yield from settle(look, f"workflow {id}", timeout)
    match workflow.outcome:
        case "failed":
            raise WorkflowFailed(workflow.error, reason=workflow.outcome_reason)
        case "canceled":
            raise WorkflowCanceled(f"workflow {id} was canceled")
    return workflow.result


def _activity(text: Raw) -> Task | Workflow:
    is_workflow = msgspec.json.decode(text, type=_Kind).kind == "AidboxWorkflow"
    return msgspec.json.decode(text, type=Workflow) if is_workflow else msgspec.json.decode(text, type=Task)
