"""Workflows of a client: their structs, and the requests about them (see requests.py)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct

from fencepost_sdk.errors import RpcError, WorkflowCanceled, WorkflowFailed
from fencepost_sdk.payloads import encode
from fencepost_sdk.protocol import Meta, Task
from fencepost_sdk.requests import Request, call, create_params, wait_for_outcome

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
    """A snapshot of a workflow, as the server returned it; `status` is `created`, `in-progress` or `done`.

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
    """The answer of `Client.workflow`: the workflow and, on request, its activities and its decisions, in order.

    status = client.workflow("order-1815", include_activities=True)
    print([(activity.label, activity.outcome) for activity in status.activities or []])
    """

    workflow: Workflow
    activities: list[Task | Workflow] | None = None
    decisions: list[Task] | None = None


class WorkflowPage(Struct, rename={"workflows": "resources"}):
    """One page of a list of workflows. `next` is the `after` of the following page, None on the last page.

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
) -> Request[Workflow]:
    """Start a workflow. Without an `id` the client makes one up, so that a repetition starts no second workflow."""
    request = create_params(definition, params, id=id, label=label, execute_at=execute_at)
    return (yield from call(CREATE, request, _Resource, patience)).resource


def status(id: str, *, activities: bool, decisions: bool, patience: float) -> Request[WorkflowStatus]:
    """Return the status of a workflow, with the activities and decisions of all pages."""
    params: dict[str, Any] = {"id": id, "include-activities?": activities, "include-decisions?": decisions}
    first = yield from call(STATUS, params, _Status, patience)
    activities_found, decisions_found = first.activities, first.decisions
    page = first
    while page.activities_next or page.decisions_next:
        following = {"id": id, "include-activities?": bool(page.activities_next)}
        following |= {"include-decisions?": bool(page.decisions_next)}
        if page.activities_next:
            following["activities-after"] = page.activities_next
        if page.decisions_next:
            following["decisions-after"] = page.decisions_next
        page = yield from call(STATUS, following, _Status, patience)
        if page.activities is not None:
            activities_found = [*(activities_found or ()), *page.activities]
        if page.decisions is not None:
            decisions_found = [*(decisions_found or ()), *page.decisions]
    decoded = None if activities_found is None else [_activity(one) for one in activities_found]
    return WorkflowStatus(first.resource, decoded, decisions_found)


def signal(id: str, name: str, payload: Any, *, signal_id: str | None, patience: float) -> Request[Workflow]:
    """Signal a workflow. Without a `signal_id` the client makes one up, so that a repetition is delivered once."""
    params: dict[str, Any] = {"id": id, "name": name, "signal-id": signal_id or str(uuid.uuid4())}
    if payload is not None:
        params["payload"] = Raw(encode(payload, "$.payload"))
    return (yield from call("awf.workflow/signal", params, _Resource, patience)).resource


def cancel(id: str, patience: float) -> Request[Workflow]:
    """Cancel a workflow; succeeds when an earlier attempt of this call, with a lost reply, has canceled it."""
    try:
        return (yield from call("awf.workflow/cancel", {"id": id}, _Resource, patience)).resource
    except RpcError as error:
        if error.repeated:
            workflow = (yield from call(STATUS, {"id": id}, _Resource, patience)).resource
            if workflow.outcome == "canceled":
                return workflow
        raise


def list_page(params: Mapping[str, Any], patience: float) -> Request[WorkflowPage]:
    """Return one page of workflows."""
    return (yield from call("awf.workflow/list", params, WorkflowPage, patience))


def result(id: str, timeout: float | None, patience: float) -> Request[Any]:
    """Wait until a workflow is done, and return its result."""
    workflow = yield from wait_for_outcome("workflow", id, _Resource, timeout, patience)
    match workflow.outcome:
        case "failed":
            raise WorkflowFailed(workflow.error, reason=workflow.outcome_reason)
        case "canceled":
            raise WorkflowCanceled(f"workflow {id} was canceled")
    return workflow.result


def _activity(text: Raw) -> Task | Workflow:
    is_workflow = msgspec.json.decode(text, type=_Kind).kind == "AidboxWorkflow"
    return msgspec.json.decode(text, type=Workflow) if is_workflow else msgspec.json.decode(text, type=Task)
