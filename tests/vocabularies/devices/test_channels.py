"""Channels: messages to and from devices, and events for clients, over server-sent events and WebSocket."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from websockets.exceptions import InvalidStatus

from fencepost.clock import FrozenClock
from fencepost.settings import DeviceSettings, Settings
from tests.fixtures.devices import Fleet, Stream, socket_to, streaming
from tests.fixtures.servers import Server, running_server
from tests.fixtures.two_servers import TwoServers
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/observing-changes-nothing")

R2 = "/devices/r2/events"
AS_R2 = f"{R2}?as=device"
CLIENT = "/events/client"
# Quick enough for a test to see it twice.
OFTEN = Settings(devices=DeviceSettings(healthcheck_seconds=0.2, silence_seconds=30))


@pytest.fixture
def fleet(server: Server) -> Fleet:
    return Fleet(server)


@pytest.fixture
def quick(database: str) -> Iterator[Fleet]:
    with running_server(database, settings=OFTEN) as server:
        yield Fleet(server)


@pytest.mark.shows("devices/task-registered")
def test_a_device_receives_its_task_as_task_registered_message(fleet: Fleet) -> None:
    with streaming(fleet.server, f"/api{AS_R2}") as device:
        run = fleet.begin(payload={"speed": 0.50})
        message = device.next()
    expected = {
        "type": "TASK_REGISTERED",
        "task_id": run["currentTaskId"],
        "action_name": "GO",
        "device_id": "r2",
        "device_name": "r2",
        "payload": {"to": "gate", "speed": 0.5},
        "workflow_run_id": run["id"],
    }
    assert {name: message[name] for name in expected} == expected


@pytest.mark.shows("devices/channel-per-device")
def test_a_device_channel_has_no_messages_of_other_devices(fleet: Fleet) -> None:
    with streaming(fleet.server, AS_R2) as device:
        fleet.begin(device="c3")
        mine = fleet.begin()
        assert device.next()["task_id"] == mine["currentTaskId"]


@pytest.mark.shows("devices/registered-again")
def test_a_task_is_announced_again_until_its_device_reports(fleet: Fleet) -> None:
    with streaming(fleet.server, AS_R2) as device:
        task = fleet.begin()["currentTaskId"]
        assert [device.next()["task_id"] for _ in range(2)] == [task, task]
        fleet.report(task, "start")
        fleet.report(task, "complete")
        assert device.next()["action_name"] in ("GO", "WAIT")
        until(lambda: device.next()["action_name"] == "WAIT")


@pytest.mark.shows("devices/at-least-once")
def test_a_device_that_connects_late_receives_its_pending_task(fleet: Fleet) -> None:
    task = fleet.begin()["currentTaskId"]
    for _ in range(2):
        with streaming(fleet.server, AS_R2) as device:
            assert device.next()["task_id"] == task


@pytest.mark.shows("devices/task-aborted")
def test_a_device_receives_the_abort_of_its_task(fleet: Fleet) -> None:
    with streaming(fleet.server, AS_R2) as device:
        run = fleet.begin()
        task = device.next("TASK_REGISTERED")["task_id"]
        fleet.report(task, "start")
        fleet.stop(run["id"])
        message = device.next("TASK_ABORTED")
    assert (message["task_id"], message["action_name"], message["device_id"]) == (task, "GO", "r2")
    assert message["reason"] == "canceled"


@pytest.mark.shows("devices/abort-at-least-once")
def test_a_device_that_reconnects_receives_the_abort_of_its_last_task(fleet: Fleet) -> None:
    with streaming(fleet.server, AS_R2) as device:
        run = fleet.begin()
        task = device.next("TASK_REGISTERED")["task_id"]
        fleet.report(task, "start")
    fleet.stop(run["id"])
    following = fleet.begin()
    with streaming(fleet.server, AS_R2) as device:
        assert (device.next()["type"], device.next()["task_id"]) == ("TASK_ABORTED", following["currentTaskId"])


def test_an_observer_receives_the_messages_of_a_device(fleet: Fleet) -> None:
    with streaming(fleet.server, R2) as observer:
        run = fleet.begin()
        assert observer.next("TASK_REGISTERED")["task_id"] == run["currentTaskId"]
        fleet.stop(run["id"])
        assert observer.next("TASK_ABORTED")["reason"] == "canceled"


@pytest.mark.shows("devices/observing-changes-nothing")
def test_observing_a_channel_registers_no_device(fleet: Fleet) -> None:
    with streaming(fleet.server, R2) as observer:
        fleet.begin()
        observer.next("TASK_REGISTERED")
    assert fleet.server.send("HEAD", AS_R2)[0] == 200
    assert fleet.server.send("GET", "/devices/r2")[0] == 404


@pytest.mark.shows("devices/observing-changes-nothing")
def test_observing_a_channel_is_no_heartbeat(quick: Fleet) -> None:
    with socket_to(quick.server, R2) as device:
        device.next("HEALTHCHECK")
    before = quick.call("GET", "/devices/r2")["seenAt"]
    with streaming(quick.server, R2) as observer:
        for _ in range(3):
            observer.next("HEALTHCHECK")
    assert quick.call("GET", "/devices/r2")["seenAt"] == before


@pytest.mark.parametrize("query", ["as=robot", "as=", "us=device"])
def test_an_unknown_query_parameter_of_a_channel_is_refused(server: Server, query: str) -> None:
    assert server.send("GET", f"{R2}?{query}")[0] == 400


@pytest.mark.shows("devices/healthcheck")
def test_a_device_answers_health_checks_on_its_socket(quick: Fleet) -> None:
    with socket_to(quick.server, R2) as device:
        assert device.next() == {"type": "HEALTHCHECK"}
        before = quick.call("GET", "/devices/r2")
        assert before["connected"]
        device.send_json(type="HEARTBEAT", token="secret")
        until(lambda: quick.call("GET", "/devices/r2")["seenAt"] > before["seenAt"])
        assert device.next() == {"type": "HEALTHCHECK"}


@pytest.mark.shows("devices/stream-heartbeat")
def test_an_open_device_stream_counts_as_heartbeat(quick: Fleet) -> None:
    with streaming(quick.server, AS_R2) as device:
        device.next("HEALTHCHECK")
        before = quick.call("GET", "/devices/r2")["seenAt"]
        until(lambda: quick.call("GET", "/devices/r2")["seenAt"] > before)


def test_a_device_reports_over_its_socket(fleet: Fleet) -> None:
    with socket_to(fleet.server, R2) as device:
        run = fleet.begin()
        task = device.next("TASK_REGISTERED")["task_id"]
        for type in ("TASK_STARTED", "TASK_COMPLETED", "TASK_COMPLETED"):
            device.send_json(type=type, task_id=task, task_type="whatever", action_name="GO", device_id=1)
            assert device.next("REPORT_TAKEN", "REFUSED") == {"type": "REPORT_TAKEN", "task_id": task}
        assert fleet.statuses(run["id"]) == ["COMPLETED", "PENDING"]
        assert device.next("TASK_REGISTERED")["action_name"] in ("GO", "WAIT")


@pytest.mark.parametrize(
    ("message", "type", "path"),
    [
        ({"type": "TASK_STARTED", "task_id": "nobody"}, "task-not-found", "$.id"),
        ({"type": "TASK_STARTED", "task_id": True}, "invalid-params", "$.task_id"),
        ({"type": "TASK_DANCED", "task_id": "a"}, "invalid-params", "$.type"),
        ({"task_id": "a"}, "invalid-params", "$.type"),
    ],
)
def test_a_bad_report_is_refused_and_the_socket_stays_open(
    fleet: Fleet, message: dict[str, object], type: str, path: str
) -> None:
    with socket_to(fleet.server, R2) as device:
        for _ in range(2):
            device.send_json(**message)
            refused = device.next()
            assert refused["type"] == "REFUSED"
            assert (refused["error"]["type"], refused["error"]["path"]) == (type, path)


@pytest.mark.shows("devices/abort-answered")
def test_a_device_reports_the_abort_that_it_received_over_its_socket(fleet: Fleet) -> None:
    with socket_to(fleet.server, R2) as device:
        run = fleet.begin()
        task = device.next("TASK_REGISTERED")["task_id"]
        device.send_json(type="TASK_STARTED", task_id=task)
        # The stop comes by another connection, and could overtake the start.
        assert device.next("REPORT_TAKEN", "REFUSED") == {"type": "REPORT_TAKEN", "task_id": task}
        fleet.stop(run["id"])
        assert device.next("TASK_ABORTED")["task_id"] == task
        device.send_json(type="TASK_ABORTED", task_id=task, task_type="abort", reason="task_aborted_by_server")
        assert device.next("REPORT_TAKEN", "REFUSED") == {"type": "REPORT_TAKEN", "task_id": task}
    assert fleet.task(task)["reason"] == "canceled"


def test_a_report_that_does_not_fit_the_status_is_refused_over_the_socket(fleet: Fleet) -> None:
    with socket_to(fleet.server, R2) as device:
        task = fleet.begin()["currentTaskId"]
        device.send_json(type="TASK_COMPLETED", task_id=task)
        assert device.next("REFUSED")["error"]["type"] == "report-refused"


@pytest.mark.shows("devices/ping")
@pytest.mark.parametrize("ping", [b"ping", "ping"])
def test_a_ping_is_a_heartbeat_without_answer(fleet: Fleet, ping: bytes | str) -> None:
    with socket_to(fleet.server, R2) as device:
        before = fleet.call("GET", "/devices/r2")["seenAt"]
        device.send(ping)
        until(lambda: fleet.call("GET", "/devices/r2")["seenAt"] > before)
        device.send_json(type="TASK_STARTED", task_id="nobody")
        assert device.next()["error"]["type"] == "task-not-found"


@pytest.mark.parametrize("text", ["{", "[]", "1", '{"type": "HEARTBEAT", "type": "HEARTBEAT"}', "\x00", b"\xff"])
def test_a_frame_that_is_no_message_is_refused_and_the_socket_stays_open(fleet: Fleet, text: bytes | str) -> None:
    with socket_to(fleet.server, R2) as device:
        for _ in range(2):
            device.send(text)
            assert device.next()["error"]["type"] == "invalid-request"


def test_a_bad_device_name_has_no_channel(server: Server) -> None:
    assert server.send("GET", "/devices/a%20b/events")[0] == 404
    with pytest.raises(InvalidStatus), socket_to(server, "/devices/a%20b/events"):
        pass


@pytest.mark.shows("devices/client-events")
def test_clients_receive_every_change_of_a_run_and_its_tasks(fleet: Fleet) -> None:
    with streaming(fleet.server, CLIENT) as client:
        run = fleet.begin()
        fleet.do(run["id"], "reject", reason="busy")
        fleet.do(run["id"], "start", "abort")
        fleet.do(run["id"], "start", "complete")
        fleet.do(run["id"], "start", "complete")
        types = client.types("WORKFLOW_RUN_COMPLETED")
    assert types == [
        "WORKFLOW_RUN_STARTED",
        "TASK_REGISTERED",
        "TASK_REJECTED",
        "WORKFLOW_RUN_RETRYING",
        "TASK_REGISTERED",
        "TASK_STARTED",
        "TASK_ABORTED",
        "WORKFLOW_RUN_RETRYING",
        "TASK_REGISTERED",
        "TASK_STARTED",
        "TASK_COMPLETED",
        "TASK_REGISTERED",
        "TASK_STARTED",
        "TASK_COMPLETED",
        "WORKFLOW_RUN_COMPLETED",
    ]


@pytest.mark.shows("devices/client-event-members")
def test_a_client_event_names_run_task_device_and_status(fleet: Fleet) -> None:
    with streaming(fleet.server, CLIENT) as client:
        run = fleet.begin()
        task = run["currentTaskId"]
        fleet.report(task, "reject", reason="busy")
        event = client.next("TASK_REJECTED")
    assert event.pop("_id") == event.pop("occurredAt") == fleet.task(task)["updatedAt"]
    assert event == {
        "type": "TASK_REJECTED",
        "taskId": task,
        "workflowRunId": run["id"],
        "workflowId": "demo/patrol",
        "deviceId": "r2",
        "actionName": "GO",
        "status": "REJECTED",
        "reason": "busy",
    }


@pytest.mark.shows("devices/run-events")
@pytest.mark.parametrize("end", ["FAILED", "ABORTED"])
def test_clients_receive_the_end_of_a_run(fleet: Fleet, end: str) -> None:
    with streaming(fleet.server, CLIENT) as client:
        run = fleet.begin()
        if end == "ABORTED":
            fleet.stop(run["id"])
        else:
            for _ in range(4):
                fleet.do(run["id"], "reject")
        assert client.next(f"WORKFLOW_RUN_{end}")["status"] == end


@pytest.mark.shows("devices/client-replay")
def test_a_client_that_reconnects_receives_the_events_it_missed(fleet: Fleet) -> None:
    with streaming(fleet.server, CLIENT) as client:
        run = fleet.begin()
        last = client.next("TASK_REGISTERED")["_id"]
    fleet.do(run["id"], "start", "complete")
    fleet.stop(run["id"])
    for path, headers in ((CLIENT, {"Last-Event-ID": last}), (f"{CLIENT}?since={last}", {})):
        with streaming(fleet.server, path, **headers) as client:
            types = client.types("WORKFLOW_RUN_ABORTED")
        assert types[-5:-1] == ["TASK_STARTED", "TASK_COMPLETED", "TASK_REGISTERED", "TASK_ABORTED"]


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00Z", "1999-12-31T23:59:59Z"])
def test_since_may_be_earlier_than_all_events(fleet: Fleet, since: str) -> None:
    run = fleet.begin()
    with streaming(fleet.server, f"{CLIENT}?since={since}") as client:
        assert client.next("TASK_REGISTERED")["taskId"] == run["currentTaskId"]


def test_a_replay_goes_back_one_day_at_most(frozen_server: Server, clock: FrozenClock) -> None:
    fleet = Fleet(frozen_server)
    run = fleet.begin()
    runs = [run["id"]]
    for hours in (23, 2):
        fleet.stop(runs[-1])
        clock.advance(timedelta(hours=hours))
        runs.append(fleet.begin()["id"])
        with streaming(frozen_server, f"{CLIENT}?since={run['createdAt']}") as client:
            told = [client.next("WORKFLOW_RUN_STARTED")["workflowRunId"] for _ in range(2)]
        assert told == runs[-2:]


def test_a_bad_since_time_is_refused(server: Server) -> None:
    assert server.send("GET", f"{CLIENT}?since=yesterday")[0] == 400
    assert server.send("GET", f"{CLIENT}?sine=2026-01-01T00:00:00Z")[0] == 400
    with pytest.raises(InvalidStatus), socket_to(server, f"{CLIENT}?since=yesterday"):
        pass


@pytest.mark.shows("devices/transports")
def test_clients_may_listen_over_a_websocket(fleet: Fleet) -> None:
    with socket_to(fleet.server, f"/api{CLIENT}") as client:
        client.send_json(anything="goes")
        run = fleet.begin()
        assert client.next("TASK_REGISTERED")["taskId"] == run["currentTaskId"]


@pytest.mark.shows("devices/event-after-state")
def test_a_device_and_clients_of_another_server_receive_messages(servers: TwoServers) -> None:
    fleet = Fleet(servers.one)
    with socket_to(servers.other, R2) as device, streaming(servers.other, CLIENT) as client:
        run = fleet.begin()
        task = device.next("TASK_REGISTERED")["task_id"]
        assert task == run["currentTaskId"]
        fleet.report(task, "start")
        assert client.next("TASK_STARTED")["taskId"] == task


def test_concurrent_clients_receive_the_same_events(fleet: Fleet, pool: ThreadPoolExecutor) -> None:
    clients = [Stream(fleet.server, CLIENT) for _ in range(20)]
    try:
        fleet.do(fleet.begin()["id"], "start", "complete")
        types = [*pool.map(lambda client: client.types("TASK_COMPLETED"), clients)]
    finally:
        for client in clients:
            client.close()
    assert all(one == types[0] for one in types)


def test_a_server_that_stops_ends_its_channels(database: str) -> None:
    with running_server(database) as server:
        stream = Stream(server, CLIENT)
        with socket_to(server, R2) as device:
            server.run(server.app.drain())
            assert (device.next(), device.close_code) == (None, 1012)
            assert stream.next() is None
            stream.close()


@pytest.mark.shows("devices/bearer")
def test_channels_need_credentials_when_clients_are_configured(database: str) -> None:
    secret = "a-secret-of-a-robot"
    with running_server(database, settings=Settings(clients={"robot": secret})) as server:
        assert server.send("GET", CLIENT)[0] == 401
        with pytest.raises(InvalidStatus), socket_to(server, R2):
            pass
        with socket_to(server, R2, additional_headers={"authorization": f"Bearer {secret}"}) as device:
            device.send_json(type="TASK_STARTED", task_id="nobody")
            assert device.next("REFUSED")["error"]["type"] == "task-not-found"
        path = "/api/tasks/nobody/start"
        assert server.send("POST", path)[0] == 401
        assert server.send("POST", path, authorization=f"Bearer {secret}")[0] == 404


def test_a_page_of_another_site_cannot_open_a_channel(server: Server) -> None:
    with pytest.raises(InvalidStatus), socket_to(server, R2, origin="http://evil.example"):
        pass
