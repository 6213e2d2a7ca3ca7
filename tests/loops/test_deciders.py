"""Deciders inside of the server: pure functions that are told what those outside are told."""

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
    """One step after the other; a bug where the params ask for one, and nonsense likewise."""
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
    """Two servers that decide over workflows by themselves."""
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


def test_a_workflow_is_decided_over_by_its_server(servers: TwoServers) -> None:
    decider = Decider(servers.one, "demo/steps")
    workflow = decider.create()
    for _ in STEPS:
        work(servers.other)
    assert ended(decider, workflow["id"])["result"] == dict.fromkeys(STEPS, "succeeded")
    decisions = decider.status(workflow["id"])["decisions"]
    assert len(decisions) == 1 + len(STEPS)
    assert {decision["outcome"] for decision in decisions} == {"succeeded"}


def test_what_fails_is_told(servers: TwoServers) -> None:
    decider = Decider(servers.one, "demo/steps")
    workflow = decider.create()
    work(servers.one, "fail")
    assert ended(decider, workflow["id"])["error"] == {"failed": True}


@pytest.mark.parametrize(("bug", "type"), [("raise", "internal-error"), ("nonsense", "invalid-action")])
def test_a_bug_fails_the_decision_and_in_the_end_the_workflow(servers: TwoServers, bug: str, type: str) -> None:
    decider = Decider(servers.one, "demo/steps", allowedRetryCount=1, retryDelay=0)
    workflow = decider.create(params={"bug": bug})
    reason = ended(decider, workflow["id"])["outcomeReason"]
    assert isinstance(reason, dict)
    assert reason["type"] == "awf.executor/unknown-error"
    (decision,) = decider.status(workflow["id"])["decisions"]
    assert (decision["error"]["type"], decision["retryCount"]) == (type, 2)
    assert reason["message"] == f"No attempt was left to decide: {decision['error']['message']}"


def test_whoever_waits_for_a_decision_that_was_lost_with_its_server_leaves_it_to_the_loop(server: Server) -> None:
    """The loop runs it alone; beside a request it would take the request along again."""
    engine, decider = server.app.engine, Decider(server, "demo/steps")
    parts = engine.tasks, engine.workflows, engine.executions, engine.transitions, engine.definitions
    workflow = decider.create()
    server.query("update fencepost.live_tasks set lost_attempts = 1")
    server.run(Deciders(*parts, {"workflow": decide}).run_pending_decisions(workflow["id"]))
    ((status, attempts),) = server.query("select status, retry_count from fencepost.live_tasks")
    assert (status, attempts) == ("ready", 0)


@pytest.mark.parametrize("bug", ["raise", "nonsense"])
def test_whoever_waits_for_a_decision_is_not_told_of_a_bug_in_it(server: Server, bug: str) -> None:
    """What they have said is taken; the decision is left to others, as if nobody had been at it."""
    engine, decider = server.app.engine, Decider(server, "demo/steps")
    parts = engine.tasks, engine.workflows, engine.executions, engine.transitions, engine.definitions
    workflow = decider.create(params={"bug": bug})
    server.run(Deciders(*parts, {"workflow": decide}).run_pending_decisions(workflow["id"]))
    decision = decider.decision()
    assert (decision["requester"]["id"], decision["retryCount"]) == (workflow["id"], 1)
