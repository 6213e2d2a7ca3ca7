"""The client, which creates tasks and workflows, reads them and waits for their results.

The requests of its methods are in requests.py and workflows.py.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Self

from fencepost_sdk import requests, workflows
from fencepost_sdk.bulk import CONNECTIONS, BulkCreate
from fencepost_sdk.connection_pool import ConnectionPool
from fencepost_sdk.definitions import OwnSettings
from fencepost_sdk.errors import ConnectionFailed, RpcError
from fencepost_sdk.protocol import Page, Status, Task
from fencepost_sdk.requests import Pause, Request, Result
from fencepost_sdk.transport import Endpoint
from fencepost_sdk.workflows import Workflow, WorkflowPage, WorkflowStatus

# A task, its id, or the item that `create_many` returned for it.
TaskId = str | Task | RpcError


class Client:
    """A blocking client of a server; may be shared between threads.

    `url` and `client` are those of `Worker`. A request that fails on the network or meets an overloaded server is
    repeated for up to `patience` seconds; then its method raises ConnectionFailed. A refused one raises RpcError.

        with Client("http://127.0.0.1:8080") as client:
            task = client.create("demo/greet", {"name": "Ada"})
            print(client.result(task, timeout=10))
    """

    def __init__(
        self,
        url: str | None = None,
        client: str | None = None,
        *,
        patience: float = 30.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._connections = ConnectionPool(Endpoint(url, client, tls))
        self._patience = patience

    def create(
        self,
        definition: str,
        params: Any = None,
        *,
        id: str | None = None,
        label: str | None = None,
        execute_at: datetime | str | None = None,
        settings: OwnSettings | None = None,
    ) -> Task:
        """Create a task, or return the existing one if it has the same `id` and the same content.

        `params` is any value that encodes to a JSON object: a dict, a dataclass, a Struct, a pydantic model.
        `execute_at` needs a timezone. `settings` override those of the definition: the timeouts and retries of
        `Worker.task`, as timedelta, and `expires_after`. Raises NotJson, ValueError for a time without a timezone, and
        RpcError such as `already-exists` for other content under the `id`.

            client.create("demo/mail", {"to": "ada@example.org"}, id="mail-1815")
        """
        return self._run(
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

    def create_many(
        self,
        definition: str,
        params: Iterable[Any],
        *,
        ids: Iterable[str] | None = None,
        label: str | None = None,
        execute_at: datetime | str | None = None,
        settings: OwnSettings | None = None,
    ) -> Sequence[str | RpcError]:
        """Create a task for each of `params`; return the ids in order, with an RpcError in place of a refused one.

        The tasks are sent in large requests, two at a time, and not in one transaction. A request that is repeated
        after a lost reply creates its tasks once. After ConnectionFailed some of the tasks exist: the same call with
        the same `ids` creates the others. The `path` of an error begins with the index in `params`. `result` accepts
        each item of the answer.

            ids = client.create_many("demo/mail", [{"to": "ada@example.org"}, {"to": "joan@example.org"}])
            print([client.status(id).task.status for id in ids])
        """
        bulk = BulkCreate(definition, params, ids=ids, label=label, execute_at=execute_at, settings=settings)
        with ThreadPoolExecutor(CONNECTIONS, "fencepost-bulk") as threads:
            answers = threads.map(lambda batch: self._run(bulk.send(batch, self._patience)), bulk.batches)
            return [result for batch in answers for result in batch]

    def status(self, id: TaskId, include_log: bool = False, include_settings: bool = False) -> Status:
        """Return the status of a task, with its log (oldest entry first) and its settings on request.

        client.status("mail-1815", include_log=True).log
        """
        return self._run(
            requests.status(
                id_of(id), include_log=include_log, include_settings=include_settings, patience=self._patience
            )
        )

    def cancel(self, id: TaskId) -> Task:
        """Cancel a live task at once; raises RpcError `task-has-been-done` for a done one.

        client.cancel("mail-1815")
        """
        return self._run(requests.cancel(id_of(id), self._patience))

    def retry(self, id: TaskId) -> Task:
        """Make a failed or canceled task ready again, with its retry count back at 0.

        client.retry("mail-1815")
        """
        return self._run(requests.retry(id_of(id), self._patience))

    def list(
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
        """Return one page of tasks, newest first; `after` is the `next` of the previous page.

        `ilike` searches id, label, definition and params. `sort` is an object such as `{"lastUpdated": "desc"}`.

            client.list(definitions=["demo/mail"], outcome="failed", limit=20)
        """
        params = requests.list_params(definitions, exclude, status, outcome, ilike, sort, limit, after)
        return self._run(requests.list_page(params, self._patience))

    def result(self, id: TaskId, timeout: float | None = None) -> Any:
        """Wait for a task and return its result; raises TaskFailed or TaskCanceled if it does not succeed.

        Raises TimeoutError after `timeout` seconds; the task goes on. The server waits, and answers when the task ends.
        The result of a task whose definition does not keep it (`keep`) is None.

            client.result("mail-1815", timeout=60)
        """
        return self._run(requests.result(id_of(id), timeout, self._patience))

    def create_workflow(
        self,
        definition: str,
        params: Any = None,
        *,
        id: str | None = None,
        label: str | None = None,
        execute_at: datetime | str | None = None,
    ) -> Workflow:
        """Start a workflow; the arguments are those of `create`.

        client.create_workflow("demo/order", {"width": 640}, id="order-1814")
        """
        return self._run(
            workflows.create(definition, params, id=id, label=label, execute_at=execute_at, patience=self._patience)
        )

    def workflow(
        self, id: str | Workflow, include_activities: bool = False, include_decisions: bool = False
    ) -> WorkflowStatus:
        """Return the status of a workflow, with its activities and its decisions on request.

        client.workflow("order-1815", include_activities=True).activities
        """
        return self._run(
            workflows.status(
                id_of(id), activities=include_activities, decisions=include_decisions, patience=self._patience
            )
        )

    def signal(self, id: str | Workflow, name: str, payload: Any = None, *, signal_id: str | None = None) -> Workflow:
        """Signal a live workflow; its decider gets an event of kind `signal` with `name` and `payload`.

        A signal is delivered once per `signal_id`, which the client makes up if none is given.

            client.signal("order-1815", "paid", {"by": "ada"}, signal_id="payment-93")
        """
        return self._run(workflows.signal(id_of(id), name, payload, signal_id=signal_id, patience=self._patience))

    def cancel_workflow(self, id: str | Workflow) -> Workflow:
        """Cancel a live workflow with all its activities, including child workflows at any depth.

        client.cancel_workflow("order-1815")
        """
        return self._run(workflows.cancel(id_of(id), self._patience))

    def workflow_result(self, id: str | Workflow, timeout: float | None = None) -> Any:
        """Wait for a workflow and return its result; raises WorkflowFailed or WorkflowCanceled if it does not succeed.

        `timeout` is that of `result`.

            client.workflow_result("order-1815", timeout=60)
        """
        return self._run(workflows.result(id_of(id), timeout, self._patience))

    def list_workflows(
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
        """Return one page of workflows, newest first; the arguments are those of `list`.

        client.list_workflows(definitions=["demo/order"], status="in-progress")
        """
        params = requests.list_params(definitions, exclude, status, outcome, ilike, sort, limit, after)
        return self._run(workflows.list_page(params, self._patience))

    def define(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Put a definition and return its resource; unchanged content makes no new version.

        client.define({"kind": "task", "name": "demo/mail", "allowedRetryCount": 5})
        """
        return self._run(requests.define(document, self._patience))

    def call(self, method: str, params: Any = None) -> Any:
        """Make any call and return its decoded result; raises RpcError when it is refused.

        A create without `id`, a signal without `signal-id` and a poll without `requestId` are not repeated after a lost
        reply.

            client.call("awf.task/status", {"id": "mail-1815"})["resource"]["status"]
        """
        return self._run(requests.call(method, params, Any, self._patience))

    def batch(self, calls: Sequence[tuple[str, Any]]) -> Sequence[Any]:
        """Make calls in one request, in order; return for each its result or its RpcError.

        client.batch([("awf.task/cancel", {"id": id}) for id in ("mail-1", "mail-2")])
        """
        return self._run(requests.batch(calls, self._patience))

    def close(self) -> None:
        """Close the connections; later calls open new ones.

        client.close()
        """
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _run(self, request: Request[Result]) -> Result:
        try:
            step = next(request)
            while True:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    step = request.send(None)
                    continue
                try:
                    reply = self._connections.post(step.body)
                except ConnectionFailed as failure:
                    step = request.throw(failure)
                else:
                    step = request.send(reply)
        except StopIteration as end:
            result: Result = end.value
            return result


def id_of(one: str | Task | Workflow | RpcError) -> str:
    """Return the id of a task or workflow, given as id or object; raises the error given for a refused create."""
    if isinstance(one, RpcError):
        raise one
    return one if isinstance(one, str) else one.id
