"""The common base of schedules and triggers: a document that starts one task or one workflow."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.actions import Request
from fencepost.domain.definition import Name
from fencepost.errors import invalid_params


class StartDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", dict=True, kw_only=True):
    """A document that starts tasks or workflows."""

    name: Name
    task_request: Annotated[Request, Meta(description="the task to start")] | UnsetType = UNSET
    workflow_request: Annotated[Request, Meta(description="the workflow to start")] | UnsetType = UNSET

    @property
    def request(self) -> Request:
        """The request of the task or workflow that it starts."""
        request = self.task_request or self.workflow_request
        assert request is not UNSET, "checked when it was put"
        return request

    @property
    def request_member(self) -> str:
        """The member that has the request."""
        return "task-request" if self.task_request is not UNSET else "workflow-request"

    @property
    def is_for_workflows(self) -> bool:
        """Whether it starts workflows."""
        return self.task_request is UNSET

    def compile(self) -> None:
        """Raise Refusal (`invalid-params`) unless exactly one request is given."""
        if (self.task_request is UNSET) == (self.workflow_request is UNSET):
            raise invalid_params("exactly one of 'task-request' and 'workflow-request' is needed", "task-request")
