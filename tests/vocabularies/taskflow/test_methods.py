"""Flows on a server: produce, details, list, cancel, and the tasks of workers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from fencepost.clock import FrozenClock
from fencepost.settings import Settings
from tests.fixtures.servers import Server, running_server
from tests.fixtures.taskflows import EXAMPLE, Caller, flow, task, tasks
from tests.fixtures.two_servers import TwoServers
from tests.fixtures.waiting import until

ONCE_MORE = {"maxRetries": 1, "retryDelay": 1000}


@pytest.fixture
def caller(server: Server) -> Caller:
    return Caller(server)


@pytest.mark.shows("taskflow/produce", "taskflow/context")
def test_the_documented_example_runs(server: Server) -> None:
    caller = Caller(server)
    produced = caller.call("/produce", **EXAMPLE)
    id = produced["taskflowId"]
    assert produced["eventSubscription"] == f"{server.url}/taskflows/{uuid.UUID(id)}/events"
    (create,) = until(lambda: server.poll("group-core/createGroup", start=True))
    assert create["params"]["params"] == EXAMPLE["stages"][0]["tasks"][0]["params"]
    response = {"success": True, "data": {"groupId": "sdvn78"}}
    caller.end(create, "success", response)
    adds = until(
        lambda: (found := server.poll("appliance-core/AddApplianceToGroup", maxBatchSize=2, start=True)) and found
    )
    adds += [] if len(adds) == 2 else until(lambda: server.poll("appliance-core/AddApplianceToGroup", start=True))
    for add in adds:
        context = add["params"]["meta"]["taskflowExecutionContext"]
        assert context["previousStageRes"] == [{"taskName": "createGroup", "response": response}]
        assert context["taskflow"]["id"] == id
        assert context["taskflow"]["taskInfo"]["options"] == {**EXAMPLE["options"], "maxRetries": 3}
        caller.end(add, "success", {"success": True})
    record = caller.ended(id)
    assert record["status"] == "COMPLETED"
    assert record["context"] == EXAMPLE["context"]
    assert [stage["status"] for stage in record["stages"].values()] == ["COMPLETED", "COMPLETED"]


@pytest.mark.shows("taskflow/answers")
def test_every_action_answers_success_and_data(caller: Caller) -> None:
    def data(verb: str, **params: Any) -> Any:
        answer = caller.server.rpc(f"awf.taskflow{verb}", params)
        assert answer.keys() == {"success", "data"}
        assert answer["success"] is True
        return answer["data"]

    id = data("/produce", **flow(["a"]))["taskflowId"]
    flows = [data("/details", taskflowId=id), data("/cancel", taskflowId=id), data("/retry", taskflowId=id)]
    assert [one["taskflowId"] for one in (*flows, *data("/list"))] == [id] * 4
    kept = data(".template/add", template={"name": "Night", "stages": flow(["a"])["stages"]})
    begun = data(".template/execute", templateId=kept["id"])
    assert begun["name"] == "Night"
    data("/cancel", taskflowId=begun["taskflowId"])
    changed = data(".template/update", template={"id": kept["id"], "name": "Day"})
    assert data(".template/list") == [changed]
    assert data(".template/delete", templateId=kept["id"]) == changed
    for verb, params in (("/details", {"taskflowId": "x"}), (".template/execute", {"templateId": "x/y"})):
        status, answer = caller.server.post({"method": f"awf.taskflow{verb}", "params": params})
        assert (status, answer["error"]["type"].endswith("-not-found"), "result" in answer) == (404, True, False)


@pytest.mark.shows("taskflow/records", "taskflow/created-at", "taskflow/ids")
def test_a_record_has_every_documented_member(caller: Caller) -> None:
    id = caller.produce(flow(["a"], name="Two lamps", options={"maxRetries": 1}))
    record = until(lambda: (found := caller.details(id))["status"] == "RUNNING" and found)
    assert record.keys() == {
        "_id", "taskflowId", "name", "status", "createdAt", "parentTaskflowDetails", "context", "retryAttempt",
        "options", "stages",
    }  # fmt: skip
    assert (record["_id"], record["name"], record["retryAttempt"]) == (id, "Two lamps", 0)
    created = caller.server.rpc("awf.workflow/status", {"id": id})["resource"]["meta"]["createdAt"]
    assert record["createdAt"] == round(datetime.fromisoformat(created).timestamp() * 1000)
    assert record["parentTaskflowDetails"] is None
    ((stage_id, stage),) = record["stages"].items()
    assert (stage["id"], stage["stageId"], stage["name"], stage["status"]) == (stage_id, stage_id, "s1", "RUNNING")
    ((task_id, one),) = stage["tasks"].items()
    assert one == {
        "id": task_id, "stageId": stage_id, "name": "a", "type": "ACTION",
        "taskDetails": {"serviceId": "svc", "actionName": "a"}, "params": {}, "options": {"maxRetries": 1}, "meta": {},
        "status": "QUEUED", "attempt": 0, "response": None, "nestedTaskflows": [],
        "nestedActiveRunningTaskFlowIds": [], "nestedTaskflowId": None,
    }  # fmt: skip
    assert all(uuid.UUID(each) for each in (id, stage_id, task_id))


def test_null_params_context_and_meta_are_shown_as_empty_objects(caller: Caller) -> None:
    id = caller.produce(flow([task("a") | {"params": None}], context=None, meta=None))
    taken = caller.take("a")
    assert (taken["params"]["params"], info_of(taken)["params"], info_of(taken)["meta"]) == ({}, {}, {})
    record = caller.details(id)
    (one,) = tasks(record)
    assert (record["context"], one["params"], one["meta"]) == ({}, {}, {})


def test_a_declared_flow_without_context_takes_that_of_its_run(caller: Caller) -> None:
    content = flow([task("a", {"who": "{{context.who}}"})])
    for context in ({}, {"context": None}):
        caller.server.rpc("awf.definition/put", {"kind": "taskflow", "name": "demo/flow", **content, **context})
        create = {"definition": "demo/flow", "params": {"who": "bob"}}
        id = caller.server.rpc("awf.workflow/create-and-execute", create)["resource"]["id"]
        assert caller.work("a")["params"]["params"] == {"who": "bob"}
        assert caller.ended(id)["context"] == {"who": "bob"}


def info_of(taken: Any) -> Any:
    return taken["params"]["meta"]["taskflowExecutionContext"]["taskflow"]["taskInfo"]


@pytest.mark.shows("taskflow/retries", "taskflow/response")
def test_a_retry_goes_back_to_the_queue_with_the_next_attempt(database: str) -> None:
    clock = FrozenClock()
    with running_server(database, clock=clock) as server:
        caller = Caller(server)
        id = caller.produce(flow([task("a", options={"maxRetries": 2, "retryDelay": 5000})]))
        for attempt in (0, 1):
            taken = caller.take("a")
            assert shown(caller, id) == ("RUNNING", attempt)
            caller.end(taken, "fail")
            assert shown(caller, id) == ("QUEUED", attempt + 1)
            clock.advance(timedelta(milliseconds=4900))
            server.reap()
            assert server.poll("svc/a") == []
            clock.advance(timedelta(milliseconds=200))
            server.reap()
        caller.fail("a", {"why": "gone"})
        record = caller.ended(id)
    (one,) = tasks(record)
    assert (record["status"], one["status"], one["attempt"]) == ("FAILED", "FAILED", 2)
    assert one["response"]["success"] is False
    assert one["response"]["error"] == {"why": "gone"}


def shown(caller: Caller, id: str) -> tuple[str, int]:
    (one,) = tasks(caller.details(id))
    return one["status"], one["attempt"]


@pytest.mark.shows("taskflow/timeout")
def test_an_attempt_lasts_no_longer_than_its_timeout(database: str) -> None:
    clock = FrozenClock()
    with running_server(database, clock=clock) as server:
        caller = Caller(server)
        id = caller.produce(flow([task("a", options={"timeout": 30_000})]))
        taken = caller.take("a")
        clock.advance(timedelta(seconds=20))
        server.rpc("awf.task/notify", {"id": taken["id"], "execId": taken["execId"], "notification": "heartbeat"})
        clock.advance(timedelta(seconds=11))
        server.reap()
        record = caller.ended(id)
    assert (record["status"], tasks(record)[0]["status"]) == ("FAILED", "FAILED")


@pytest.mark.shows("taskflow/task-max-age")
def test_no_attempt_of_a_task_begins_after_its_max_age(database: str) -> None:
    clock = FrozenClock()
    with running_server(database, clock=clock) as server:
        caller = Caller(server)
        id = caller.produce(flow([task("a", options={"maxAge": 30_000}), "b"]))
        taken = caller.take("b")
        clock.advance(timedelta(seconds=31))
        server.reap()
        until(lambda: caller.statuses(id)["a"] == "FAILED")
        assert server.poll("svc/a") == []
        caller.end(taken)
        assert caller.ended(id)["status"] == "FAILED"


@pytest.mark.shows("taskflow/flow-max-age")
def test_a_flow_fails_and_drops_its_tasks_after_its_max_age(database: str) -> None:
    clock = FrozenClock()
    with running_server(database, clock=clock) as server:
        caller = Caller(server)
        id = caller.produce(flow([task("a", options={"maxAge": 10**9}), "b"], ["c"], options={"maxAge": 30_000}))
        caller.take("a")
        clock.advance(timedelta(seconds=31))
        server.reap()
        record = caller.ended(id)
    assert record["status"] == "FAILED"
    assert [stage["status"] for stage in record["stages"].values()] == ["FAILED", "WAITING"]


@pytest.mark.shows("taskflow/cancel")
def test_a_cancelled_flow_starts_no_task(caller: Caller) -> None:
    id = caller.produce(flow(["a", "b"], ["c"]))
    taken = caller.take("a")
    record = caller.call("/cancel", taskflowId=id)
    assert record["status"] == "CANCELLED"
    assert {one["name"]: one["status"] for one in tasks(record)} == {"a": "FAILED", "b": "QUEUED", "c": "WAITING"}
    assert caller.server.poll("svc/b") == []
    beat = {"id": taken["id"], "execId": taken["execId"], "notification": "heartbeat"}
    assert caller.server.rpc("awf.task/notify", beat)["cancelRequested"] is True
    late = {"id": taken["id"], "execId": taken["execId"], "result": {"late": True}}
    assert caller.server.refused("awf.task/success", late)[1] == "task-has-been-done"
    assert caller.details(id) == record


def test_a_cancel_is_idempotent_and_refused_after_the_end(caller: Caller) -> None:
    id = caller.produce(flow(["a"]))
    assert caller.call("/cancel", taskflowId=id) == caller.call("/cancel", taskflowId=id)
    id = caller.produce(flow(["a"]))
    caller.work("a")
    caller.ended(id)
    refused = caller.server.refused("awf.taskflow/cancel", {"taskflowId": id})
    assert refused == (422, "taskflow-has-been-done", "$.params.taskflowId")


@pytest.mark.shows("taskflow/list")
def test_flows_are_listed_page_by_page_the_newest_first(caller: Caller) -> None:
    ids = [caller.produce(flow(["a"])) for _ in range(5)]
    caller.call("/cancel", taskflowId=ids[0])
    caller.call("/retry", taskflowId=ids[0])
    pages, after = [], None
    while True:
        page = caller.server.rpc("awf.taskflow/list", {"limit": 2} if after is None else {"limit": 2, "after": after})
        pages.append([one["taskflowId"] for one in page["data"]])
        after = page.get("next")
        if after is None:
            break
    assert [id for page in pages for id in page] == [ids[0], *reversed(ids[1:])]


@pytest.mark.parametrize("verb", ["details", "cancel", "retry"])
def test_an_unknown_flow_is_taskflow_not_found(server: Server, verb: str) -> None:
    server.rpc("awf.definition/put", {"kind": "workflow", "name": "demo/order"})
    server.rpc("awf.workflow/create-and-execute", {"definition": "demo/order", "id": "no-flow"})
    for id in ("nobody", "no-flow", "x~1"):
        refused = server.refused(f"awf.taskflow/{verb}", {"taskflowId": id})
        assert refused == (404, "taskflow-not-found", "$.params.taskflowId")


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({}, "$.params.stages"),
        (flow([task("a", options={"maxRetries": -1})]), "$.params.stages[0].tasks[0].options.maxRetries"),
        (flow([task("a", type="CHANNEL")]), "$.params.stages[0].tasks[0].taskDetails.channelName"),
        ({**flow(["a"]), "requestId": ""}, "$.params.requestId"),
        ({**flow(["a"]), "execId": "x"}, "$.params.execId"),
        ({**flow(["a"]), "meta": {"taskflowExecutionContext": {}}}, "$.params.meta.taskflowExecutionContext.taskflow"),
    ],
)
def test_a_bad_produce_call_is_refused_with_the_path(server: Server, params: Any, path: str) -> None:
    status, type, at = server.refused("awf.taskflow/produce", params)
    assert (status, type, at) == (400, "invalid-params", path)


def test_a_repeated_request_is_the_same_flow(servers: TwoServers) -> None:
    one, other = Caller(servers.one), Caller(servers.other)
    id = one.produce(flow(["a"]), requestId="r-1")
    assert other.produce(flow(["a"]), requestId="r-1") == id
    refused = servers.other.refused("awf.taskflow/produce", {**flow(["b"]), "requestId": "r-1"})
    assert refused == (409, "request-id-reused", "$.params.requestId")
    assert one.produce(flow(["a"])) != one.produce(flow(["a"]))


@pytest.mark.shows("taskflow/workflow-type")
def test_a_task_can_be_a_workflow_with_a_remote_decider(caller: Caller) -> None:
    server = caller.server
    server.rpc("awf.definition/put", {"kind": "workflow", "name": "people/approval"})
    approval = task("ask", {"amount": 7}, type="WORKFLOW", taskDetails={"definition": "people/approval"})
    id = caller.produce(flow([approval], [task("pay", {"by": "{{s1.ask.by}}"})]))
    poll = {"workflowDefinitions": ["people/approval"], "start": True}
    (decision,) = until(lambda: server.rpc("awf.task/poll", poll)["resources"])
    workflow = server.rpc("awf.workflow/status", {"id": decision["requester"]["id"]})["resource"]
    assert workflow["params"] == {"amount": 7}
    said = [{"action": "awf.workflow.action/complete-workflow", "result": {"by": "ann"}}]
    server.rpc("awf.task/success", {"id": decision["id"], "execId": decision["execId"], "result": said})
    assert caller.work("pay")["params"]["params"] == {"by": "ann"}
    assert tasks(caller.ended(id))[0]["response"] == {"by": "ann"}


@pytest.mark.shows("taskflow/unknown-placeholder")
def test_an_unknown_placeholder_fails_its_task_without_a_worker(caller: Caller) -> None:
    id = caller.produce(flow([task("a", {"x": "{{nobody.knows}}"})]))
    (one,) = tasks(caller.ended(id))
    assert one["status"] == "FAILED"
    assert "{{nobody.knows}}" in one["response"]["message"]
    assert caller.server.poll("svc/a") == []


def test_a_declared_flow_begins_as_workflow_and_as_child(caller: Caller) -> None:
    server = caller.server
    content = flow([task("a", {"who": "{{context.who}}"})], context={"who": "ann"})
    server.rpc("awf.definition/put", {"kind": "taskflow", "name": "demo/flow", **content})
    create = {"definition": "demo/flow", "id": "by-name", "params": {"who": "bob"}}
    server.rpc("awf.workflow/create-and-execute", create)
    assert caller.work("a", {"done": 1})["params"]["params"] == {"who": "bob"}
    assert caller.ended("by-name")["status"] == "COMPLETED"
    workflow = server.rpc("awf.workflow/status", {"id": "by-name"})["resource"]
    assert workflow["result"]["stages"][0]["tasks"][0]["response"] == {"done": 1}
    parent = caller.produce(
        flow([task("child", {"who": "eve"}, type="WORKFLOW", taskDetails={"definition": "demo/flow"})])
    )
    assert caller.work("a")["params"]["params"] == {"who": "eve"}
    (one,) = tasks(caller.ended(parent))
    assert one["response"]["status"] == "COMPLETED"


def test_null_meta_context_and_params_are_absent(caller: Caller) -> None:
    """The same for a produced flow, a declared one, and one with params over its context."""
    content = flow([task("a", {"who": "{{context.who}}"}), task("b") | {"params": None}], context=None)
    id = caller.produce({**content, "meta": None})
    assert caller.work("b")["params"]["params"] == {}
    failed = caller.ended(id)
    assert [one["status"] for one in tasks(failed)] == ["FAILED", "SUCCESS"]
    caller.server.rpc("awf.definition/put", {"kind": "taskflow", "name": "demo/flow", **content})
    create = {"definition": "demo/flow", "id": "by-name", "params": {"who": "bob"}}
    caller.server.rpc("awf.workflow/create-and-execute", create)
    assert caller.work("a")["params"]["params"] == {"who": "bob"}
    caller.work("b")
    assert caller.ended("by-name")["status"] == "COMPLETED"


def test_a_bad_document_is_refused_when_it_is_declared(server: Server) -> None:
    content = flow(["a", task("b", options={"timeout": 0})])
    refused = server.refused("awf.definition/put", {"kind": "taskflow", "name": "demo/flow", **content})
    assert refused == (400, "invalid-params", "$.params.stages[0].tasks[1].options.timeout")
    refused = server.refused("awf.definition/put", {"kind": "taskflow", "name": "demo/flow", "stages": []})
    assert refused == (400, "invalid-params", "$.params.stages")
    content = {"definition": "awf.taskflow/flow", "params": {"stages": []}}
    assert server.refused("awf.workflow/create-and-execute", content) == (
        400,
        "invalid-params",
        "$.params.params.stages",
    )


def test_a_workflow_task_needs_a_declared_workflow(server: Server) -> None:
    content = flow(["a"], [task("b", type="WORKFLOW", taskDetails={"definition": "people/nobody"})])
    refused = server.refused("awf.taskflow/produce", content)
    assert refused == (404, "definition-not-found", "$.params.stages[1].tasks[0].taskDetails.definition")


def test_a_schedule_begins_a_flow_by_name(caller: Caller) -> None:
    server = caller.server
    content = flow([task("a", {"who": "{{context.who}}"})], context={"who": "ann"})
    server.rpc("awf.definition/put", {"kind": "taskflow", "name": "demo/flow", **content})
    request = {"definition": "demo/flow", "params": {"who": "the clock"}}
    nightly = {"kind": "schedule", "name": "demo/nightly", "schedule": "0 0 * * *", "workflow-request": request}
    server.rpc("awf.definition/put", nightly)
    start = server.rpc("awf.schedule/run-now", {"name": "demo/nightly"})["start"]
    assert caller.work("a")["params"]["params"] == {"who": "the clock"}
    assert caller.ended(start["reference"]["id"])["status"] == "COMPLETED"


@pytest.mark.shows("taskflow/people-task")
def test_a_person_completes_a_task_of_a_flow(caller: Caller) -> None:
    server = caller.server
    step = {"code": "ASK", "createAtProcessStart": True, "assignToTeam": "HR"}
    process = {"kind": "process", "name": "hr/hire", "department": "HR", "crossDepartment": False, "steps": [step]}
    server.rpc("awf.definition/put", process)
    server.rpc("awf.people/put-team", {"code": "HR", "description": "Human resources"})
    server.rpc("awf.people/save-team-memberships", {"user": "ann", "teams": ["HR"]})
    hire = task("hire", {"domainObjectCode": "P-93"}, type="WORKFLOW", taskDetails={"definition": "hr/hire"})
    id = caller.produce(flow([hire], ["a"]))
    (child,) = until(lambda: server.rpc("awf.workflow/status", {"id": id, "include-activities?": True})["activities"])
    assert caller.statuses(id) == {"hire": "RUNNING", "a": "WAITING"}
    find = {"taskList": child["id"], "processStep": "ASK"}
    name = "awf.people/find-one-task-by-task-list-and-process-step-code"
    listed = until(lambda: server.post({"method": name, "params": find})[1].get("result"))
    one = listed["resource"]
    for verb in ("claim", "set-task-completed"):
        server.rpc(f"awf.people/{verb}", {"id": one["id"], "user": "ann"})
    caller.work("a")
    assert caller.ended(id)["status"] == "COMPLETED"


@pytest.fixture(scope="module")
def named_server(module_database: str) -> Iterator[Server]:
    with running_server(module_database, settings=Settings(allowed_hosts=("queue.example.com",))) as server:
        yield server


@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        ({"host": "queue.example.com"}, "http://queue.example.com"),
        ({"host": "queue.example.com:8443", "x-forwarded-proto": "https"}, "https://queue.example.com:8443"),
        ({"host": "queue.example.com", "x-forwarded-proto": "javascript"}, ""),
    ],
)
def test_the_event_url_has_the_host_of_the_request(named_server: Server, headers: dict[str, str], origin: str) -> None:
    call = {"method": "awf.taskflow/produce", "params": EXAMPLE}
    _, _, answer = named_server.send("POST", "/rpc", orjson.dumps(call), content_type="application/json", **headers)
    data = orjson.loads(answer)["result"]["data"]
    assert data["eventSubscription"] == f"{origin}/taskflows/{data['taskflowId']}/events"


def test_a_produce_call_with_a_bad_host_is_refused(named_server: Server) -> None:
    call = orjson.dumps({"method": "awf.taskflow/produce", "params": EXAMPLE})
    status, _, _ = named_server.send("POST", "/rpc", call, content_type="application/json", host="a'>b")
    assert status == 400


@pytest.mark.shows("taskflow/cannot-begin")
def test_a_task_that_cannot_begin_fails_and_no_other(caller: Caller) -> None:
    schema = {"type": "object", "required": ["params"], "properties": {"params": {"required": ["size"]}}}
    caller.server.rpc("awf.definition/put", {"kind": "task", "name": "svc/strict", "params": schema})
    caller.server.rpc("awf.definition/put", {"kind": "workflow", "name": "svc/whole"})
    caller.server.rpc("awf.definition/put", {"kind": "workflow", "name": "svc/gone"})
    unfit = {"type": "WORKFLOW", "taskDetails": {"definition": "awf.taskflow/flow"}}
    gone = {"type": "WORKFLOW", "taskDetails": {"definition": "svc/gone"}}
    id = caller.produce(
        flow(
            ["first"],
            [task("unfit", {"stages": 7}, **unfit), task("gone", **gone), "strict", "whole", "good"],
            ["last"],
            options={"continueOnTaskFailure": True},
        )
    )
    caller.server.rpc("awf.definition/delete", {"name": "svc/gone"})
    for name in ("first", "good", "last"):
        caller.work(name)
    ended = caller.ended(id)
    shown = {one["name"]: one for one in tasks(ended)}
    assert ended["status"] == "PARTIAL_COMPLETED"
    assert {name for name, one in shown.items() if one["status"] == "FAILED"} == {"unfit", "gone", "strict", "whole"}
    assert shown["unfit"]["response"]["error"]["path"] == "$.params.stages"
    assert "svc/gone" in shown["gone"]["response"]["error"]["message"]
    assert "size" in shown["strict"]["response"]["error"]["message"]
    assert "svc/whole" in shown["whole"]["response"]["error"]["message"]


@pytest.mark.shows("taskflow/cannot-begin")
def test_a_workflow_task_with_a_taken_key_fails(caller: Caller) -> None:
    step = {"action": "SLAM_NAVIGATION", "payload": {}}
    document = {"kind": "device-workflow", "name": "robots/dock", "steps": [step]}
    caller.server.rpc("awf.definition/put", document)
    members = {"type": "WORKFLOW", "taskDetails": {"definition": "robots/dock"}}
    id = caller.produce(flow([task("one", {"device": "r2"}, **members), task("other", {"device": "r2"}, **members)]))
    until(lambda: caller.statuses(id) == {"one": "RUNNING", "other": "FAILED"})
    second = caller.produce(flow([task("one", {"device": "r2"}, **members)]))
    (shown,) = tasks(caller.ended(second))
    assert (shown["status"], shown["response"]["error"]["type"]) == ("FAILED", "invalid-action")
