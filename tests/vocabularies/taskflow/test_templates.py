"""Templates of flows: add, update, execute, delete."""

from __future__ import annotations

import pytest

from tests.fixtures.servers import Server
from tests.fixtures.taskflows import Caller, flow, task, tasks


@pytest.fixture
def caller(server: Server) -> Caller:
    return Caller(server)


STAGES = flow([task("a", {"v": "{{context.v}}"})])["stages"]


@pytest.mark.shows("taskflow/template-ids")
def test_the_server_gives_a_template_its_id_and_time(caller: Caller) -> None:
    kept = caller.call(".template/add", template={"name": "Good night", "stages": STAGES, "context": {"v": 1}})
    assert kept["id"] == kept["templateId"]
    assert (kept["name"], kept["context"], kept["stages"]) == ("Good night", {"v": 1}, STAGES)
    assert isinstance(kept["createdAt"], int)
    assert caller.call(".template/list") == [kept]
    refused = caller.server.refused("awf.taskflow.template/add", {"template": {**kept, "name": "x"}})
    assert refused[:2] == (400, "invalid-params")


@pytest.mark.shows("taskflow/template-update")
def test_an_update_of_a_template_changes_the_given_members_only(caller: Caller) -> None:
    kept = caller.call(".template/add", template={"name": "Good night", "stages": STAGES, "context": {"v": 1}})
    changed = caller.call(".template/update", template={"id": kept["id"], "name": "Sleep well"})
    assert changed == {**kept, "name": "Sleep well"}
    options = {"maxRetries": 2}
    changed = caller.call(".template/update", template={"templateId": kept["id"], "options": options})
    assert changed == {**kept, "name": "Sleep well", "options": options}
    for name in ("id", "templateId"):
        missing = caller.server.refused("awf.taskflow.template/update", {"template": {name: "taskflow.template/none"}})
        assert missing == (404, "template-not-found", f"$.params.template.{name}")
    changed = caller.call(".template/update", template={**changed, "context": None})
    assert "context" not in changed
    assert caller.call(".template/execute", templateId=kept["id"], context={"v": 3})["context"] == {"v": 3}
    bad = {"template": {"id": kept["id"], "stages": flow([task("a", type="CHANNEL")])["stages"]}}
    refused = caller.server.refused("awf.taskflow.template/update", bad)
    assert refused == (400, "invalid-params", "$.params.template.stages[0].tasks[0].taskDetails.channelName")


@pytest.mark.shows("taskflow/template-execute")
def test_a_template_is_executed_by_its_id(caller: Caller) -> None:
    kept = caller.call(".template/add", template={"name": "Good night", "stages": STAGES, "context": {"v": 1}})
    record = caller.call(".template/execute", templateId=kept["id"])
    assert record["name"] == "Good night"
    assert caller.work("a")["params"]["params"] == {"v": 1}
    assert caller.ended(record["taskflowId"])["status"] == "COMPLETED"
    one = caller.call(".template/execute", templateId=kept["id"], context={"v": 2}, requestId="r")
    assert caller.call(".template/execute", templateId=kept["id"], context={"v": 2}, requestId="r")["_id"] == one["_id"]
    other = {"templateId": kept["id"], "context": {"v": 3}, "requestId": "r"}
    assert caller.server.refused("awf.taskflow.template/execute", other)[1] == "request-id-reused"
    assert caller.work("a")["params"]["params"] == {"v": 2}
    assert len(tasks(caller.details(one["taskflowId"]))) == 1


@pytest.mark.shows("taskflow/template-delete")
def test_a_template_is_deleted_when_no_live_run_needs_it(caller: Caller) -> None:
    kept = caller.call(".template/add", template={"name": "Good night", "stages": STAGES, "context": {"v": 1}})
    id = caller.call(".template/execute", templateId=kept["id"])["taskflowId"]
    refused = caller.server.refused("awf.taskflow.template/delete", {"templateId": kept["id"]})
    assert refused == (422, "definition-in-use", "$.params.templateId")
    caller.work("a")
    caller.ended(id)
    assert caller.call(".template/delete", templateId=kept["id"]) == kept
    assert caller.call(".template/list") == []
    assert caller.details(id)["status"] == "COMPLETED"
    for verb in ("delete", "execute"):
        refused = caller.server.refused(f"awf.taskflow.template/{verb}", {"templateId": kept["id"]})
        assert refused == (404, "template-not-found", "$.params.templateId")


def test_templates_and_declared_flows_are_listed_page_by_page(caller: Caller) -> None:
    caller.server.rpc("awf.definition/put", {"kind": "taskflow", "name": "house/night", "stages": STAGES})
    caller.server.rpc("awf.definition/put", {"kind": "workflow", "name": "house/other"})
    kept = [caller.call(".template/add", template={"name": str(n), "stages": STAGES})["id"] for n in range(3)]
    first = caller.server.rpc("awf.taskflow.template/list", {"limit": 3})
    second = caller.server.rpc("awf.taskflow.template/list", {"limit": 3, "after": first["next"]})
    assert [one["id"] for one in first["data"] + second["data"]] == ["house/night", *sorted(kept)]
    assert first["data"][0]["name"] == "house/night"
    assert "next" not in second


def test_many_templates_do_not_delay_a_flow(caller: Caller) -> None:
    ids = [
        caller.call(".template/add", template={"name": f"no. {number}", **flow(["a"])})["templateId"]
        for number in range(80)
    ]
    for id in (ids[0], ids[-1]):
        begun = caller.call(".template/execute", templateId=id)["taskflowId"]
        caller.work("a")
        assert caller.ended(begun)["status"] == "COMPLETED"
