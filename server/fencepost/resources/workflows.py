"""Workflows on the wire: AidboxWorkflow, and the log of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from fencepost.domain.workflow import Step, Workflow
from fencepost.resources.tasks import AidboxTaskLog, LogMeta, OutcomeReason, TaskMeta, WorkflowSubject, reason_of
from fencepost.resources.values import JsonObject, Time, raw


class AidboxWorkflow(
    msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, tag_field="resourceType", tag="AidboxWorkflow"
):
    """A workflow."""

    id: str
    definition: str
    status: Literal["created", "in-progress", "done"]
    requester: JsonObject
    meta: TaskMeta
    definition_version: int = msgspec.field(name="definition-version")
    label: str | None = None
    params: JsonObject | UnsetType = UNSET
    outcome: Literal["succeeded", "failed", "canceled"] | None = None
    outcome_reason: OutcomeReason | None = None
    result: JsonObject | UnsetType = UNSET
    error: JsonObject | UnsetType = UNSET
    execute_at: Time | None = None


def workflow_resource(workflow: Workflow) -> AidboxWorkflow:
    """Convert a workflow for the wire."""
    return AidboxWorkflow(
        id=workflow.id,
        definition=workflow.definition,
        definition_version=workflow.definition_version,
        status=workflow.status,  # type: ignore[arg-type]  # a view in the database ensures it
        label=workflow.label,
        params=raw(workflow.params),
        requester=Raw(workflow.requester),
        meta=TaskMeta(workflow.created_at, workflow.updated_at, str(workflow.version)),
        outcome=workflow.outcome,  # type: ignore[arg-type]  # a check in the database ensures it
        outcome_reason=reason_of(workflow.reason_type, workflow.reason_message),
        result=raw(workflow.result),
        error=raw(workflow.error),
        execute_at=workflow.execute_at,
    )


def workflow_log(workflow: Workflow, steps: Sequence[Step]) -> list[AidboxTaskLog]:
    """Convert the log of a workflow, oldest first; its activities and decisions are tasks with logs of their own."""
    ended = steps[-1].status == "done"
    reason = reason_of(workflow.reason_type, workflow.reason_message)
    return [
        AidboxTaskLog(
            id=f"{workflow.id}.{version}",
            subject=WorkflowSubject(workflow.id),
            action=step.action,
            caller=step.caller,
            status_before=before,
            status_after=step.status,
            outcome=workflow.outcome if ended and step is steps[-1] else None,
            outcome_reason=reason if ended and step is steps[-1] else None,
            execute_at=workflow.execute_at if version == 1 else None,
            version_id=str(version),
            meta=LogMeta(step.at),
        )
        for version, (before, step) in enumerate(zip((None, *(one.status for one in steps)), steps, strict=False), 1)
    ]
