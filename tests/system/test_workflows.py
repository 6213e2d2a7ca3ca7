"""A workflow from its beginning to its end, over the wire."""

from __future__ import annotations

import pytest

from tests.fixtures.servers import Server
from tests.fixtures.workflows import Decider

ACTION = "awf.workflow.action/"


@pytest.fixture
def decider(server: Server) -> Decider:
    """A decider of `demo/order` on a running server, with a kind of task to schedule."""
    server.define()
    return Decider(server, "demo/order")


def test_a_workflow_of_two_tasks(server: Server, decider: Decider) -> None:
    workflow = decider.create(params={"customer": "c-17"})
    assert (workflow["status"], workflow["resourceType"]) == ("in-progress", "AidboxWorkflow")

    first = decider.decision()
    assert first["params"] == {"event": "awf.workflow.event/workflow-init"}
    assert first["definition"] == "awf.workflow/decision-task"
    assert first["workflow-definition"] == "demo/order"
    assert first["requester"] == {"resourceType": "AidboxWorkflow", "id": workflow["id"]}
    decider.decide(first, decider.task("one"), decider.task("two"))

    for label in ("one", "two"):
        (task,) = server.poll(start=True)
        assert (task["label"], task["requester"]["id"]) == (label, workflow["id"])
        server.rpc("awf.task/success", {"id": task["id"], "execId": task["execId"]})

    one = decider.decision()
    assert one["params"]["event"] == "awf.workflow.event/task-completed"
    assert (one["params"]["label"], one["params"]["outcome"]) == ("one", "succeeded")
    assert decider.poll() == [], "one decision at a time"
    decider.decide(one, {"action": ACTION + "do-nothing"})
    decider.decide(decider.decision(), {"action": ACTION + "complete-workflow", "result": {"n": 2}})

    done = server.rpc(
        "awf.workflow/status", {"id": workflow["id"], "include-activities?": True, "include-decisions?": True}
    )
    assert (done["resource"]["status"], done["resource"]["outcome"]) == ("done", "succeeded")
    assert done["resource"]["result"] == {"n": 2}
    assert [activity["label"] for activity in done["activities"]] == ["one", "two"]
    assert [decision["params"]["event"].rpartition("/")[2] for decision in done["decisions"]] == [
        "workflow-init",
        "task-completed",
        "task-completed",
    ]
