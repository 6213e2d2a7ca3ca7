"""Fencepost for Python: workers that handle tasks, and a client that creates them and waits for them.

Worker, Context, TaskFailed, LostLease    for who does the work
Client, AsyncClient, Task, Status, Page    for who wants it done
TaskCanceled, RpcError, ConnectionFailed, FencepostError    what can go wrong
"""

from fencepost_sdk.async_client import AsyncClient
from fencepost_sdk.client import Client
from fencepost_sdk.context import Context
from fencepost_sdk.errors import ConnectionFailed, FencepostError, LostLease, RpcError, TaskCanceled, TaskFailed
from fencepost_sdk.protocol import Page, Status, Task
from fencepost_sdk.worker import Worker

__all__ = [
    "AsyncClient",
    "Client",
    "ConnectionFailed",
    "Context",
    "FencepostError",
    "LostLease",
    "Page",
    "RpcError",
    "Status",
    "Task",
    "TaskCanceled",
    "TaskFailed",
    "Worker",
]
