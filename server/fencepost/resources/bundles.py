"""Bundles on the wire: pages of a search."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fencepost.resources.tasks import AidboxTask, AidboxTaskLog
from fencepost.resources.workflows import AidboxWorkflow


class BundleLink(msgspec.Struct, frozen=True):
    """The URL of the next page."""

    relation: Literal["next"]
    url: str


class Bundle(msgspec.Struct, frozen=True, kw_only=True, tag_field="resourceType", tag="Bundle"):
    """One page of a search; `link` is present when there are more."""

    type: Literal["searchset"]
    total: (
        Annotated[int, Meta(description="number of results on all pages; absent if counting takes too long")]
        | UnsetType
    ) = UNSET
    link: list[BundleLink] | UnsetType = UNSET


class TaskEntry(msgspec.Struct, frozen=True):
    """A task in a bundle."""

    resource: AidboxTask


class Tasks(Bundle, frozen=True, kw_only=True):
    """One page of tasks; `link` is present when there are more."""

    entry: list[TaskEntry]


class TaskLogEntry(msgspec.Struct, frozen=True):
    """An entry of a log in a bundle."""

    resource: AidboxTaskLog


class TaskLogs(Bundle, frozen=True, kw_only=True):
    """One page of the log of a task; `link` is present when there are more."""

    entry: list[TaskLogEntry]


class WorkflowEntry(msgspec.Struct, frozen=True):
    """A workflow in a bundle."""

    resource: AidboxWorkflow


class Workflows(Bundle, frozen=True, kw_only=True):
    """One page of workflows; `link` is present when there are more."""

    entry: list[WorkflowEntry]
