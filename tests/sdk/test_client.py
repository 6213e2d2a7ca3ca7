"""Both clients say the same, so each test is held with both."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fencepost_sdk import AsyncClient, Client, RpcError, Task, TaskCanceled, TaskFailed
from fencepost_sdk.async_client import WAITING
from tests.fixtures.servers import Server


class Awaited:
    """An AsyncClient, each call in a run of its own event loop, so that tests read the same for both."""

    def __init__(self, url: str) -> None:
        self._client = AsyncClient(url)
        self._runner = asyncio.Runner()

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **named: self._runner.run(getattr(self._client, name)(*given, **named))

    def close(self) -> None:
        self._client.close()
        self._runner.close()


@pytest.fixture(params=["blocking", "awaited"])
def either(server: Server, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A client of either kind."""
    server.define("demo/mail", allowedRetryCount=0)
    client = Client(server.url) if request.param == "blocking" else Awaited(server.url)
    yield client
    client.close()


def finish(server: Server, id: str, verb: str, **members: Any) -> None:
    (held,) = server.poll("demo/mail", start=True)
    assert held["id"] == id
    server.rpc(f"awf.task/{verb}", {"id": id, "execId": held["execId"], **members})


def test_a_created_task_comes_back_with_its_fields(either: Any) -> None:
    task = either.create("demo/mail", {"to": "ada"}, id="mail-1", label="the first")
    assert isinstance(task, Task)
    assert (task.id, task.label, task.status, task.params) == ("mail-1", "the first", "ready", {"to": "ada"})
    assert task.in_progress_timeout_ms == 120_000
    assert task.meta.created_at is not None
    assert task.meta.created_at.tzinfo is not None


def test_a_repeated_create_returns_the_same_task_and_other_content_is_refused(either: Any) -> None:
    first = either.create("demo/mail", {"to": "ada"}, id="mail-1")
    assert either.create("demo/mail", {"to": "ada"}, id="mail-1").meta == first.meta
    with pytest.raises(RpcError) as caught:
        either.create("demo/mail", {"to": "bob"}, id="mail-1")
    assert (caught.value.type, caught.value.status) == ("already-exists", 409)


def test_a_task_with_execute_at_is_not_ready_before(either: Any) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    task = either.create("demo/mail", execute_at=at)
    assert task.status == "waiting"
    assert task.execute_at == at


def test_status_has_the_log_and_the_settings_on_request(either: Any) -> None:
    task = either.create("demo/mail")
    bare = either.status(task)
    assert (bare.task.id, bare.settings, bare.log) == (task.id, None, None)
    full = either.status(task.id, include_log=True, include_settings=True)
    assert full.settings["allowedRetryCount"] == 0
    assert [entry["action"] for entry in full.log] == ["awf.task/create-and-execute"]


def test_result_of_a_canceled_task_raises_task_canceled(either: Any) -> None:
    task = either.create("demo/mail")
    assert either.cancel(task).outcome == "canceled"
    with pytest.raises(TaskCanceled):
        either.result(task)
    with pytest.raises(RpcError, match="task-has-been-done"):
        either.cancel(task)


def test_result_of_a_failed_task_raises_its_error_and_the_task_can_be_retried(server: Server, either: Any) -> None:
    task = either.create("demo/mail")
    finish(server, task.id, "fail", error={"code": "no-such-address"})
    with pytest.raises(TaskFailed) as caught:
        either.result(task)
    assert caught.value.error == {"code": "no-such-address"}
    assert either.retry(task).status == "ready"
    finish(server, task.id, "success", result={"sent": True})
    assert either.result(task) == {"sent": True}


def test_result_returns_when_the_task_is_done(server: Server, either: Any) -> None:
    task = either.create("demo/mail")
    timer = threading.Timer(0.2, finish, (server, task.id, "success"), {"result": {"sent": True}})
    timer.start()
    assert either.result(task, timeout=10) == {"sent": True}
    timer.join()


def test_more_results_than_requests_that_wait_are_awaited_together(server: Server) -> None:
    server.define("demo/mail")

    async def main() -> list[Any]:
        async with AsyncClient(server.url) as client:
            ids = [(await client.create("demo/mail", {"n": n})).id for n in range(40)]
            results = [asyncio.create_task(client.result(id, timeout=30)) for id in ids]
            while server.app.waiting_for_ends < WAITING:
                await client.status(ids[0])
            tasks = await client.call(
                "awf.task/poll", {"taskDefinitions": ["demo/mail"], "maxBatchSize": 40, "start": True}
            )
            ends = [
                ("awf.task/success", {"id": task["id"], "execId": task["execId"], "result": task["params"]})
                for task in tasks["resources"]
            ]
            await client.batch(ends)
            return await asyncio.gather(*results)

    assert asyncio.run(main()) == [{"n": n} for n in range(40)]


def test_result_raises_timeout_error_and_the_task_goes_on(either: Any) -> None:
    task = either.create("demo/mail")
    with pytest.raises(TimeoutError, match=r"is ready, not done after 0\.05 s"):
        either.result(task, timeout=0.05)
    assert either.status(task).task.status == "ready"


def test_a_list_comes_in_pages(either: Any) -> None:
    made = [either.create("demo/mail", {"n": number}, label=f"number {number}").id for number in range(5)]
    page = either.list(definitions=["demo/mail"], sort={"createdAt": "asc"}, limit=3)
    assert [task.id for task in page.tasks] == made[:3]
    rest = either.list(definitions=["demo/mail"], sort={"createdAt": "asc"}, limit=3, after=page.next)
    assert [task.id for task in rest.tasks] == made[3:]
    assert rest.next is None
    assert [task.id for task in either.list(ilike="number 4", status=["ready", "waiting"]).tasks] == [made[4]]
    assert either.list(exclude=["demo/mail"]).tasks == []


def test_a_definition_is_put(either: Any) -> None:
    put = either.define({"kind": "task", "name": "demo/other", "retryDelay": 5})
    assert (put["name"], put["retryDelay"]) == ("demo/other", 5)


def test_any_method_can_be_called_alone_or_in_a_batch(either: Any) -> None:
    assert either.call("awf.task/list") == {"resources": []}
    answers = either.batch(
        [
            ("awf.task/create-and-execute", {"definition": "demo/mail", "id": "b-1"}),
            ("awf.task/status", {"id": "nobody"}),
            ("awf.task/status", {"id": "b-1"}),
        ]
    )
    assert answers[0]["resource"]["id"] == answers[2]["resource"]["id"] == "b-1"
    assert isinstance(answers[1], RpcError)
    assert answers[1].type == "task-not-found"
    assert either.batch([]) == []


def test_an_unknown_definition_is_refused_by_name(either: Any) -> None:
    with pytest.raises(RpcError) as caught:
        either.create("demo/mali")
    assert caught.value.type == "definition-not-found"
    assert "demo/mail" in caught.value.message


def test_a_client_may_be_shared_between_threads(server: Server, client: Client) -> None:
    server.define("demo/mail")
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda number: client.create("demo/mail", {"n": number}).id, range(64)))
    assert len(set(ids)) == 64
    assert len(client.list(limit=100).tasks) == 64


def test_an_async_client_has_several_requests_in_flight(server: Server) -> None:
    server.define("demo/mail")

    async def main() -> int:
        async with AsyncClient(server.url) as client:
            tasks = await asyncio.gather(*(client.create("demo/mail", {"n": number}) for number in range(64)))
        return len({task.id for task in tasks})

    assert asyncio.run(main()) == 64


def test_client_and_async_client_have_the_same_signatures() -> None:
    def signatures(kind: type) -> dict[str, list[inspect.Parameter]]:
        return {
            name: list(inspect.signature(member).parameters.values())
            for name, member in vars(kind).items()
            if inspect.isfunction(member) and not name.startswith("_")
        }

    assert signatures(Client) == signatures(AsyncClient)


def test_create_many_returns_ids_in_order_and_an_error_for_a_refused_task(either: Any, server: Server) -> None:
    wanted: list[Any] = [{"n": number} for number in range(2500)]
    wanted[1200] = "no object"
    ids = either.create_many("demo/mail", wanted, label="bulk")
    assert isinstance(ids[1200], RpcError)
    assert ids[1200].type == "invalid-params"
    there = dict(server.query("select id, (params->>'n')::integer from fencepost.task_resources where label = 'bulk'"))
    assert [there[id] for number, id in enumerate(ids) if number != 1200] == [n for n in range(2500) if n != 1200]


def test_create_many_with_ids_is_idempotent(either: Any, server: Server) -> None:
    params = [{"n": number} for number in range(3)]
    assert either.create_many("demo/mail", params[:2], ids=["a", "b"]) == ["a", "b"]
    assert either.create_many("demo/mail", params, ids=["a", "b", "c"]) == ["a", "b", "c"]
    (refused,) = either.create_many("demo/mail", [{"n": 9}], ids=["a"])
    assert refused.type == "already-exists"
    assert len(server.query("select 1 from fencepost.task_resources")) == 3
    with pytest.raises(ValueError, match="shorter"):
        either.create_many("demo/mail", params, ids=["a"])


def test_create_many_accepts_execute_at_and_leaves_ids_to_the_server(either: Any, server: Server) -> None:
    later = datetime(2100, 1, 1, tzinfo=UTC)
    (id,) = either.create_many("demo/mail", [None], execute_at=later)
    assert server.task(id)["status"] == "waiting"
    assert either.create_many("demo/mail", []) == []
    with pytest.raises(TypeError):
        either.create_many("demo/mail", [{"n": 1}, {"n": object()}])
    assert len(server.query("select 1 from fencepost.task_resources")) == 1


def test_result_accepts_the_items_of_create_many(either: Any, server: Server) -> None:
    server.define("demo/whole", params={"type": "object", "properties": {"n": {"type": "integer"}}})
    given, refused = either.create_many("demo/whole", [{"n": 1}, {"n": "x"}])
    assert either.status(given).task.status == "ready"
    with pytest.raises(RpcError) as caught:
        either.result(refused)
    assert caught.value.path == "$[1].params.n"


def test_settings_of_a_task_override_its_definition(either: Any, server: Server) -> None:
    task = either.create("demo/mail", {}, settings={"attempt_timeout": timedelta(seconds=3), "expiresAfter": 5000})
    settings = either.status(task, include_settings=True).settings
    assert (settings["attemptTimeout"], settings["expiresAfter"]) == (3000, 5000)
    (id,) = either.create_many("demo/mail", [{}], settings={"allowed_retry_count": 7})
    assert either.status(id, include_settings=True).settings["allowedRetryCount"] == 7
    with pytest.raises(TypeError, match="there is no setting 'timeout'"):
        either.create("demo/mail", {}, settings={"timeout": 3})
