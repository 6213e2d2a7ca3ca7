"""Definitions that do not keep their done tasks: receipts answer repeated calls for ten minutes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fencepost.clock import FrozenClock
from tests.fixtures.servers import CallRefused, Server, pass_time
from tests.fixtures.two_servers import TwoServers
from tests.fixtures.workflows import Decider

LEFT = """
select (select count(*) from fencepost.live_tasks), (select count(*) from fencepost.done_tasks),
    (select count(*) from fencepost.receipts), (select count(*) from fencepost.task_log),
    (select count(*) from fencepost.task_names)
"""


def refusal(server: Server, method: str, params: Any) -> tuple[int, str]:
    """Return the status and the type of the refusal of a call."""
    with pytest.raises(CallRefused) as refused:
        server.rpc(f"awf.task/{method}", params)
    return refused.value.status, refused.value.fault["type"]


def clean(server: Server) -> None:
    """Run the cleaner once."""
    cleaning = next(loop for loop in server.app.background.loops if loop.name == "receipt-cleaner")
    server.run(cleaning._step())  # type: ignore[arg-type]


def finish_many(server: Server, verb: str, tasks: list[Any], **members: Any) -> list[tuple[int, str]]:
    """End executions with one call; return index and type of what was refused."""
    params = {"ids": [task["id"] for task in tasks], "execIds": [task["execId"] for task in tasks], **members}
    refused = server.rpc(f"awf.task/{verb}-many", params)["refused"]
    return [(item["index"], item["error"]["type"]) for item in refused]


@pytest.mark.parametrize("keep", ["failures", "none"])
@pytest.mark.parametrize("id", [None, "mine"])
def test_a_success_leaves_only_a_receipt_and_that_for_ten_minutes(
    frozen_server: Server, clock: FrozenClock, keep: str, id: str | None
) -> None:
    frozen_server.define(keep=keep)
    lease = frozen_server.started(**({"id": id} if id else {}))
    done = {**lease, "result": {"rows": 1}}
    first = frozen_server.rpc("awf.task/success", done)["resource"]
    assert refusal(frozen_server, "status", {"id": lease["id"]}) == (404, "task-not-found")

    clock.advance(timedelta(minutes=9))
    clean(frozen_server)
    again = frozen_server.rpc("awf.task/success", done)["resource"]
    same = ("id", "definition", "definition-version", "status", "outcome", "result", "execId")
    assert [again[name] for name in same] == [first[name] for name in same]
    assert finish_many(frozen_server, "success", [lease], results=[{"rows": 1}]) == []
    assert refusal(frozen_server, "success", {**lease, "result": {"rows": 2}}) == (409, "task-has-been-done")
    assert refusal(frozen_server, "fail", lease) == (409, "task-has-been-done")
    assert refusal(frozen_server, "release", lease) == (422, "task-has-been-done")
    assert refusal(frozen_server, "start", lease) == (422, "task-has-been-done")
    other = {**done, "execId": "aac4c869-daa4-45fb-917a-46fe14359ed4"}
    assert refusal(frozen_server, "success", other) == (404, "task-not-found")
    if id:
        refused = refusal(frozen_server, "create-and-execute", {"definition": "demo/resize", "id": id})
        assert refused == (409, "already-exists")

    clock.advance(timedelta(minutes=2))
    assert refusal(frozen_server, "success", done) == (404, "task-not-found")
    clean(frozen_server)
    assert frozen_server.query(LEFT) == [(0, 0, 0, 0, 0)]
    if id:
        frozen_server.create(id=id)


def test_the_log_of_failed_attempts_goes_with_the_receipt_of_the_success(
    frozen_server: Server, clock: FrozenClock
) -> None:
    frozen_server.define(keep="failures", retryDelay=1000)
    lease = frozen_server.started()
    frozen_server.rpc("awf.task/fail", {**lease, "error": {"n": 1}})
    pass_time(frozen_server, clock, 2000)
    (task,) = frozen_server.poll(start=True)
    assert frozen_server.task(task["id"])["retryCount"] == 2
    frozen_server.rpc("awf.task/success", {"id": task["id"], "execId": task["execId"]})
    assert refusal(frozen_server, "fail", {**lease, "error": {"n": 1}}) == (404, "task-not-found")

    clock.advance(timedelta(minutes=11))
    clean(frozen_server)
    assert frozen_server.query(LEFT) == [(0, 0, 0, 0, 0)]


def test_failures_are_kept_and_with_none_they_leave_a_receipt(frozen_server: Server, clock: FrozenClock) -> None:
    for keep in ("failures", "none"):
        frozen_server.define(f"demo/{keep}", keep=keep, allowedRetryCount=0, inProgressTimeout=1000)
    kept, gone = (frozen_server.started(f"demo/{keep}") for keep in ("failures", "none"))
    for lease in (kept, gone):
        # Its entry is a row of the log; those of a poll and an end follow from the done row.
        frozen_server.rpc("awf.task/notify", {**lease, "notification": "heartbeat"})
        frozen_server.rpc("awf.task/fail", {**lease, "error": {"n": 1}})
        repeated = frozen_server.rpc("awf.task/fail", {**lease, "error": {"n": 1}})["resource"]
        assert (repeated["outcome"], repeated["error"]) == ("failed", {"n": 1})
    assert frozen_server.task(kept["id"])["outcome"] == "failed"
    assert refusal(frozen_server, "status", {"id": gone["id"]}) == (404, "task-not-found")
    assert refusal(frozen_server, "retry", {"id": gone["id"]}) == (404, "task-not-found")

    late = frozen_server.started("demo/none")
    pass_time(frozen_server, clock, 2000)
    assert refusal(frozen_server, "success", late) == (409, "task-has-been-done")
    assert refusal(frozen_server, "status", {"id": late["id"]}) == (404, "task-not-found")
    clock.advance(timedelta(minutes=11))
    clean(frozen_server)
    assert frozen_server.query("select id from fencepost.done_tasks") == [(kept["id"],)]
    assert frozen_server.query("select distinct seq from fencepost.task_log") == frozen_server.query(
        "select seq from fencepost.done_tasks"
    )


def test_the_worker_of_a_canceled_task_that_was_not_kept_is_told(frozen_server: Server, clock: FrozenClock) -> None:
    frozen_server.define(keep="none")
    lease = frozen_server.started()
    frozen_server.rpc("awf.task/cancel", {"id": lease["id"]})
    frozen_server.rpc("awf.task/cancel", {"id": frozen_server.create()["id"]})

    told = frozen_server.rpc("awf.task/notify", {**lease, "notification": "heartbeat"})
    assert told["cancelRequested"]
    assert refusal(frozen_server, "success", lease) == (409, "task-has-been-done")
    clock.advance(timedelta(minutes=11))
    heartbeat = {**lease, "notification": "heartbeat"}
    assert refusal(frozen_server, "notify", heartbeat) == (404, "task-not-found"), "the receipt counts no longer"
    clean(frozen_server)
    assert frozen_server.query(LEFT) == [(0, 0, 0, 0, 0)]


def test_one_call_ends_tasks_of_definitions_that_keep_differently(frozen_server: Server) -> None:
    tasks: list[Any] = []
    for keep in ("all", "failures", "none"):
        frozen_server.define(f"demo/{keep}", keep=keep)
        for _ in range(3):
            frozen_server.create(f"demo/{keep}")
        tasks += frozen_server.poll(f"demo/{keep}", start=True, maxBatchSize=3)
    results = [{"place": place} for place in range(9)]

    assert finish_many(frozen_server, "success", tasks, results=results) == []
    assert finish_many(frozen_server, "success", tasks, results=results) == []
    assert finish_many(frozen_server, "success", tasks, results=[*results[:-1], {}]) == [(8, "task-has-been-done")]
    kept = frozen_server.query("select id from fencepost.done_tasks order by id")
    assert kept == sorted((task["id"],) for task in tasks[:3])
    assert frozen_server.query("select cardinality(seqs), cardinality(hashes) from fencepost.receipts") == [(3, 3)] * 2


def test_a_finish_frees_its_place_under_a_limit(server: Server) -> None:
    server.define(keep="none", concurrencyLimit=1)
    first = server.started()
    server.create()
    assert server.poll(start=True) == []
    server.rpc("awf.task/success", first)
    assert len(server.poll(start=True)) == 1


def test_another_server_answers_a_repeat(servers: TwoServers) -> None:
    servers.one.define(keep="none")
    lease = servers.one.started()
    servers.one.rpc("awf.task/success", lease)
    assert servers.other.rpc("awf.task/success", lease)["resource"]["outcome"] == "succeeded"
    assert servers.other.query("select cardinality(seqs) from fencepost.receipts") == [(1,)]


def test_a_task_keeps_the_setting_that_it_was_created_under(server: Server) -> None:
    server.define(keep="none")
    gone = server.started()
    server.define(keep="all")
    kept = server.started()
    assert finish_many(server, "success", [gone, kept]) == []
    assert server.query("select id from fencepost.done_tasks") == [(kept["id"],)]


def test_the_cleaner_looks_at_a_bounded_number_of_receipts(frozen_server: Server, clock: FrozenClock) -> None:
    frozen_server.query(
        "insert into fencepost.receipts"
        " (definition, definition_version, action, outcome, seqs, hashes, names, created_at, at)"
        " select 'demo/resize', 1, '', 'succeeded', array[n], '{0}', '{}', '2026-01-01Z', '2026-01-01Z'"
        " from generate_series(1, 50) as n"
    )
    clock.advance(timedelta(minutes=11))
    left = []
    for _ in range(3):
        clean(frozen_server)
        left += frozen_server.query("select count(*) from fencepost.receipts")
    assert left == [(30,), (10,), (0,)]


def test_the_names_of_a_create_with_a_request_id_are_deleted(frozen_server: Server, clock: FrozenClock) -> None:
    frozen_server.define(keep="none")
    params = {"definition": "demo/resize", "params": [{}, {}], "requestId": "one"}
    frozen_server.rpc("awf.task/create-many", params)
    assert finish_many(frozen_server, "success", frozen_server.poll(start=True, maxBatchSize=2)) == []
    clock.advance(timedelta(minutes=11))
    clean(frozen_server)
    assert frozen_server.query(LEFT) == [(0, 0, 0, 0, 0)]


def test_the_name_of_one_create_stays_until_its_first_task_is_cleaned(
    frozen_server: Server, clock: FrozenClock
) -> None:
    frozen_server.define(keep="none")
    created = frozen_server.rpc("awf.task/create-many", {"definition": "demo/resize", "params": [{}, {}]})["ids"]
    first, second = frozen_server.poll(start=True, maxBatchSize=2)
    assert [first["id"], second["id"]] == created
    for task in (second, first):
        frozen_server.rpc("awf.task/success", {"id": task["id"], "execId": task["execId"]})
        clock.advance(timedelta(minutes=11))
        clean(frozen_server)
    assert frozen_server.query(LEFT) == [(0, 0, 0, 0, 0)]


@pytest.mark.parametrize("value", ["some", None, True])
def test_other_values_are_refused(server: Server, value: Any) -> None:
    with pytest.raises(CallRefused) as refused:
        server.define(keep=value)
    assert refused.value.fault["path"] == "$.params.keep"
    with pytest.raises(CallRefused):
        server.rpc("awf.definition/put", {"kind": "workflow", "name": "demo/flow", "keep": "none"})


def test_activities_are_kept_for_their_workflow(server: Server) -> None:
    server.define(keep="none", allowedRetryCount=0)
    decider = Decider(server, "demo/flow")
    workflow = decider.create()
    labels = ("success", "fail", "cancel")
    decider.decide(decider.decision(), *(decider.task(label) for label in labels))
    for verb in ("success", "fail"):
        (task,) = server.poll(start=True)
        server.rpc(f"awf.task/{verb}", {"id": task["id"], "execId": task["execId"]})
    server.rpc(
        "awf.task/cancel",
        {
            "id": server.query(
                "select id from fencepost.live_tasks where status = 'ready' and definition = 'demo/resize'"
            )[0][0]
        },
    )
    assert len(decider.status(workflow["id"])["activities"]) == 3
    assert server.query(
        "select outcome from fencepost.done_tasks where definition = 'demo/resize' order by outcome"
    ) == [("canceled",), ("failed",), ("succeeded",)]
    assert server.query("select * from fencepost.receipts") == []
