"""The async client. It makes the same requests as `Client` and awaits their replies."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Self

from fencepost_sdk import requests, workflows
from fencepost_sdk.bulk import CONNECTIONS, BulkCreate, Item
from fencepost_sdk.client import TaskId, id_of
from fencepost_sdk.connection_pool import ConnectionPool
from fencepost_sdk.definitions import OwnSettings
from fencepost_sdk.errors import ConnectionFailed, RpcError
from fencepost_sdk.joined_calls import JoinedCalls
from fencepost_sdk.protocol import Page, Status, Task
from fencepost_sdk.requests import Pause, Post, Request, Result
from fencepost_sdk.threads import Threads
from fencepost_sdk.transport import Endpoint, Reply
from fencepost_sdk.workflows import Workflow, WorkflowPage, WorkflowStatus

# Requests in which the server waits for a result, each in a thread; further callers ask at intervals.
WAITING = 16


class AsyncClient:
    """The async form of `Client`, with the same methods.

    Up to `connections` requests are in flight at once, each in a thread of the client. Creates and other short calls
    that are made at the same time share a request.

        async with AsyncClient("http://127.0.0.1:8080") as client:
            task = await client.create("demo/greet", {"name": "Ada"})
            print(await client.result(task, timeout=10))
    """

    def __init__(
        self,
        url: str | None = None,
        client: str | None = None,
        *,
        patience: float = 30.0,
        connections: int = 8,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._connections = ConnectionPool(Endpoint(url, client, tls))
        self._threads = Threads(connections, "fencepost-client")
        self._waits = Threads(WAITING, "fencepost-wait")
        self._wait_slots = threading.Semaphore(WAITING)
        self._patience = patience
        self._joined: JoinedCalls | None = None

    async def create(
        self,
        definition: str,
        params: Any = None,
        *,
        id: str | None = None,
        label: str | None = None,
        execute_at: datetime | str | None = None,
        settings: OwnSettings | None = None,
    ) -> Task:
        """Create a task; see `Client.create`.

        await client.create("demo/mail", {"to": "ada@example.org"}, id="mail-1815")
        """
        return await self._run(
            requests.create(
                definition,
                params,
                id=id,
                label=label,
                execute_at=execute_at,
                settings=settings,
                patience=self._patience,
            )
        )

    async def create_many(
        self,
        definition: str,
        params: Iterable[Any],
        *,
        ids: Iterable[str] | None = None,
        label: str | None = None,
        execute_at: datetime | str | None = None,
        settings: OwnSettings | None = None,
    ) -> Sequence[str | RpcError]:
        """Create a task for each of `params`; see `Client.create_many`.

        await client.create_many("demo/mail", [{"to": "ada@example.org"}, {"to": "joan@example.org"}])
        """
        bulk = BulkCreate(definition, params, ids=ids, label=label, execute_at=execute_at, settings=settings)
        gate = asyncio.Semaphore(CONNECTIONS)

        async def send(batch: Sequence[Item]) -> Sequence[str | RpcError]:
            async with gate:
                return await self._run(bulk.send(batch, self._patience))

        sending = [asyncio.create_task(send(calls)) for calls in bulk.batches]
        try:
            return [result for batch in await asyncio.gather(*sending) for result in batch]
        finally:
            for one in sending:
                one.cancel()

    async def status(self, id: TaskId, include_log: bool = False, include_settings: bool = False) -> Status:
        """Return the status of a task; see `Client.status`.

        (await client.status("mail-1815", include_log=True)).log
        """
        return await self._run(
            requests.status(
                id_of(id), include_log=include_log, include_settings=include_settings, patience=self._patience
            )
        )

    async def cancel(self, id: TaskId) -> Task:
        """Cancel a live task; see `Client.cancel`.

        await client.cancel("mail-1815")
        """
        return await self._run(requests.cancel(id_of(id), self._patience))

    async def retry(self, id: TaskId) -> Task:
        """Make a failed or canceled task ready again; see `Client.retry`.

        await client.retry("mail-1815")
        """
        return await self._run(requests.retry(id_of(id), self._patience))

    async def list(
        self,
        *,
        definitions: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        status: str | Sequence[str] | None = None,
        outcome: str | Sequence[str] | None = None,
        ilike: str | None = None,
        sort: Mapping[str, str] | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page:
        """Return one page of tasks, newest first; see `Client.list`.

        await client.list(definitions=["demo/mail"], outcome="failed", limit=20)
        """
        params = requests.list_params(definitions, exclude, status, outcome, ilike, sort, limit, after)
        return await self._run(requests.list_page(params, self._patience))

    async def result(self, id: TaskId, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - as `Client.result`
        """Wait for a task and return its result; see `Client.result`.

        await client.result("mail-1815", timeout=60)
        """
        return await self._run(requests.result(id_of(id), timeout, self._patience))

    async def create_workflow(
        self,
        definition: str,
        params: Any = None,
        *,
        id: str | None = None,
        label: str | None = None,
        execute_at: datetime | str | None = None,
    ) -> Workflow:
        """Start a workflow; see `Client.create_workflow`.

        await client.create_workflow("demo/order", {"width": 640}, id="order-1814")
        """
        return await self._run(
            workflows.create(definition, params, id=id, label=label, execute_at=execute_at, patience=self._patience)
        )

    async def workflow(
        self, id: str | Workflow, include_activities: bool = False, include_decisions: bool = False
    ) -> WorkflowStatus:
        """Return the status of a workflow; see `Client.workflow`.

        (await client.workflow("order-1815", include_activities=True)).activities
        """
        return await self._run(
            workflows.status(
                id_of(id), activities=include_activities, decisions=include_decisions, patience=self._patience
            )
        )

    async def signal(
        self, id: str | Workflow, name: str, payload: Any = None, *, signal_id: str | None = None
    ) -> Workflow:
        """Signal a live workflow; see `Client.signal`.

        await client.signal("order-1815", "paid", {"by": "ada"}, signal_id="payment-93")
        """
        return await self._run(workflows.signal(id_of(id), name, payload, signal_id=signal_id, patience=self._patience))

    async def cancel_workflow(self, id: str | Workflow) -> Workflow:
        """Cancel a live workflow; see `Client.cancel_workflow`.

        await client.cancel_workflow("order-1815")
        """
        return await self._run(workflows.cancel(id_of(id), self._patience))

    async def workflow_result(
        self,
        id: str | Workflow,
        timeout: float | None = None,  # noqa: ASYNC109 - as `Client.workflow_result`
    ) -> Any:
        """Wait for a workflow and return its result; see `Client.workflow_result`.

        await client.workflow_result("order-1815", timeout=60)
        """
        return await self._run(workflows.result(id_of(id), timeout, self._patience))

    async def list_workflows(
        self,
        *,
        definitions: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        status: str | Sequence[str] | None = None,
        outcome: str | Sequence[str] | None = None,
        ilike: str | None = None,
        sort: Mapping[str, str] | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> WorkflowPage:
        """Return one page of workflows, newest first; see `Client.list_workflows`.

        await client.list_workflows(definitions=["demo/order"], status="in-progress")
        """
        params = requests.list_params(definitions, exclude, status, outcome, ilike, sort, limit, after)
        return await self._run(workflows.list_page(params, self._patience))

    async def define(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Put a definition; see `Client.define`.

        await client.define({"kind": "task", "name": "demo/mail", "allowedRetryCount": 5})
        """
        return await self._run(requests.define(document, self._patience))

    async def call(self, method: str, params: Any = None) -> Any:
        """Make any call; see `Client.call`.

        (await client.call("awf.task/status", {"id": "mail-1815"}))["resource"]["status"]
        """
        return await self._run(requests.call(method, params, Any, self._patience))

    async def batch(self, calls: Sequence[tuple[str, Any]]) -> Sequence[Any]:
        """Make calls in one request; see `Client.batch`.

        await client.batch([("awf.task/cancel", {"id": id}) for id in ("mail-1", "mail-2")])
        """
        return await self._run(requests.batch(calls, self._patience))

    def close(self) -> None:
        """Close the connections and end the threads.

        client.close()
        """
        self._connections.close()
        self._threads.close()
        self._waits.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()

    async def _run(self, request: Request[Result]) -> Result:
        try:
            step = next(request)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = request.send(None)
                    continue
                try:
                    reply = await self._answer(step)
                except ConnectionFailed as failure:
                    step = request.throw(failure)
                else:
                    step = request.send(reply)
        except StopIteration as end:
            result: Result = end.value
            return result

    async def _answer(self, post: Post) -> Reply | None:
        if post.joins:
            return await self._calls.post(post.body)
        if not post.waits:
            return await self._post(post.body)
        if not self._wait_slots.acquire(blocking=False):
            return None
        answer = self._waits.run(partial(self._post_and_free, post.body))
        # The thread of a caller that goes away waits on; its failure is retrieved, so that it is not logged.
        answer.add_done_callback(_retrieve)
        return await asyncio.shield(answer)

    def _post_and_free(self, body: bytes) -> Reply:
        try:
            return self._connections.post(body)
        finally:
            self._wait_slots.release()

    @property
    def _calls(self) -> JoinedCalls:
        """The calls of the running loop; a client may be used in one loop after another."""
        if self._joined is None or self._joined.loop is not asyncio.get_running_loop():
            self._joined = JoinedCalls(self._post)
        return self._joined

    def _post(self, body: bytes) -> asyncio.Future[Reply]:
        return self._threads.run(partial(self._connections.post, body))


def _retrieve(answer: asyncio.Future[Reply]) -> None:
    if not answer.cancelled():
        answer.exception()
