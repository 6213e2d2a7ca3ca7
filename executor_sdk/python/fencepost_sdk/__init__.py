"""Fencepost for Python: workers that handle tasks and decide about workflows, and a client that wants them done.

Worker, Context, TaskFailed, LostLease    for who does the work
Facts, Event, Activity, actions    for who decides about workflows; fencepost_sdk.testing tries deciders
Client, AsyncClient, Task, Status, Page, Workflow, WorkflowStatus, WorkflowPage    for who wants it done
TaskCanceled, WorkflowFailed, WorkflowCanceled, RpcError, NotJson, ConnectionFailed, FencepostError    what can go wrong
"""

from fencepost_sdk import actions
from fencepost_sdk.async_client import AsyncClient
from fencepost_sdk.client import Client
from fencepost_sdk.context import Context
from fencepost_sdk.errors import (
    ConnectionFailed,
    FencepostError,
    LostLease,
    NotJson,
    RpcError,
    TaskCanceled,
    TaskFailed,
    WorkflowCanceled,
    WorkflowFailed,
)
from fencepost_sdk.facts import Activity, Event, Facts
from fencepost_sdk.protocol import Page, Status, Task
from fencepost_sdk.worker import Worker
from fencepost_sdk.workflows import Workflow, WorkflowPage, WorkflowStatus

__all__ = [
    "Activity",
    "AsyncClient",
    "Client",
    "ConnectionFailed",
    "Context",
    "Event",
    "Facts",
    "FencepostError",
    "LostLease",
    "NotJson",
    "Page",
    "RpcError",
    "Status",
    "Task",
    "TaskCanceled",
    "TaskFailed",
    "Worker",
    "Workflow",
    "WorkflowCanceled",
    "WorkflowFailed",
    "WorkflowPage",
    "WorkflowStatus",
    "actions",
]
