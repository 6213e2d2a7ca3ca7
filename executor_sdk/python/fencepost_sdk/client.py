"""The client: creating tasks and workflows, looking at them, waiting for them.

What each method says is in conversations.py and workflows.py.
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

# How a task is named: by its id, by itself, or by what `create_many` has returned for it.
TaskId = str | Task | RpcError


class Client:
    """Speaks to a server from ordinary code; may be shared between threads.

    `url` and `client` as for `Worker`. What could not be delivered is repeated for up to `patience` seconds.

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
        """Create a task; the same `id` with the same content gives the task that is there.

        `params` is anything that makes a JSON object: a dict, a dataclass, a Struct, a pydantic model. `execute_at`
        needs a timezone. `settings` are those of this task alone: the timeouts and retries that `Worker.task` takes,
        as timedelta, and `expires_after`.

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
        repeatable: bool = True,
    ) -> Sequence[str | RpcError]:
        """Create a task for each of `params` and return their ids in order, an RpcError in place of a refused one.

        For thousands: they go in large requests, two at a time, and each is a task of its own, not one transaction.
        Without `ids` the client makes them up, so that a request whose reply was lost can be repeated. When it is
        not `repeatable` the server makes them, for less. ConnectionFailed leaves some of them created: with `ids` of
        your own, the same call again creates what is missing. The `path` of an error begins with the place in
        `params`. Each returned item can be given to `result`, which raises the RpcError of a refused one.

            ids = client.create_many("demo/mail", [{"to": "ada@example.org"}, {"to": "joan@example.org"}])
            print([client.status(id).task.status for id in ids])
        """
        bulk = BulkCreate(
            definition, params, ids=ids, label=label, execute_at=execute_at, settings=settings, repeatable=repeatable
        )
        with ThreadPoolExecutor(CONNECTIONS, "fencepost-bulk") as threads:
            answers = threads.map(lambda batch: self._run(bulk.send(batch, self._patience)), bulk.batches)
            return [result for batch in answers for result in batch]

    def status(self, id: TaskId, include_log: bool = False, include_settings: bool = False) -> Status:
        """Tell how a task stands; with its log (oldest entry first) and its settings when asked for.

        client.status("mail-1815", include_log=True).log
        """
        return self._run(
            requests.status(
                id_of(id), include_log=include_log, include_settings=include_settings, patience=self._patience
            )
        )

    def cancel(self, id: TaskId) -> Task:
        """End a live task as canceled, at once; RpcError `task-has-been-done` when it is over already.

        client.cancel("mail-1815")
        """
        return self._run(requests.cancel(id_of(id), self._patience))

    def retry(self, id: TaskId) -> Task:
        """Make a task that failed or was canceled ready again, with all its attempts.

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
        """List tasks, newest first, one page at a time; `after` is the `next` of the page before.

        `ilike` looks in id, label, definition and params. `sort` is such as `{"lastUpdated": "desc"}`.

            client.list(definitions=["demo/mail"], outcome="failed", limit=20)
        """
        params = requests.list_params(definitions, exclude, status, outcome, ilike, sort, limit, after)
        return self._run(requests.list_page(params, self._patience))

    def result(self, id: TaskId, timeout: float | None = None) -> Any:
        """Wait until a task is done and return its result; raise TaskFailed or TaskCanceled when it did not succeed.

        TimeoutError after `timeout` seconds; the task goes on. It looks again at growing intervals, up to a second.

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
        """Begin a workflow; the arguments are those of `create`.

        client.create_workflow("demo/order", {"width": 640}, id="order-1814")
        """
        return self._run(
            workflows.create(definition, params, id=id, label=label, execute_at=execute_at, patience=self._patience)
        )

    def workflow(
        self, id: str | Workflow, include_activities: bool = False, include_decisions: bool = False
    ) -> WorkflowStatus:
        """Tell how a workflow stands; with what it has begun and with its decisions when asked for.

        client.workflow("order-1815", include_activities=True).activities
        """
        return self._run(
            workflows.status(
                id_of(id), activities=include_activities, decisions=include_decisions, patience=self._patience
            )
        )

    def signal(self, id: str | Workflow, name: str, payload: Any = None, *, signal_id: str | None = None) -> Workflow:
        """Tell a live workflow something; its decider gets an event of kind `signal` with `name` and `payload`.

        A signal is taken once for its `signal_id`, which the client makes up if none is given.

            client.signal("order-1815", "paid", {"by": "ada"}, signal_id="payment-93")
        """
        return self._run(workflows.signal(id_of(id), name, payload, signal_id=signal_id, patience=self._patience))

    def cancel_workflow(self, id: str | Workflow) -> Workflow:
        """End a live workflow as canceled, with everything that it has begun, to any depth.

        client.cancel_workflow("order-1815")
        """
        return self._run(workflows.cancel(id_of(id), self._patience))

    def workflow_result(self, id: str | Workflow, timeout: float | None = None) -> Any:
        """Wait until a workflow is done and return its result; raise WorkflowFailed or WorkflowCanceled.

        Otherwise as `result`.

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
        """List workflows, newest first, one page at a time; the arguments are those of `list`.

        client.list_workflows(definitions=["demo/order"], status="in-progress")
        """
        params = requests.list_params(definitions, exclude, status, outcome, ilike, sort, limit, after)
        return self._run(workflows.list_page(params, self._patience))

    def define(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Put a definition; one that changes nothing makes no new version.

        client.define({"kind": "task", "name": "demo/mail", "allowedRetryCount": 5})
        """
        return self._run(requests.define(document, self._patience))

    def call(self, method: str, params: Any = None) -> Any:
        """Make any call and return its result as it came; raise RpcError when it is refused.

        A create without `id` and a poll without `requestId` are not repeated when the reply is lost.

            client.call("awf.task/status", {"id": "mail-1815"})["resource"]["status"]
        """
        return self._run(requests.call(method, params, Any, self._patience))

    def batch(self, calls: Sequence[tuple[str, Any]]) -> Sequence[Any]:
        """Make calls in one request, in order; each gives its result or, in its place, the RpcError.

        client.batch([("awf.task/cancel", {"id": id}) for id in ("mail-1", "mail-2")])
        """
        return self._run(requests.batch(calls, self._patience))

    def close(self) -> None:
        """Close the connections; using the client again opens new ones.

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
    """Return the id of a task or a workflow that is named by its id or by itself; raise the error of a refused one."""
    if isinstance(one, RpcError):
        raise one
    return one if isinstance(one, str) else one.id
