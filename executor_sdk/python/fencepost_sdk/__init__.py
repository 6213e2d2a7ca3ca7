"""Fencepost for Python: workers for tasks and workflows, and a client that creates them.

Handlers: Worker, Context, TaskFailed, LostLease
Deciders: Worker, Facts, Event, Activity, actions; fencepost_sdk.testing tests them without a server
Clients: Client, AsyncClient, Task, Status, Page, Workflow, WorkflowStatus, WorkflowPage
Exceptions: RpcError, ConnectionFailed, NotJson, TaskCanceled, WorkflowFailed, WorkflowCanceled, FencepostError
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
