"""The example of each method, called on a server after the calls that prepare it.

An example names ids, such as that of a task in progress. Its preparation creates that task, and returns the id of the
server for each id of the example.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from fencepost.rpc.registry import Method
from tests.fixtures.devices import Fleet
from tests.fixtures.people import Desk
from tests.fixtures.servers import Server
from tests.fixtures.waiting import until

Ids = Mapping[str, str]
Prepare = Callable[[Server], Ids]

IMPORT = "aidbox.bulk/import-resource-task"
ID, EXEC_ID = "c578a224-c1fa-44c1-bc7a-9d2e624b872b", "aac4c869-daa4-45fb-917a-46fe14359ed4"
FLOW, TEMPLATE = "c3dec307-99f2-437e-9942-8f7128210ddc", "taskflow.template/7038abdc-4cc6-4026-8abf-316531b7e6c1"
PEOPLE_TASK, HARDWARE = "5b0e7f14-6d0a-8a51-8002-000000000017", "0eba0bf8-3772-4b4a-ab9f-6ebe93b90a94"
MAC = "52:54:00:12:34:56"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def answer_of(server: Server, method: Method) -> Any:
    """Prepare the server, call the method with its example, and return the answer with the ids of the example.

    Other ids that the server made are replaced by numbered ones, in their order in the answer.
    """
    found = next((prepare for pattern, prepare in PREPARATIONS if re.fullmatch(pattern, method.name)), None)
    ids = {} if found is None else found(server)
    call = orjson.dumps({"method": method.name, "params": method.example}).decode()
    for example, id in ids.items():
        call = call.replace(example, id)
    _, answer = server.post(call.encode())
    text = orjson.dumps(answer).decode()
    for example, id in ids.items():
        text = text.replace(id, example)
    text = text.replace(server.url, "http://127.0.0.1:8080").replace(server.url[7:], "127.0.0.1:8080")
    numbers: dict[str, str] = {}
    known = {ID, EXEC_ID, FLOW, TEMPLATE[-36:], PEOPLE_TASK, HARDWARE}

    def numbered(match: re.Match[str]) -> str:
        id = match[0]
        return id if id in known else numbers.setdefault(id, f"00000000-0000-8000-8002-{len(numbers) + 1:012}")

    return orjson.loads(_UUID.sub(numbered, text))


def _ready(server: Server) -> Ids:
    server.define(IMPORT)
    return {ID: server.create(IMPORT, params={"url": "https://example.org/Patient.ndjson.gz"})["id"]}


def _leased(server: Server, *, start: bool = True) -> Ids:
    _ready(server)
    (task,) = server.poll(IMPORT, start=start)
    return {ID: task["id"], EXEC_ID: task["execId"]}


def _requested(server: Server) -> Ids:
    return _leased(server, start=False)


def _failed(server: Server) -> Ids:
    server.define(IMPORT, allowedRetryCount=0)
    lease = server.started(IMPORT)
    server.rpc("awf.task/fail", {**lease, "error": {"reason": "no such file"}})
    return {ID: lease["id"]}


def _succeeded(server: Server) -> Ids:
    lease = _leased(server)
    server.rpc("awf.task/success", {"id": lease[ID], "execId": lease[EXEC_ID], "result": {"imported-resources": 42}})
    return lease


def _created_before(server: Server) -> Ids:
    server.define("demo/resize")
    lease = server.started("demo/resize", id="image-93", params={"width": 320})
    server.rpc("awf.task/success", {**lease, "result": {"bytes": 20_411}})
    return {EXEC_ID: lease["execId"]}


def _definition(server: Server) -> Ids:
    server.define("demo/resize", inProgressTimeout=60000)
    return {}


def _workflow(server: Server) -> Ids:
    server.rpc("awf.definition/put", {"kind": "workflow", "name": "demo/order"})
    params = {"definition": "demo/order", "params": {"customer": "c-17"}}
    return {ID: server.rpc("awf.workflow/create-and-execute", params)["resource"]["id"]}


def _completed_workflow(server: Server) -> Ids:
    ids = _workflow(server)
    (decision,) = server.rpc("awf.task/poll", {"workflowDefinitions": ["demo/order"], "start": True})["resources"]
    end = {"action": "awf.workflow.action/complete-workflow", "result": {"invoice": "2026-93"}}
    server.rpc("awf.task/success", {"id": decision["id"], "execId": decision["execId"], "result": [end]})
    return ids


def _order(server: Server) -> Ids:
    server.rpc("awf.definition/put", {"kind": "workflow", "name": "demo/order"})
    return {}


def _schedule(server: Server) -> Ids:
    server.define("demo/report")
    request = {"definition": "demo/report", "params": {"format": "pdf"}}
    document = {"kind": "schedule", "name": "demo/nightly", "schedule": "30 2 * * *", "task-request": request}
    server.rpc("awf.definition/put", document)
    return {}


def _in_the_past(server: Server) -> Ids:
    """The example's week is after the time of the test's clock."""
    _schedule(server)
    return {"2026-05-": "2025-05-"}


def _run_now(server: Server) -> Ids:
    _schedule(server)
    server.rpc("awf.schedule/run-now", {"name": "demo/nightly", "id": "ticket-93"})
    return {}


def _paused(server: Server) -> Ids:
    _schedule(server)
    server.rpc("awf.schedule/pause", {"name": "demo/nightly"})
    return {}


def _trigger(server: Server) -> Ids:
    server.define("demo/review")
    rule = {"get-in": ["status"], "comparator": "eq", "value": "final"}
    request = {"definition": "demo/review", "params": {}}
    document = {"kind": "trigger", "name": "demo/review-final", "select-by": [rule], "task-request": request}
    server.rpc("awf.definition/put", document)
    return {}


def _triggered(server: Server) -> Ids:
    _trigger(server)
    event = {"resource": {"resourceType": "Observation", "status": "final"}, "id": "obs-17-final"}
    server.rpc("awf.event/publish", event)
    return {}


_STAGES = [
    {
        "name": "createGroup",
        "tasks": [
            {
                "name": "createGroup",
                "type": "ACTION",
                "taskDetails": {"serviceId": "group-core", "actionName": "createGroup"},
                "params": {"groupId": "sdvn78"},
            }
        ],
    }
]


def _flow(server: Server) -> Ids:
    id = server.rpc("awf.taskflow/produce", {"stages": _STAGES})["data"]["taskflowId"]
    until(lambda: server.rpc("awf.taskflow/details", {"taskflowId": id})["data"]["status"] != "WAITING")
    return {FLOW: id}


def _failed_flow(server: Server) -> Ids:
    ids = _flow(server)
    (task,) = server.poll("group-core/createGroup", start=True)
    server.rpc("awf.task/fail", {"id": task["id"], "execId": task["execId"], "error": {"message": "full"}})
    until(lambda: server.rpc("awf.taskflow/details", {"taskflowId": ids[FLOW]})["data"]["status"] == "FAILED")
    return ids


def _template(server: Server) -> Ids:
    lights = {"name": "lights", "type": "CHANNEL", "taskDetails": {"channelName": "lights"}, "params": {"on": False}}
    template = {"name": "Good night", "stages": [{"name": "night", "tasks": [lights]}]}
    return {TEMPLATE: server.rpc("awf.taskflow.template/add", {"template": template})["data"]["id"]}


def _desk(server: Server) -> Ids:
    Desk(server)
    return {}


def _list(server: Server) -> Ids:
    desk = Desk(server)
    return {PEOPLE_TASK: desk.task("onboard-ada")}


def _badge(server: Server) -> Ids:
    ids = _list(server)
    params = {"taskList": "onboard-ada", "processStep": "BADGE"}
    server.rpc("awf.people/add-task", params)
    return ids


def _claimed(server: Server) -> Ids:
    ids = _list(server)
    server.rpc("awf.people/claim", {"id": ids[PEOPLE_TASK], "user": "ann"})
    return ids


def _completed(server: Server) -> Ids:
    ids = _claimed(server)
    server.rpc("awf.people/set-task-completed", {"id": ids[PEOPLE_TASK], "user": "ann"})
    return ids


def _locked(server: Server) -> Ids:
    ids = _claimed(server)
    server.rpc("awf.people/lock-task", {"id": ids[PEOPLE_TASK], "user": "ann"})
    return ids


def _mailed(server: Server) -> Ids:
    ids = _list(server)
    server.rpc("awf.people/add-task-mail", {"id": ids[PEOPLE_TASK], "mailMessage": "<93@mail.example>"})
    return ids


_DRAFTS: tuple[tuple[str, dict[str, str]], ...] = (
    ("change-task-status-if-required", {"status": "IN"}),
    ("transfer-task-if-required", {"assignedToTeam": "IT", "assignedToUser": "bob"}),
    ("plan-task-if-required", {"priority": "H"}),
)


def _drafted(count: int) -> Prepare:
    """Draft so many events after the two of a claim."""

    def prepare(server: Server) -> Ids:
        ids = _claimed(server)
        for verb, params in _DRAFTS[:count]:
            server.rpc(f"awf.people/{verb}", {"id": ids[PEOPLE_TASK], "user": "ann", **params})
        return ids

    return prepare


def _fleet(server: Server) -> Ids:
    Fleet(server)
    return {}


def _run(server: Server) -> Ids:
    return {ID: Fleet(server).begin()["id"]}


def _device_task(server: Server) -> Ids:
    return {ID: Fleet(server).begin()["currentTaskId"]}


def _device(server: Server) -> Ids:
    server.rpc("awf.device/put", {"name": "r2", "info": {"tracks": ["front", "rear"]}})
    return {}


_MACHINE = """\
version: "0.1"
name: provision
global_timeout: 1800
tasks:
  - name: os-installation
    worker: "{{.device_1}}"
    actions:
      - {name: disk-wipe, image: disk-wipe, timeout: 90}
      - {name: disk-partition, image: disk-partition, timeout: 180}
"""


def _provision(server: Server) -> Ids:
    server.rpc("awf.definition/put", {"kind": "machine-template", "name": "demo/provision", "template": _MACHINE})
    return {}


def _machine(server: Server) -> Ids:
    _provision(server)
    params = {"definition": "demo/provision", "hardware": {"device_1": MAC}}
    return {ID: server.rpc("awf.machine/create", params)["resource"]["id"]}


def _reported(server: Server) -> Ids:
    ids = _machine(server)
    report = {"task": "os-installation", "action": "disk-wipe", "state": "STATE_RUNNING", "worker": MAC}
    server.rpc("awf.machine/report", {"id": ids[ID], **report})
    return ids


def _data(server: Server) -> Ids:
    ids = _machine(server)
    server.rpc("awf.machine/put-data", {"id": ids[ID], "data": {"disk": "/dev/sda"}})
    return ids


def _hardware(server: Server) -> Ids:
    dhcp = {"mac": MAC, "ip": {"address": "192.168.1.5"}}
    record = {"id": HARDWARE, "network": {"interfaces": [{"dhcp": dhcp}]}}
    server.rpc("awf.hardware/push", {"hardware": record})
    return {}


# The first pattern that matches a method's whole name prepares its example.
PREPARATIONS: tuple[tuple[str, Prepare], ...] = (
    (r"awf\.task/(poll|long-poll|status|cancel)", _ready),
    (r"awf\.task/start", _requested),
    (r"awf\.task/(notify|(success|fail)(-many)?)", _leased),
    (r"awf\.task/release(-many)?", _requested),
    (r"awf\.task/(retry|list)", _failed),
    (r"awf\.task/wait-for", _succeeded),
    (r"awf\.task/create-and-wait", _created_before),
    (r"awf\.task/create-(and-execute|many)", _definition),
    (r"awf\.workflow/create-and-execute", _order),
    (r"awf\.workflow/wait-for", _completed_workflow),
    (r"awf\.workflow/.*", _workflow),
    (r"awf\.definition/(get|list|delete)", _definition),
    (r"awf\.schedule/status", _run_now),
    (r"awf\.schedule/resume", _paused),
    (r"awf\.schedule/backfill", _in_the_past),
    (r"awf\.schedule/.*", _schedule),
    (r"awf\.event/publish|awf\.trigger/list", _trigger),
    (r"awf\.trigger/status", _triggered),
    (r"awf\.taskflow/(details|list|cancel)", _flow),
    (r"awf\.taskflow/retry", _failed_flow),
    (r"awf\.taskflow\.template/(list|update|delete|execute)", _template),
    (r"awf\.people/close-task-list", _completed),
    (r"awf\.people/(unclaim|set-task-completed|set-executed-by-user|lock-task|assert-task-user-is-valid)", _claimed),
    (r"awf\.people/(my-tasks|display-task-events|change-task-status-if-required|plan-task-if-required)", _claimed),
    (r"awf\.people/validate-after-task-completed", _completed),
    (r"awf\.people/unlock-task", _locked),
    (r"awf\.people/find-all-task-mails", _mailed),
    (r"awf\.people/find-one-task.*", _badge),
    (r"awf\.people/(put-team|find-team.*|is-user.*|save-team.*|put-partner|create-task-list|get-process.*)", _desk),
    (r"awf\.people/confirm-status-event", _drafted(1)),
    (r"awf\.people/confirm-transfer-event", _drafted(2)),
    (r"awf\.people/confirm-plan-event", _drafted(3)),
    (r"awf\.people/.*", _list),
    (r"awf\.device/run", _fleet),
    (r"awf\.device/(run-status|runs|stop)", _run),
    (r"awf\.device/report", _device_task),
    (r"awf\.device/(status|list)", _device),
    (r"awf\.machine/create", _provision),
    (r"awf\.machine/(status|contexts|report|events|list)", _reported),
    (r"awf\.machine/data", _data),
    (r"awf\.machine/.*", _machine),
    (r"awf\.hardware/(get|list|delete)", _hardware),
)
