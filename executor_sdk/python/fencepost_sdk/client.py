"""The client: creating tasks, looking at them, waiting for them. Each method says what it says in conversations.py."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Self

from fencepost_sdk import conversations
from fencepost_sdk.bulk import CONNECTIONS, Bulk
from fencepost_sdk.conversations import Conversation, Pause, Said
from fencepost_sdk.errors import ConnectionFailed, RpcError
from fencepost_sdk.protocol import Page, Status, Task
from fencepost_sdk.transport import Connection, Endpoint, Reply

REQUEST_SECONDS = 60.0


class Connections:
    """Kept connections, each used by one request at a time; safe between threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._idle: list[Connection] = []

    def post(self, body: bytes) -> Reply:
        """Send one request over a connection that is free, or over a new one."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = Connection(self._endpoint)
        try:
            return connection.post(body, REQUEST_SECONDS)
        finally:
            self._idle.append(connection)

    def close(self) -> None:
        """Close those that are free."""
        while self._idle:
            self._idle.pop().close()


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
        self._connections = Connections(Endpoint(url, client, tls))
        self._patience = patience

    def create(
        self,
        definition: str,
        params: Any = None,
        *,
        id: str | None = None,
        label: str | None = None,
        execute_at: datetime | str | None = None,
    ) -> Task:
        """Create a task; the same `id` with the same content gives the task that is there.

        `params` is anything that makes a JSON object: a dict, a dataclass, a Struct. `execute_at` needs a timezone.

            client.create("demo/mail", {"to": "ada@example.org"}, id="mail-1815")
        """
        return self._hold(
            conversations.create(definition, params, id=id, label=label, execute_at=execute_at, patience=self._patience)
        )

    def create_many(
        self,
        definition: str,
        params: Iterable[Any],
        *,
        ids: Iterable[str] | None = None,
        label: str | None = None,
        execute_at: datetime | str | None = None,
        repeatable: bool = True,
    ) -> Sequence[str | RpcError]:
        """Create a task for each of `params` and return their ids in order, an RpcError in place of a refused one.

        For thousands: they go in large requests, two at a time, and each is a task of its own, not one transaction.
        Without `ids` the client makes them up, so that a request whose reply was lost can be repeated. When it is
        not `repeatable` the server makes them, for less. ConnectionFailed leaves some of them created: with `ids` of
        your own, the same call again creates what is missing.

            client.create_many("demo/mail", [{"to": "ada@example.org"}, {"to": "joan@example.org"}])
        """
        bulk = Bulk(definition, params, ids=ids, label=label, execute_at=execute_at, repeatable=repeatable)
        with ThreadPoolExecutor(CONNECTIONS, "fencepost-bulk") as threads:
            answers = threads.map(lambda calls: self._hold(bulk.send(calls, self._patience)), bulk.arrays)
            return [said for array in answers for said in array]

    def status(self, id: str | Task, include_log: bool = False, include_settings: bool = False) -> Status:
        """Tell how a task stands; with its log (oldest entry first) and its settings when asked for.

        client.status("mail-1815", include_log=True).log
        """
        return self._hold(
            conversations.status(
                id_of(id), include_log=include_log, include_settings=include_settings, patience=self._patience
            )
        )

    def cancel(self, id: str | Task) -> Task:
        """End a live task as canceled, at once; RpcError `task-has-been-done` when it is over already.

        client.cancel("mail-1815")
        """
        return self._hold(conversations.cancel(id_of(id), self._patience))

    def retry(self, id: str | Task) -> Task:
        """Make a task that failed or was canceled ready again, with all its attempts.

        client.retry("mail-1815")
        """
        return self._hold(conversations.retry(id_of(id), self._patience))

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
        return self._hold(
            conversations.listing(
                definitions=definitions,
                exclude=exclude,
                status=status,
                outcome=outcome,
                ilike=ilike,
                sort=sort,
                limit=limit,
                after=after,
                patience=self._patience,
            )
        )

    def result(self, id: str | Task, timeout: float | None = None) -> Any:
        """Wait until a task is done and return its result; raise TaskFailed or TaskCanceled when it did not succeed.

        TimeoutError after `timeout` seconds; the task goes on. It looks again at growing intervals, up to a second.

            client.result("mail-1815", timeout=60)
        """
        return self._hold(conversations.result(id_of(id), timeout, self._patience))

    def define(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Put a definition; one that changes nothing makes no new version.

        client.define({"kind": "task", "name": "demo/mail", "allowedRetryCount": 5})
        """
        return self._hold(conversations.define(document, self._patience))

    def call(self, method: str, params: Any = None) -> Any:
        """Make any call and return its result as it came; raise RpcError when it is refused.

        A create without `id` and a poll without `requestId` are not repeated when the reply is lost.

            client.call("awf.task/status", {"id": "mail-1815"})["resource"]["status"]
        """
        return self._hold(conversations.call(method, params, Any, self._patience))

    def batch(self, calls: Sequence[tuple[str, Any]]) -> Sequence[Any]:
        """Make calls in one request, in order; each gives its result or, in its place, the RpcError.

        client.batch([("awf.task/cancel", {"id": id}) for id in ("mail-1", "mail-2")])
        """
        return self._hold(conversations.batch(calls, self._patience))

    def close(self) -> None:
        """Close the connections; using the client again opens new ones.

        client.close()
        """
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _hold(self, conversation: Conversation[Said]) -> Said:
        try:
            step = next(conversation)
            while True:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    step = conversation.send(None)
                    continue
                try:
                    reply = self._connections.post(step.body)
                except ConnectionFailed as failure:
                    step = conversation.throw(failure)
                else:
                    step = conversation.send(reply)
        except StopIteration as end:
            said: Said = end.value
            return said


def id_of(task: str | Task) -> str:
    """Return the id of a task that is named by its id or by itself."""
    return task.id if isinstance(task, Task) else task
