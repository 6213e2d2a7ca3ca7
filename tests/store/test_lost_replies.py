"""The reply of the database to a committed statement is lost: the statement runs again and is applied once.

A proxy stands between the server and its Postgres and cuts the connection when the reply has come.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from fencepost.settings import Settings
from tests.fixtures.events import publish, put_trigger, rule, subscribe
from tests.fixtures.schedules import put
from tests.fixtures.servers import Server, running_server
from tests.fixtures.two_servers import essence, history
from tests.fixtures.waiting import until
from tests.fixtures.workflows import Decider

pytestmark = pytest.mark.shows("guarantees/decision-once")


class Wire:
    """A proxy for one Postgres, on TCP; `lose` names a word, and the next reply to what contains it is lost."""

    def __init__(self, conninfo: str) -> None:
        parts = conninfo_to_dict(conninfo)
        self._target = f"{parts['host']}/.s.PGSQL.{parts['port']}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.conninfo = make_conninfo(conninfo, host="127.0.0.1", port=self._listener.getsockname()[1])
        self.lose = b""
        self.lost = 0
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Accept no more connections and wait for the end of the open ones."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._carry, args=(client,)))
                self._threads[-1].start()

    def _carry(self, client: socket.socket) -> None:
        with (
            # Either end may go away at any time.
            contextlib.suppress(ConnectionError),
            client,
            socket.socket(socket.AF_UNIX) as database,
            selectors.DefaultSelector() as selector,
        ):
            database.connect(self._target)
            selector.register(client, selectors.EVENT_READ, database)
            selector.register(database, selectors.EVENT_READ, client)
            cut = False
            while True:
                for key, _ in selector.select():
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    if not data:
                        return
                    if key.fileobj is client and self.lose and self.lose in data:
                        self.lose, cut = b"", True
                    elif key.fileobj is database and cut:
                        self.lost += 1
                        return
                    key.data.sendall(data)


@pytest.fixture
def wire(database: str) -> Iterator[Wire]:
    proxy = Wire(database)
    yield proxy
    proxy.close()


@pytest.fixture
def server(wire: Wire, database: str) -> Iterator[Server]:
    """A server behind the proxy, with one connection, so that all statements pass through it in order."""
    with running_server(wire.conninfo, settings=Settings(connections=1)) as running:
        running.conninfo = database
        running.define()
        yield running


EXECUTIONS = [
    ("awf.task/notify", {"notification": "heartbeat", "message": "lose-me"}),
    ("awf.task/success", {"result": {"word": "lose-me"}}),
    ("awf.task/fail", {"error": {"word": "lose-me"}}),
]


@pytest.mark.parametrize(("method", "members"), EXECUTIONS)
def test_a_report_of_a_worker_is_applied_once_after_a_lost_reply(
    server: Server, wire: Wire, method: str, members: dict[str, Any]
) -> None:
    lease = server.started()
    wire.lose = b"lose-me"
    server.rpc(method, {**lease, **members})
    assert wire.lost == 1
    actions = [action for action, _, _ in history(server, lease["id"])]
    # A heartbeat may be logged twice.
    assert actions.count(method) == (2 if method == "awf.task/notify" else 1)


@pytest.mark.parametrize("method", ["awf.task/start", "awf.task/release"])
def test_a_start_or_release_is_applied_once_after_a_lost_reply(server: Server, wire: Wire, method: str) -> None:
    id = server.create(id="lose-me")["id"]
    (task,) = server.poll()
    wire.lose = b"lose-me"
    server.rpc(method, {"id": id, "execId": task["execId"]})
    assert wire.lost == 1
    assert [action for action, _, _ in history(server, id)].count(method) == 1


@pytest.mark.parametrize("members", [{}, {"id": "mine"}])
def test_a_task_is_created_once_after_a_lost_reply(server: Server, wire: Wire, members: dict[str, str]) -> None:
    server.create()
    wire.lose = b"lose-me"
    id = server.create(label="lose-me", **members)["id"]
    assert wire.lost == 1
    assert server.query("select id from fencepost.task_resources where label = 'lose-me'") == [(id,)]


@pytest.mark.parametrize(
    "members", [{}, {"ids": ["mine", None, "yours"]}, {"requestId": "r"}, {"executeAt": "2099-01-01T00:00:00Z"}]
)
def test_many_tasks_are_created_once_after_a_lost_reply(server: Server, wire: Wire, members: dict[str, Any]) -> None:
    server.create()
    wire.lose = b"lose-me"
    params = {"definition": "demo/resize", "params": [{"word": "lose-me"}] * 3, **members}
    ids = server.rpc("awf.task/create-many", params)["ids"]
    assert wire.lost == 1
    rows = server.query("select id from fencepost.live_tasks where params::text like '%lose-me%' order by seq")
    assert [id for (id,) in rows] == ids


def test_executions_of_many_end_once_after_a_lost_reply(server: Server, wire: Wire) -> None:
    leases = [server.started() for _ in range(2)]
    wire.lose = b"lose-me"
    call = {"ids": [lease["id"] for lease in leases], "execIds": [lease["execId"] for lease in leases]}
    result = server.rpc("awf.task/success-many", {**call, "results": [{"word": "lose-me"}, None]})
    assert (wire.lost, result) == (1, {"refused": []})
    assert [server.task(id).get("result") for id in call["ids"]] == [{"word": "lose-me"}, None]


@pytest.mark.parametrize("start", [True, False])
def test_a_poll_with_a_request_id_gets_its_leases_after_a_lost_reply(server: Server, wire: Wire, start: bool) -> None:
    for _ in range(3):
        server.create()
    wire.lose = b"lose-me"
    tasks = server.poll(maxBatchSize=2, start=start, requestId="lose-me")
    assert wire.lost == 1
    held = server.query("select count(*) from fencepost.live_tasks where exec_id is not null")
    assert (len(tasks), held) == (2, [(2,)])


def test_a_definition_is_put_once_after_a_lost_reply(server: Server, wire: Wire) -> None:
    wire.lose = b"COMMIT"
    assert server.define(inProgressTimeout=7000)["version"] == 2
    assert wire.lost == 1
    assert server.query("select max(version) from fencepost.definitions") == [(2,)]


def test_a_workflow_is_created_once_after_a_lost_reply(server: Server, wire: Wire) -> None:
    decider = Decider(server, "demo/order")
    wire.lose = b"COMMIT"
    id = decider.create()["id"]
    assert wire.lost == 1
    assert server.query("select id from fencepost.live_workflows") == [(id,)]
    assert len(decider.poll(maxBatchSize=5)) == 1


def test_a_decision_is_applied_once_after_a_lost_reply(server: Server, wire: Wire) -> None:
    decider = Decider(server, "demo/order")
    workflow = decider.create()
    decision = decider.decision()
    wire.lose = b"COMMIT"
    assert decider.decide(decision, decider.task(), decider.child("sub", "demo/order"))["outcome"] == "succeeded"
    assert wire.lost == 1
    assert len(decider.status(workflow["id"])["activities"]) == 2


@pytest.mark.parametrize("is_many", [False, True])
def test_the_end_of_an_activity_is_delivered_once_after_a_lost_reply(
    server: Server, wire: Wire, *, is_many: bool
) -> None:
    decider = Decider(server, "demo/order")
    decider.create()
    decider.decide(decider.decision(), decider.task("one"))
    (task,) = server.poll(start=True)
    result = {"word": "lose-me"}
    wire.lose = b"lose-me"
    if is_many:
        call = {"ids": [task["id"]], "execIds": [task["execId"]], "results": [result]}
        assert server.rpc("awf.task/success-many", call) == {"refused": []}
    else:
        server.rpc("awf.task/success", {"id": task["id"], "execId": task["execId"], "result": result})
    assert wire.lost == 1
    decider.decide(decider.decision())
    assert decider.poll() == []


@pytest.mark.parametrize("members", [{}, {"signal-id": "mail-1"}])
def test_a_signal_is_delivered_once_after_a_lost_reply(server: Server, wire: Wire, members: dict[str, str]) -> None:
    decider = Decider(server, "demo/order")
    workflow = decider.create()
    decider.decide(decider.decision())
    wire.lose = b"COMMIT"
    server.rpc("awf.workflow/signal", {"id": workflow["id"], "name": "approved", **members})
    assert wire.lost == 1
    decider.decide(decider.decision())
    assert decider.poll() == []


@pytest.mark.parametrize("members", [{}, {"id": "one"}])
def test_an_event_is_accepted_once_after_a_lost_reply(server: Server, wire: Wire, members: dict[str, str]) -> None:
    put_trigger(server, rule("n", value=1))
    waiting = subscribe(server, rule("n", value=1))
    wire.lose = b"COMMIT"
    answer = publish(server, {"n": 1}, **members)
    assert wire.lost == 1
    assert answer["completed"] == [waiting]
    assert [started["resource"]["id"] for started in answer["started"]] == [task["id"] for task in server.poll()]


# These calls have no id to repeat them by: they are applied once, and the answer may be a conflict.


def test_a_cancel_is_applied_once_after_a_lost_reply(server: Server, wire: Wire) -> None:
    server.create(id="lose-me")
    wire.lose = b"lose-me"
    said = essence(server, "awf.task/cancel", {"id": "lose-me"})
    assert wire.lost == 1
    assert said == (422, "task-has-been-done") or said["outcome"] == "canceled"
    assert [action for action, _, _ in history(server, "lose-me")].count("awf.task/cancel") == 1


def test_a_retry_is_applied_once_after_a_lost_reply(server: Server, wire: Wire) -> None:
    server.create(id="lose-me")
    server.rpc("awf.task/cancel", {"id": "lose-me"})
    wire.lose = b"lose-me"
    said = essence(server, "awf.task/retry", {"id": "lose-me"})
    assert wire.lost == 1
    assert said == (422, "task-not-done") or said["status"] == "ready"
    assert [action for action, _, _ in history(server, "lose-me")].count("awf.task/retry") == 1


def test_a_definition_is_deleted_once_after_a_lost_reply(server: Server, wire: Wire) -> None:
    wire.lose = b"COMMIT"
    said = essence(server, "awf.definition/delete", {"name": "demo/resize"})
    assert wire.lost == 1
    assert said == (404, "definition-not-found") or isinstance(said, dict)
    assert server.query("select count(*) from fencepost.definitions where is_newest and name = 'demo/resize'") == [(0,)]


# Schedules


def test_a_schedule_is_put_and_started_once_after_a_lost_reply(server: Server, wire: Wire) -> None:
    wire.lose = b"COMMIT"
    assert put(server, execute_on_setup=True)["version"] == 1
    assert wire.lost == 1
    assert server.query("select count(*) from fencepost.live_tasks") == [(1,)]


@pytest.mark.parametrize("members", [{}, {"id": "mine"}])
def test_a_manual_start_is_made_once_after_a_lost_reply(server: Server, wire: Wire, members: dict[str, str]) -> None:
    put(server)
    wire.lose = b"COMMIT"
    start = server.rpc("awf.schedule/run-now", {"name": "demo/nightly", **members})["start"]
    assert wire.lost == 1
    assert server.query("select id from fencepost.live_tasks") == [(start["reference"]["id"],)]


def test_a_backfill_is_made_once_after_a_lost_reply(server: Server, wire: Wire) -> None:
    put(server)
    wire.lose = b"COMMIT"
    stretch = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T04:00:00Z"}
    filled = server.rpc("awf.schedule/backfill", {"name": "demo/nightly", **stretch})["starts"]
    assert wire.lost == 1
    tasks = {id for (id,) in server.query("select id from fencepost.live_tasks")}
    assert {start["reference"]["id"] for start in filled} == tasks
    assert len(tasks) == 4


def test_a_due_time_is_started_once_after_a_lost_reply(server: Server, wire: Wire) -> None:
    put(server)
    wire.lose = b"COMMIT"
    server.query("update fencepost.schedules set due_at = now(), starts_at = now()")
    until(lambda: server.run(server.app.scheduler.run_once()) > 0.2)
    assert wire.lost == 1
    assert server.query("select count(*) from fencepost.live_tasks") == [(1,)]
    assert server.query("select count(*) from fencepost.schedule_starts") == [(1,)]
