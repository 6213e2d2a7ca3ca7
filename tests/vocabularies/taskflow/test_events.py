"""The stream of a flow's events."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.fixtures.servers import Server
from tests.fixtures.taskflows import Caller, flow, task, tasks
from tests.fixtures.two_servers import TwoServers
from tests.fixtures.waiting import until

GO_ON = {"continueOnTaskFailure": True}


class Told(NamedTuple):
    """A received event."""

    kind: str
    id: str | None
    data: Any


@contextmanager
def stream(server: Server, id: str, last: str | None = None) -> Iterator[Iterator[Told]]:
    """Follow a flow's events."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    try:
        connection.request("GET", f"/taskflows/{id}/events", headers={} if last is None else {"last-event-id": last})
        response = connection.getresponse()
        assert (response.status, response.getheader("content-type")) == (200, "text/event-stream; charset=utf-8")
        yield read(response)
    finally:
        connection.close()


def read(response: http.client.HTTPResponse) -> Iterator[Told]:
    members: dict[str, str] = {}
    for line in response:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            members[name] = value
        elif "data" in members:
            event = json.loads(members["data"])
            assert event["eventType"] == members["event"]
            yield Told(event["eventType"], members.get("id"), event["data"])
            members = {}
        else:
            members = {}


def short(told: list[Told]) -> list[tuple[str, ...]]:
    """Return the kind, the name of the task or stage, and the status of each event."""
    found: list[tuple[str, ...]] = []
    for kind, _, data in told:
        flow = data["taskflowObject"]
        stage = flow["stages"].get(data.get("stageId"))
        if kind == "TASK":
            found.append((kind, stage["tasks"][data["taskId"]]["name"], data["taskStatus"]))
        elif kind == "STAGE":
            found.append((kind, stage["name"], data["stageStatus"]))
        else:
            found.append((kind, data["taskflowStatus"]))
    return found


@pytest.fixture
def caller(server: Server) -> Caller:
    return Caller(server)


@pytest.mark.shows("taskflow/flow-statuses", "taskflow/events")
def test_each_update_is_streamed_until_the_flow_has_ended(caller: Caller) -> None:
    id = caller.produce(flow(["a"], ["b"], options=GO_ON))
    with stream(caller.server, id) as events:
        told = [next(events) for _ in range(3)]
        taken = caller.take("a")
        told.append(next(events))
        caller.end(taken, "success", {"ok": 1})
        caller.fail("b")
        told += events
    assert short(told) == [
        ("TASK", "a", "QUEUED"),
        ("STAGE", "s1", "RUNNING"),
        ("TASKFLOW", "RUNNING"),
        ("TASK", "a", "RUNNING"),
        ("TASK", "a", "SUCCESS"),
        ("STAGE", "s1", "COMPLETED"),
        ("TASK", "b", "QUEUED"),
        ("STAGE", "s2", "RUNNING"),
        ("TASK", "b", "RUNNING"),
        ("TASK", "b", "FAILED"),
        ("STAGE", "s2", "FAILED"),
        ("TASKFLOW", "PARTIAL_COMPLETED"),
    ]
    done = told[4].data
    assert done.keys() == {
        "taskflowId", "attempt", "stageId", "taskId", "taskStatus", "taskResponse", "taskflowObject",
    }  # fmt: skip
    assert (done["taskflowId"], done["attempt"], done["taskResponse"]) == (id, 0, {"ok": 1})
    assert told[5].data.keys() == {"taskflowId", "stageId", "stageStatus", "taskflowObject"}
    assert told[-1].data.keys() == {"taskflowId", "taskflowStatus", "taskflowObject"}
    assert told[-1].data["taskflowObject"] == caller.details(id)


@pytest.mark.shows("taskflow/events-early-failures")
def test_a_task_of_the_first_stage_that_fails_without_a_worker_has_an_event(caller: Caller) -> None:
    lost = task("lost", {"x": "{{nobody}}"})
    id = caller.produce(flow([lost, "a"], options=GO_ON))
    with stream(caller.server, id) as events:
        told = [next(events) for _ in range(4)]
        caller.work("a")
        told += events
    assert short(told[:4]) == [
        ("TASK", "lost", "FAILED"),
        ("TASK", "a", "QUEUED"),
        ("STAGE", "s1", "RUNNING"),
        ("TASKFLOW", "RUNNING"),
    ]
    assert short(told[-2:]) == [("STAGE", "s1", "PARTIAL_COMPLETED"), ("TASKFLOW", "PARTIAL_COMPLETED")]
    id = caller.produce(flow([lost]))
    with stream(caller.server, id) as events:
        assert short([*events]) == [("TASK", "lost", "FAILED"), ("STAGE", "s1", "FAILED"), ("TASKFLOW", "FAILED")]


@pytest.mark.shows("taskflow/events-early-failures")
def test_a_stage_with_kept_tasks_has_an_event_when_a_retry_runs_it(caller: Caller) -> None:
    id = caller.produce(flow(["a", "b"], ["c", "d"], options=GO_ON))
    caller.work("a")
    caller.fail("b")
    caller.work("c")
    caller.fail("d")
    stages = caller.ended(id)["stages"].values()
    names = {one["name"]: one["id"] for stage in stages for one in stage["tasks"].values()}
    wanted = [
        {"stageId": stage["id"], "taskIds": [names[name]]} for stage, name in zip(stages, ("b", "d"), strict=True)
    ]
    caller.call("/retry", taskflowId=id, stages=wanted)
    caller.work("b")
    caller.work("d")
    with stream(caller.server, id) as events:
        told = short([*events])
    assert [one for one in told if one[0] == "STAGE"] == [
        ("STAGE", "s1", "RUNNING"),
        ("STAGE", "s1", "COMPLETED"),
        ("STAGE", "s2", "RUNNING"),
        ("STAGE", "s2", "COMPLETED"),
    ]


@pytest.mark.shows("taskflow/event-has-flow")
def test_an_event_holds_the_flow_after_its_update(caller: Caller) -> None:
    id = caller.produce(flow(["a"]))
    caller.work("a", {"ok": 1})
    caller.ended(id)
    with stream(caller.server, id) as events:
        told = [*events]
    for kind, _, data in told:
        record = data["taskflowObject"]
        (one,) = tasks(record)
        if kind == "TASK":
            assert (one["status"], one["response"]) == (data["taskStatus"], data["taskResponse"])
        if kind == "TASKFLOW":
            assert record["status"] == data["taskflowStatus"]


@pytest.mark.shows("taskflow/no-missed-events")
def test_a_reader_that_reconnects_misses_no_event(caller: Caller) -> None:
    id = caller.produce(flow(["a", "b"], options=GO_ON))
    caller.work("a")
    caller.fail("b")
    caller.ended(id)
    with stream(caller.server, id) as events:
        whole = [*events]
    for place, one in enumerate(whole[:-1]):
        if one.id is not None:
            with stream(caller.server, id, one.id) as events:
                assert [*events] == whole[place + 1 :]
    assert whole[-1].id == "1"


def test_a_reader_at_the_end_is_answered_204_until_the_flow_is_retried(caller: Caller) -> None:
    id = caller.produce(flow(["a"]))
    caller.fail("a")
    caller.ended(id)
    assert caller.server.send("GET", f"/taskflows/{id}/events", last_event_id="1")[0] == 204
    caller.call("/retry", taskflowId=id)
    with stream(caller.server, id, "1") as events:
        caller.work("a")
        told = [*events]
    assert short(told)[-1] == ("TASKFLOW", "COMPLETED")
    assert {one.data["taskflowObject"]["retryAttempt"] for one in told} == {1}
    with stream(caller.server, id) as events:
        assert [*events] == told


def test_a_stream_has_the_events_of_another_server(servers: TwoServers) -> None:
    one, other = Caller(servers.one), Caller(servers.other)
    id = one.produce(flow(["a"], ["b"]))
    with stream(servers.one, id) as events:
        other.work("a")
        other.work("b")
        assert short([*events])[-1] == ("TASKFLOW", "COMPLETED")


def test_a_nested_flow_is_an_update_of_its_task(caller: Caller) -> None:
    id = caller.produce(flow(["a"]))
    taken = caller.take("a")
    inner = caller.produce({**flow(["b"]), "meta": taken["params"]["meta"]})
    caller.work("b")
    caller.end(taken)
    caller.ended(id)
    with stream(caller.server, id) as events:
        shown = [
            (tasks(one.data["taskflowObject"])[0]["nestedTaskflows"], one.data["taskStatus"])
            for one in events
            if one.kind == "TASK"
        ]
    assert shown[0] == ([], "QUEUED")
    assert ([inner], "RUNNING") in shown
    assert shown[-1] == ([inner], "SUCCESS")


@pytest.mark.shows("taskflow/flow-statuses")
def test_a_cancelled_flow_ends_its_stream(caller: Caller) -> None:
    id = caller.produce(flow(["a", task("b", {"x": "{{nobody}}"})]))
    with stream(caller.server, id) as events:
        next(events)
        caller.call("/cancel", taskflowId=id)
        assert short([*events])[-1] == ("TASKFLOW", "CANCELLED")


@pytest.mark.shows("taskflow/cancelled-events")
def test_a_queued_task_of_a_cancelled_flow_has_no_failed_event(caller: Caller) -> None:
    id = caller.produce(flow(["a", "b"]))
    caller.take("b")
    caller.call("/cancel", taskflowId=id)
    with stream(caller.server, id) as events:
        told = short([*events])
    assert ("TASK", "a", "FAILED") not in told
    assert told[-3:] == [("TASK", "b", "FAILED"), ("STAGE", "s1", "FAILED"), ("TASKFLOW", "CANCELLED")]


def test_a_stream_of_an_unknown_flow_or_position_is_refused(server: Server) -> None:
    assert server.send("GET", "/taskflows/nobody/events")[0] == 404
    assert server.send("GET", "/taskflows/no%00body/events")[0] == 404
    id = Caller(server).produce(flow(["a"]))
    status, _, body = server.send("GET", f"/taskflows/{id}/events", last_event_id="yesterday")
    assert (status, json.loads(body)["error"]["type"]) == (400, "invalid-params")


def test_all_streams_of_a_flow_share_one_poll(caller: Caller) -> None:
    id = caller.produce(flow(["a"]))
    reads = caller.server.app.database.reads

    with ExitStack() as streams:
        followers = [streams.enter_context(stream(caller.server, id)) for _ in range(20)]
        for told in followers:
            assert [next(told).kind for _ in range(3)] == ["TASK", "STAGE", "TASKFLOW"]
        # Each stream makes one more read after its first.
        until(lambda: reads.jobs_taken >= 40)
        before, begun = reads.jobs_taken, time.monotonic()
        until(lambda: time.monotonic() > begun + 3)
        seconds = time.monotonic() - begun

        assert reads.jobs_taken - before <= 2 * seconds + 25, "twice a second for the flow, not for each of twenty"
        caller.end(caller.take("a"), "success")
        assert {short([*told])[-1] for told in followers} == {("TASKFLOW", "COMPLETED")}
