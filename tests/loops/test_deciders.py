"""In-process deciders: pure functions that get the same events as external deciders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import pytest

from fencepost.domain.actions import AnyAction, CompleteWorkflow, Fail, Request, ScheduleTask
from fencepost.domain.decider import Event, Facts
from fencepost.engine.deciders import Deciders
from tests.fixtures.servers import Server, running_server
from tests.fixtures.two_servers import TwoServers
from tests.fixtures.waiting import until
from tests.fixtures.workflows import Decider

STEPS = ("one", "two", "three")


def decide(workflow: Facts, event: Event) -> Sequence[AnyAction]:
    """Schedule one step after the other, or fail in the way that the params ask for."""
    params = msgspec.json.decode(workflow.workflow.params or b"{}")
    if params.get("bug") == "raise":
        raise ZeroDivisionError("a decider's bug")
    if params.get("bug") == "nonsense":
        return [ScheduleTask(task_request=Request("demo/nobody", "one"))]
    if any(activity.outcome == "failed" for activity in workflow.activities.values()):
        return [Fail(error=msgspec.Raw(b'{"failed":true}'))]
    if workflow.activities.keys() >= set(STEPS) and event.label == STEPS[-1]:
        told = {label: activity.outcome for label, activity in workflow.activities.items()}
        return [CompleteWorkflow(result=msgspec.Raw(msgspec.json.encode(told)))]
    following = STEPS[0] if event.kind == "workflow-init" else STEPS[STEPS.index(event.label or "") + 1]
    return [ScheduleTask(task_request=Request("demo/resize", following))]


@pytest.fixture
def servers(database: str) -> Iterator[TwoServers]:
    """Two servers with an in-process decider."""
    inside = {"workflow": decide}
    with running_server(database, deciders=inside) as one, running_server(database, deciders=inside) as other:
        one.define(allowedRetryCount=0)
        yield TwoServers(one, other)


def work(server: Server, verb: str = "success") -> None:
    (task,) = until(lambda: server.poll(start=True))
    server.rpc(f"awf.task/{verb}", {"id": task["id"], "execId": task["execId"]})


def ended(decider: Decider, id: str) -> dict[str, object]:
    resource = until(lambda: (found := decider.status(id)["resource"])["status"] == "done" and found)
    assert isinstance(resource, dict)
    return resource


def test_an_in_process_decider_runs_a_workflow_to_its_end(servers: TwoServers) -> None:
    decider = Decider(servers.one, "demo/steps")
    workflow = decider.create()
    for _ in STEPS:
        work(servers.other)
    assert ended(decider, workflow["id"])["result"] == dict.fromkeys(STEPS, "succeeded")
    decisions = decider.status(workflow["id"])["decisions"]
    assert len(decisions) == 1 + len(STEPS)
    assert {decision["outcome"] for decision in decisions} == {"succeeded"}


def test_an_in_process_decider_gets_the_failure_of_an_activity(servers: TwoServers) -> None:
    decider = Decider(servers.one, "demo/steps")
    workflow = decider.create()
    work(servers.one, "fail")
    assert ended(decider, workflow["id"])["error"] == {"failed": True}


@pytest.mark.parametrize(("bug", "type"), [("raise", "internal-error"), ("nonsense", "invalid-action")])
def test_a_bug_in_a_decider_fails_the_decision_and_finally_the_workflow(
    servers: TwoServers, bug: str, type: str
) -> None:
    decider = Decider(servers.one, "demo/steps", allowedRetryCount=1, retryDelay=0)
    workflow = decider.create(params={"bug": bug})
    reason = ended(decider, workflow["id"])["outcomeReason"]
    assert isinstance(reason, dict)
    assert reason["type"] == "awf.executor/unknown-error"
    (decision,) = decider.status(workflow["id"])["decisions"]
    assert (decision["error"]["type"], decision["retryCount"]) == (type, 2)
    assert reason["message"] == f"No attempt was left to decide: {decision['error']['message']}"


def test_run_pending_decisions_leaves_a_lost_decision_to_the_loop(server: Server) -> None:
    """The loop runs a decision that may crash the server alone, so that no request is lost with it."""
    engine, decider = server.app.engine, Decider(server, "demo/steps")
    parts = engine.tasks, engine.workflows, engine.executions, engine.transitions, engine.definitions
    workflow = decider.create()
    server.query("update fencepost.live_tasks set lost_attempts = 1")
    server.run(Deciders(*parts, {"workflow": decide}).run_pending_decisions(workflow["id"]))
    ((status, attempts),) = server.query("select status, retry_count from fencepost.live_tasks")
    assert (status, attempts) == ("ready", 0)


@pytest.mark.parametrize("bug", ["raise", "nonsense"])
def test_run_pending_decisions_does_not_raise_a_bug_of_the_decider(server: Server, bug: str) -> None:
    """The change of the caller is stored; the decision task stays ready for another decider."""
    engine, decider = server.app.engine, Decider(server, "demo/steps")
    parts = engine.tasks, engine.workflows, engine.executions, engine.transitions, engine.definitions
    workflow = decider.create(params={"bug": bug})
    server.run(Deciders(*parts, {"workflow": decide}).run_pending_decisions(workflow["id"]))
    decision = decider.decision()
    assert (decision["requester"]["id"], decision["retryCount"]) == (workflow["id"], 1)
