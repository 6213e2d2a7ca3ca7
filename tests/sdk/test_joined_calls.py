"""Calls of an AsyncClient that are made at the same time share a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from fencepost_sdk import AsyncClient, ConnectionFailed, RpcError, Task
from tests.fixtures.faulty_proxy import FaultyProxy
from tests.fixtures.servers import Server


def together(url: str, *calls: Callable[[AsyncClient], Coroutine[Any, Any, Any]], **options: Any) -> list[Any]:
    """Make calls at the same time; return for each its result or its exception."""

    async def main() -> list[Any]:
        async with AsyncClient(url, **options) as client:
            return await asyncio.gather(*(call(client) for call in calls), return_exceptions=True)

    return asyncio.run(main())


def create(
    number: int, definition: str = "demo/mail", **params: Any
) -> Callable[[AsyncClient], Coroutine[Any, Any, Task]]:
    """Return a create with an id made of `number`."""
    return lambda client: client.create(definition, {"n": number, **params}, id=f"mail-{number}")


def ids(server: Server) -> list[str]:
    return sorted(id for (id,) in server.query("select id from fencepost.task_resources"))


def test_creates_that_are_made_at_the_same_time_share_a_request(server: Server, proxy: FaultyProxy) -> None:
    server.define("demo/mail")
    tasks = together(proxy.url, *map(create, range(64)))
    assert [task.id for task in tasks] == [f"mail-{number}" for number in range(64)]
    assert [task.params for task in tasks] == [{"n": number} for number in range(64)]
    assert len(proxy.requests) == 1


def test_a_lone_call_is_sent_alone(server: Server, proxy: FaultyProxy) -> None:
    server.define("demo/mail")
    together(proxy.url, create(1))
    assert [body[:1] for body in proxy.requests] == [b"{"]


def test_a_refused_call_gets_the_error_of_a_single_call(server: Server, proxy: FaultyProxy) -> None:
    server.define("demo/mail")
    (alone,) = together(server.url, create(0, "demo/mali"))
    first, refused, last = together(proxy.url, create(1), create(2, "demo/mali"), create(3))
    assert (first.id, last.id) == ("mail-1", "mail-3")
    assert isinstance(refused, RpcError)
    assert (refused.type, refused.status, refused.path, refused.message) == (
        alone.type,
        alone.status,
        alone.path,
        alone.message,
    )
    assert len(proxy.requests) == 2


def test_calls_of_several_methods_share_a_request(server: Server, proxy: FaultyProxy) -> None:
    server.define("demo/mail")
    together(server.url, create(1), create(2))
    status, canceled, created = together(
        proxy.url, lambda client: client.status("mail-1"), lambda client: client.cancel("mail-2"), create(3)
    )
    assert (status.task.status, canceled.outcome, created.id) == ("ready", "canceled", "mail-3")
    assert len(proxy.requests) == 1


def test_a_list_does_not_hold_up_a_create(server: Server, proxy: FaultyProxy) -> None:
    server.define("demo/mail")
    page, created = together(proxy.url, lambda client: client.list(), create(1))
    assert created.id == "mail-1"
    assert len(page) <= 1
    assert len(proxy.requests) == 2


def test_a_lost_reply_makes_each_task_once(server: Server, proxy: FaultyProxy) -> None:
    server.define("demo/mail")
    lost = proxy.lose_reply("create-and-execute", times=2)
    tasks = together(proxy.url, *map(create, range(10)))
    assert lost.hits == 2
    assert sorted(task.id for task in tasks) == ids(server)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_calls_of_a_refused_request_are_sent_alone(server: Server, proxy: FaultyProxy, status: int) -> None:
    server.define("demo/mail")
    proxy.refuse(status, needle="create-and-execute", body=b"too much at once")
    tasks = together(proxy.url, *map(create, range(5)))
    assert [task.id for task in tasks] == ids(server)
    assert [body[:1] for body in proxy.requests[-5:]] == [b"{"] * 5


def test_an_overloaded_server_is_asked_again(server: Server, proxy: FaultyProxy) -> None:
    server.define("demo/mail")
    refused = proxy.refuse(503, needle="create-and-execute", times=2)
    assert [task.id for task in together(proxy.url, *map(create, range(5)))] == ids(server)
    assert refused.hits == 2


def test_each_call_raises_the_failure_of_the_shared_request(server: Server, proxy: FaultyProxy) -> None:
    server.define("demo/mail")
    proxy.cut(times=100)
    failures = together(proxy.url, *map(create, range(3)), patience=0.0)
    assert [type(failure) for failure in failures] == [ConnectionFailed] * 3
    assert len({id(failure) for failure in failures}) == 3


def test_an_answer_that_is_not_from_a_server_is_a_failure(server: Server, proxy: FaultyProxy) -> None:
    server.define("demo/mail")
    proxy.refuse(200, needle="create-and-execute", body=b"<html>welcome</html>")
    failures = together(proxy.url, *map(create, range(3)))
    assert [type(failure) for failure in failures] == [ConnectionFailed] * 3
    assert "not from a Fencepost server" in str(failures[0])


def test_a_canceled_call_leaves_the_others_of_its_request(server: Server, proxy: FaultyProxy) -> None:
    server.define("demo/mail")
    held = proxy.hold_reply("mail-1")

    async def main() -> Any:
        async with AsyncClient(proxy.url) as client:
            first, second = (asyncio.create_task(create(number)(client)) for number in (1, 2))
            assert await asyncio.to_thread(held.arrived.wait, 20)
            first.cancel()
            third = await create(3)(client)
            proxy.go_down()
            proxy.come_up()
            return third, await second, first.cancelled()

    third, second, canceled = asyncio.run(main())
    assert (third.id, second.id, canceled) == ("mail-3", "mail-2", True)


def test_requests_keep_to_the_limits_of_calls_and_bytes(server: Server, proxy: FaultyProxy) -> None:
    server.define("demo/mail")
    assert len(together(proxy.url, *(create(number, text="x" * 100_000) for number in range(20)))) == 20
    assert len(proxy.requests) == 3
    assert max(map(len, proxy.requests)) < 1_000_000
    proxy.requests.clear()
    tasks = together(proxy.url, *map(create, range(100, 1600)))
    assert len({task.id for task in tasks}) == 1500
    assert len(proxy.requests) == 2


def test_a_client_works_in_one_loop_after_another(server: Server) -> None:
    server.define("demo/mail")
    client = AsyncClient(server.url)

    async def pair(number: int) -> tuple[Task, Task]:
        return await asyncio.gather(create(number)(client), create(number + 1)(client))

    assert [task.id for number in (1, 3) for task in asyncio.run(pair(number))] == [f"mail-{n}" for n in (1, 2, 3, 4)]
    client.close()
