"""Methods about schedules: put, status, list, pause, resume, manual starts and backfills."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from fencepost.cli.serving import put_definitions
from fencepost.clock import FrozenClock
from fencepost.errors import StartRefused
from fencepost.settings import Settings
from tests.fixtures.schedules import HOUR, MINUTE, NIGHTLY, became, finish, pass_time, put, starts, status
from tests.fixtures.servers import CallRefused, Server


@pytest.fixture
def server(frozen_server: Server) -> Server:
    frozen_server.define()
    return frozen_server


def call(server: Server, verb: str, **params: Any) -> Any:
    return server.rpc(f"awf.schedule/{verb}", {"name": NIGHTLY, **params})


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"schedule": "61 * * * *"}, "$.params.schedule"),
        ({"schedule": 5}, "$.params.schedule"),
        ({"timezone": "Mars/Olympus"}, "$.params.timezone"),
        ({"concurrency_policy": "replace"}, "$.params.concurrency-policy"),
        ({"start_deadline_seconds": -1}, "$.params.start-deadline-seconds"),
        ({"catch_up": 101}, "$.params.catch-up"),
        ({"jitter_seconds": 86_400}, "$.params.jitter-seconds"),
        ({"task_request": {}}, "$.params.task-request.definition"),
        ({"task_request": {"definition": "demo/resize", "params": []}}, "$.params.task-request.params"),
        ({"task_request": {"definition": "demo/strict", "params": {}}}, "$.params.task-request.params"),
        ({"task_request": {"definition": "demo/resize", "executeAt": "2026-01-01"}}, "$.params.task-request.executeAt"),
        ({"workflow_request": {"definition": "demo/resize"}}, "$.params.workflow-request.definition"),
        (
            {"workflow_request": {"definition": "demo/x"}, "task-request": {"definition": "a/b"}},
            "$.params.task-request",
        ),
        ({"every": 5}, "$.params.every"),
    ],
)
def test_an_invalid_schedule_is_refused_with_the_path_of_its_member(
    server: Server, members: dict[str, Any], path: str
) -> None:
    server.define("demo/strict", params={"type": "object", "required": ["width"]})
    with pytest.raises(CallRefused) as caught:
        put(server, **members)
    assert (caught.value.status, caught.value.fault["type"]) == (400, "invalid-params")
    assert caught.value.fault["path"] == path
    assert server.rpc("awf.schedule/list")["resources"] == []


def test_a_schedule_of_an_unknown_definition_is_refused_with_the_nearest_name(server: Server) -> None:
    with pytest.raises(CallRefused, match="did you mean 'demo/resize'") as caught:
        put(server, task_request={"definition": "demo/resise"})
    assert caught.value.fault["path"] == "$.params.task-request.definition"


def test_an_unchanged_put_makes_no_version_and_no_start(server: Server) -> None:
    assert put(server, execute_on_setup=True)["version"] == 1
    assert put(server, execute_on_setup=True)["version"] == 1
    assert [start["kind"] for start in starts(server)] == ["setup"]


def test_a_new_version_with_execute_on_setup_starts_at_once(server: Server) -> None:
    put(server, execute_on_setup=True)
    (start,) = starts(server)
    assert (start["kind"], start["status"], start["dueAt"]) == ("setup", "started", "2026-01-01T00:00:00.000000Z")
    assert server.task(start["reference"]["id"])["requester"]["rule"] == NIGHTLY
    assert status(server)["lastScheduleReference"] == start["reference"]

    put(server, execute_on_setup=True, catch_up=1)
    assert became(server)[1:] == [("2026-01-01T00:00", "still-live")]
    finish(server, start["reference"]["id"])
    put(server, execute_on_setup=True, catch_up=2)
    assert [start["status"] for start in starts(server)] == ["started", "skipped", "started"]


def test_a_new_version_with_other_due_times_uses_its_next_due_time(server: Server, clock: FrozenClock) -> None:
    put(server)
    put(server, schedule="30 * * * *")
    assert status(server)["executeAt"] == "2026-01-01T00:30:00.000000Z"
    put(server, schedule="0 12 * * *", timezone="America/New_York")
    assert status(server)["executeAt"] == "2026-01-01T17:00:00.000000Z"


def test_a_put_that_keeps_the_due_times_loses_no_due_time(server: Server, clock: FrozenClock) -> None:
    put(server)
    clock.advance(HOUR)
    put(server, task_request={"definition": "demo/resize", "label": "new"})
    pass_time(server, clock, MINUTE)
    (start,) = starts(server)
    assert start["dueAt"] == "2026-01-01T01:00:00.000000Z"


def test_a_schedule_and_a_task_cannot_have_the_same_name(server: Server) -> None:
    with pytest.raises(CallRefused, match="definition-of-other-kind"):
        put(server, "demo/resize")
    put(server)
    with pytest.raises(CallRefused, match="definition-of-other-kind"):
        server.define(NIGHTLY)
    refused = server.refused("awf.task/create-and-execute", {"definition": NIGHTLY})
    assert refused == (400, "invalid-params", "$.params.definition")


def test_a_deleted_schedule_starts_nothing_and_a_new_put_keeps_its_run_history(
    server: Server, clock: FrozenClock
) -> None:
    put(server)
    pass_time(server, clock, HOUR)
    server.rpc("awf.definition/delete", {"name": NIGHTLY})
    assert server.refused("awf.schedule/status", {"name": NIGHTLY})[:2] == (404, "schedule-not-found")
    pass_time(server, clock, HOUR)
    assert server.query("select count(*) from fencepost.live_tasks") == [(1,)]

    assert put(server)["version"] == 2
    shown = status(server)
    assert (shown["executeAt"], "lastSchedule" in shown) == ("2026-01-01T03:00:00.000000Z", False)
    assert became(server) == [("2026-01-01T01:00", "started")]


def test_schedules_are_listed_by_name_page_by_page(server: Server, clock: FrozenClock) -> None:
    for name in ("demo/c", "demo/a", "demo/b"):
        put(server, name)
    pass_time(server, clock, HOUR)
    first = server.rpc("awf.schedule/list", {"limit": 2})
    rest = server.rpc("awf.schedule/list", {"limit": 2, "after": first["next"]})
    assert [one["name"] for one in first["resources"] + rest["resources"]] == ["demo/a", "demo/b", "demo/c"]
    assert {one["lastScheduleStatus"] for one in first["resources"]} == {"started"}
    assert "next" not in rest


def test_the_status_shows_the_requested_number_of_starts(server: Server, clock: FrozenClock) -> None:
    put(server, concurrency_policy="allow")
    pass_time(server, clock, HOUR, times=3)
    shown = call(server, "status", limit=2)["starts"]
    assert [start["dueAt"][11:16] for start in shown] == ["03:00", "02:00"]
    assert call(server, "status", limit=0)["starts"] == []


@pytest.mark.parametrize("verb", ["status", "pause", "resume", "run-now"])
def test_an_unknown_schedule_is_refused_with_the_nearest_name(server: Server, verb: str) -> None:
    put(server, "demo/nightlies")
    with pytest.raises(CallRefused, match="did you mean 'demo/nightlies'") as caught:
        call(server, verb)
    assert (caught.value.fault["type"], caught.value.fault["path"]) == ("schedule-not-found", "$.params.name")


def test_a_paused_schedule_starts_nothing_and_resumes_with_the_next_due_time(
    server: Server, clock: FrozenClock
) -> None:
    put(server, concurrency_policy="allow", catch_up=100)
    paused = call(server, "pause")["resource"]
    assert (paused["paused"], "executeAt" in paused) == (True, False)
    assert call(server, "pause")["resource"]["pausedAt"] == paused["pausedAt"]
    pass_time(server, clock, HOUR, times=3)
    put(server, concurrency_policy="allow", execute_on_setup=True)
    assert became(server) == [("2026-01-01T03:00", "paused")]

    resumed = call(server, "resume")["resource"]
    assert (resumed["paused"], resumed["executeAt"]) == (False, "2026-01-01T04:00:00.000000Z")
    pass_time(server, clock, 30 * MINUTE)
    assert call(server, "resume")["resource"] == resumed
    pass_time(server, clock, 30 * MINUTE)
    assert became(server)[1:] == [("2026-01-01T04:00", "started")]


# Manual starts and backfills


def test_a_manual_start_is_idempotent_by_id_and_does_not_change_the_due_times(
    server: Server, clock: FrozenClock
) -> None:
    put(server)
    first = call(server, "run-now", id="ticket-93")["start"]
    assert (first["kind"], first["status"], first["id"]) == ("manual", "started", "ticket-93")
    assert call(server, "run-now", id="ticket-93")["start"] == first
    other = call(server, "run-now")["start"]
    assert other["reference"] != first["reference"]
    entry = server.log(first["reference"]["id"])[0]
    assert (entry["caller"], server.task(entry["subject"]["id"])["requester"]["rule"]) == ("local", NIGHTLY)

    pass_time(server, clock, HOUR)
    assert became(server)[-1] == ("2026-01-01T01:00", "started")


def test_a_paused_schedule_can_be_started_manually(server: Server) -> None:
    put(server)
    call(server, "pause")
    assert call(server, "run-now")["start"]["status"] == "started"


def test_a_manual_start_of_a_deleted_definition_is_refused(server: Server) -> None:
    put(server)
    server.rpc("awf.definition/delete", {"name": "demo/resize"})
    assert server.refused("awf.schedule/run-now", {"name": NIGHTLY}) == (404, "definition-not-found", "$.params.name")


def test_a_backfill_starts_each_missed_due_time_once(server: Server, clock: FrozenClock) -> None:
    put(server)
    pass_time(server, clock, HOUR)
    clock.advance(5 * HOUR)
    pass_time(server, clock, MINUTE)
    scheduled = starts(server)[0]
    stretch = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T04:00:00Z"}
    filled = call(server, "backfill", **stretch)["starts"]
    assert [(one["dueAt"][11:16], one["kind"]) for one in filled] == [
        ("00:00", "backfill"),
        ("01:00", "scheduled"),
        ("02:00", "backfill"),
        ("03:00", "backfill"),
    ]
    assert filled[1] == scheduled
    assert len({one["reference"]["id"] for one in filled}) == 4
    assert call(server, "backfill", **stretch)["starts"] == filled
    assert {server.task(one["reference"]["id"])["status"] for one in filled} == {"ready"}


def test_a_backfilled_due_time_is_not_started_again_by_the_schedule(server: Server, clock: FrozenClock) -> None:
    put(server, concurrency_policy="allow", jitter_seconds=3000)
    clock.advance(HOUR + MINUTE)
    (filled,) = call(server, "backfill", **{"from": "2026-01-01T01:00:00Z", "to": "2026-01-01T01:01:00Z"})["starts"]
    pass_time(server, clock, 50 * MINUTE)
    assert starts(server) == [filled]
    assert status(server)["dueAt"] == "2026-01-01T02:00:00.000000Z"


def test_each_backfilled_workflow_has_its_own_id(server: Server, clock: FrozenClock) -> None:
    server.rpc("awf.definition/put", {"kind": "workflow", "name": "demo/order"})
    put(server, workflow_request={"definition": "demo/order"})
    clock.advance(3 * HOUR)
    filled = call(server, "backfill", **{"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T03:00:00Z"})["starts"]
    assert len({one["reference"]["id"] for one in filled}) == 3


@pytest.mark.parametrize(
    ("stretch", "path"),
    [
        ({"from": "yesterday", "to": "2026-01-01T00:00:00Z"}, "$.params.from"),
        ({"from": "1969-12-31T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "$.params.from"),
        ({"from": "2025-12-31T00:00:00Z", "to": "2025-12-31T00:00:00Z"}, "$.params.to"),
        ({"from": "2025-12-31T00:00:00Z", "to": "2026-01-01T00:00:01Z"}, "$.params.to"),
        ({"from": "2025-12-31T00:00:00Z"}, "$.params.to"),
        # More than a thousand hours.
        ({"from": "2025-11-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "$.params.to"),
    ],
)
def test_a_backfill_of_an_invalid_range_is_refused_and_starts_nothing(
    server: Server, stretch: dict[str, str], path: str
) -> None:
    put(server)
    assert server.refused("awf.schedule/backfill", {"name": NIGHTLY, **stretch}) == (400, "invalid-params", path)
    assert starts(server) == []


def test_a_thousand_due_times_can_be_backfilled(server: Server) -> None:
    put(server, schedule="* * * * *")
    filled = call(server, "backfill", **{"from": "2025-12-31T00:00:00Z", "to": "2025-12-31T16:40:00Z"})["starts"]
    assert len(filled) == 1000
    assert server.query("select count(*) from fencepost.live_tasks") == [(1000,)]


# In a folder of definitions


def test_a_folder_is_put_in_dependency_order_and_is_idempotent(server: Server, tmp_path: Path) -> None:
    request = {"definition": "demo/zoom", "params": {"width": 1}}
    document = {"kind": "schedule", "name": NIGHTLY, "schedule": "@daily", "execute-on-setup": True}
    (tmp_path / "a.json").write_bytes(orjson.dumps(document | {"task-request": request}))
    (tmp_path / "z.yaml").write_text("kind: task\nname: demo/zoom\n")
    for _ in range(2):
        server.run(put_definitions(server.app, Settings(definitions=tmp_path)))
        assert put(server, schedule="@daily", execute_on_setup=True, task_request=request)["version"] == 1
    assert [start["kind"] for start in starts(server)] == ["setup"]


def test_an_invalid_schedule_in_a_folder_refuses_the_start(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"kind: schedule\nname: {NIGHTLY}\nschedule: never\n")
    with pytest.raises(StartRefused, match=r"a\.yaml: .*not a cron expression.* \(at \$\.schedule\)"):
        server.run(put_definitions(server.app, Settings(definitions=tmp_path)))
