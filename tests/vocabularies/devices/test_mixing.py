"""Device runs and flows: a flow begins a run, and a step of a run is a flow."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.devices import PATROL, Fleet
from tests.fixtures.servers import Server
from tests.fixtures.taskflows import flow, task
from tests.fixtures.waiting import until


def worked(server: Server, definition: str, result: dict[str, Any]) -> Any:
    """Complete a task of a service and return it."""
    (one,) = until(lambda: server.poll(definition, start=True))
    server.rpc("awf.task/success", {"id": one["id"], "execId": one["execId"], "result": result})
    return one


def ended(server: Server, id: str) -> Any:
    """Wait for the end of a workflow and return it."""
    return until(lambda: (one := server.rpc("awf.workflow/status", {"id": id})["resource"])["status"] == "done" and one)


@pytest.mark.shows("devices/used-by-flow")
def test_a_flow_runs_a_device_workflow_and_continues_with_its_result(server: Server) -> None:
    fleet = Fleet(server, steps=[{"action": "GO"}])
    patrol = task("patrol", {"device": "r7", "payload": {"to": "gate"}}, type="WORKFLOW")
    patrol["taskDetails"] = {"definition": PATROL}
    content = flow([patrol], [task("note", {"metres": "{{s1.patrol.result.metres}}"})])
    id = server.rpc("awf.taskflow/produce", content)["data"]["taskflowId"]
    (run,) = until(lambda: fleet.call("GET", f"/workflows/{PATROL}/runs")["runs"])
    run = until(lambda: (now := fleet.run(run["id"])).get("currentTaskId") and now)
    assert (run["deviceId"], run["tasks"][0]["payload"]) == ("r7", {"to": "gate"})
    fleet.do(run["id"], "start", "complete", result={"metres": 42})
    assert worked(server, "svc/note", {})["params"]["params"] == {"metres": 42}
    assert ended(server, id)["outcome"] == "succeeded"


@pytest.mark.shows("devices/flow-as-step")
def test_a_flow_can_be_a_step_of_a_run(server: Server) -> None:
    stages = flow([task("store", {"map": "{{context.map}}"})], context={"map": 0})
    server.rpc("awf.definition/put", {"kind": "taskflow", "name": "demo/upload", **stages})
    steps = [{"action": "GO"}, {"workflow": "demo/upload", "payload": {"map": 7}}, {"action": "WAIT"}]
    fleet = Fleet(server, steps=steps)
    run = fleet.do(fleet.begin()["id"], "start", "complete")
    assert [child["workflowId"] for child in run["children"]] == ["demo/upload"]
    assert worked(server, "svc/store", {"stored": True})["params"]["params"] == {"map": 7}
    after = until(lambda: (now := fleet.run(run["id"])).get("currentTaskId") and now)
    assert after["tasks"][-1]["actionName"] == "WAIT"
    assert fleet.do(run["id"], "start", "complete")["status"] == "COMPLETED"


def test_stopping_a_run_stops_the_flow_that_is_its_step(server: Server) -> None:
    server.rpc("awf.definition/put", {"kind": "taskflow", "name": "demo/upload", **flow(["store"])})
    fleet = Fleet(server, steps=[{"workflow": "demo/upload"}])
    run = fleet.begin()
    until(lambda: server.poll("svc/store"))
    assert fleet.stop(run["id"])["status"] == "ABORTED"
    (child,) = fleet.run(run["id"])["children"]
    assert child["outcome"] == "canceled"
