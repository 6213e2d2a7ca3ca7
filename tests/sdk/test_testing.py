"""Deciders tried without a server: on recorded histories, and by hand."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fencepost_sdk import Event, Facts
from fencepost_sdk.actions import complete, do_nothing, fail, schedule_task, schedule_workflow
from fencepost_sdk.testing import History, Run, assert_unchanged, replay
from tests.fixtures.servers import Server
from tests.fixtures.workflows import Decider as ByHand

pytestmark = pytest.mark.shows("guarantees/repeated-decision")


@dataclass
class Order:
    pictures: int


def decide(workflow: Facts[Order], event: Event) -> Any:
    """Make pictures, and complete when all are done; a signal fails it."""
    if event.kind == "init":
        return [schedule_task("demo/resize", f"picture-{n}", {"n": n}) for n in range(workflow.params.pictures)]
    if event.kind == "signal":
        return fail({"said": event.payload})
    if all(picture.done for picture in workflow.activities.values()):
        return complete({"urls": [picture.result["url"] for picture in workflow.activities.values()]})
    return None


@pytest.fixture
def history(server: Server) -> History:
    """A workflow that `decide` has decided about: both pictures were done before anything was decided about either."""
    server.define()
    by_hand = ByHand(server, "demo/order")
    workflow = by_hand.create(params={"pictures": 2})
    by_hand.decide(
        by_hand.decision(), by_hand.task("picture-0", params={"n": 0}), by_hand.task("picture-1", params={"n": 1})
    )
    for task in server.poll(start=True, maxBatchSize=2):
        url = {"url": f"/{task['params']['n']}"}
        server.rpc("awf.task/success", {"id": task["id"], "execId": task["execId"], "result": url})
    by_hand.decide(by_hand.decision())
    by_hand.decide(by_hand.decision(), complete({"urls": ["/0", "/1"]}))
    return History.of(by_hand.status(workflow["id"]))


def test_replay_of_an_unchanged_decider_has_no_differences(history: History) -> None:
    assert [decision["outcome"] for decision in history.decisions] == ["succeeded"] * 3
    assert replay(decide, history) == []
    assert_unchanged(decide, history)


def test_replay_of_a_changed_decider_returns_the_differences(history: History) -> None:
    def hasty(workflow: Facts[Order], event: Event) -> Any:
        return complete() if event.kind == "task-completed" else decide(workflow, event)

    middle, last = replay(hasty, history)
    assert (middle.decision, middle.event.label) == (history.decisions[1]["id"], "picture-0")
    assert (middle.then, middle.now) == ([], [complete()])
    assert last.then == [complete({"urls": ["/0", "/1"]})]
    with pytest.raises(AssertionError) as caught:
        assert_unchanged(hasty, history)
    assert f"2 of 3 decisions of {history.resource['id']} would differ" in str(caught.value)
    assert '  then: nothing\n  now:  [{"action": "awf.workflow.action/complete-workflow"}]' in str(caught.value)


def test_an_exception_of_the_decider_in_a_replay_is_a_difference(history: History) -> None:
    def broken(workflow: Facts[Any], event: Event) -> Any:
        raise KeyError(event.kind)

    differences = replay(broken, history)
    assert [type(difference.error) for difference in differences] == [KeyError] * 3
    assert "now:  KeyError('init')" in str(differences[0])


def test_replay_gives_each_decision_the_facts_of_its_time(history: History) -> None:
    seen: list[dict[str, str | None]] = []

    def look(workflow: Facts[Any], event: Event) -> Any:
        seen.append({label: one.outcome for label, one in workflow.activities.items()})

    replay(look, history)
    assert seen == [
        {},
        {"picture-0": "succeeded", "picture-1": None},
        {"picture-0": "succeeded", "picture-1": "succeeded"},
    ]


def test_an_async_decider_is_replayed_from_sync_and_async_code(history: History) -> None:
    async def awaited(workflow: Facts[Order], event: Event) -> Any:
        await asyncio.sleep(0)
        return decide(workflow, event)

    async def test() -> None:
        assert_unchanged(awaited, history)

    asyncio.run(test())


def test_replay_matches_labels_that_the_server_gave() -> None:
    request = {"definition": "demo/resize"}
    unlabelled = {"action": "awf.workflow.action/schedule-task", "task-request": request}
    history = History.of(
        {
            "resource": {"id": "w-1", "definition": "demo/order"},
            "activities": [],
            "decisions": [decision("d-1", [do_nothing(), unlabelled])],
        }
    )
    assert replay(lambda workflow, event: [do_nothing(), schedule_task("demo/resize", "d-1/1")], history) == []
    assert replay(lambda workflow, event: [do_nothing(), unlabelled], history) == []
    assert len(replay(lambda workflow, event: schedule_task("demo/resize", "d-1/1", {}), history)) == 1


def test_replay_matches_the_vendors_request_member_of_child_workflows() -> None:
    theirs = {**schedule_workflow("demo/child", "child")}
    theirs["task-request"] = theirs.pop("workflow-request")
    history = History.of(
        {
            "resource": {"id": "w-1", "definition": "demo/order"},
            "activities": [],
            "decisions": [decision("d-1", theirs)],
        }
    )
    assert replay(lambda workflow, event: schedule_workflow("demo/child", "child"), history) == []


def test_replay_keeps_the_delivered_outcome_of_a_task_retried_later() -> None:
    ended = {"event": "awf.workflow.event/task-completed", "task-id": "t-1", "label": "one"}
    status = {
        "resource": {"id": "w-1", "definition": "demo/order"},
        "activities": [
            {"id": "t-1", "label": "one", "definition": "demo/resize", "outcome": "succeeded", "result": {"n": 2}}
        ],
        "decisions": [
            decision("d-1", [schedule_task("demo/resize", "one")]),
            decision("d-2", [], {**ended, "outcome": "failed"}),
            decision("d-3", [], {**ended, "outcome": "succeeded"}),
        ],
    }
    seen: list[Any] = []
    replay(lambda workflow, event: seen.append(workflow.activities.get("one")), History.of(status))
    assert [one and (one.outcome, one.result) for one in seen] == [None, ("failed", None), ("succeeded", {"n": 2})]


def test_history_loads_an_export_and_refuses_another_file(history: History, tmp_path: Path) -> None:
    file = tmp_path / "order.json"
    parts = {"resource": history.resource, "activities": history.activities, "decisions": history.decisions}
    file.write_text(json.dumps(parts))
    assert History.load(file) == history
    file.write_text(json.dumps({"resource": {}}))
    with pytest.raises(ValueError, match="not the history of a workflow: 'activities' is missing"):
        History.load(file)


def test_a_run_is_driven_event_by_event() -> None:
    run = Run(decide, Order(2))
    assert run.live == ["picture-0", "picture-1"]
    assert run.activities["picture-1"].params == {"n": 1}
    assert run.complete("picture-1", {"url": "/1"}) == []
    assert run.complete("picture-0", {"url": "/0"}) == [complete({"urls": ["/0", "/1"]})]
    assert (run.outcome, run.result) == ("succeeded", {"urls": ["/0", "/1"]})
    with pytest.raises(ValueError, match="the workflow has already succeeded"):
        run.signal("late")


def test_a_run_delivers_failures_cancels_signals_and_child_workflows() -> None:
    def listen(workflow: Facts[Any], event: Event) -> Any:
        if event.kind == "init":
            return [schedule_task("demo/a", "a"), schedule_task("demo/b", "b"), schedule_workflow("demo/c", "c")]
        heard.append((event.kind, event.label or event.name, event.outcome))
        return fail("enough") if event.kind == "signal" else None

    heard: list[tuple[str, str | None, str | None]] = []
    run = Run(listen)
    run.fail("a", {"code": 1})
    run.cancel("b")
    run.complete("c")
    run.signal("stop", {"by": "ada"})
    assert heard == [
        ("task-completed", "a", "failed"),
        ("task-completed", "b", "canceled"),
        ("workflow-completed", "c", "succeeded"),
        ("signal", "stop", None),
    ]
    assert (run.activities["a"].error, run.outcome, run.error) == ({"code": 1}, "failed", {"message": "enough"})


def test_a_run_refuses_what_the_server_would_refuse() -> None:
    with pytest.raises(ValueError, match="an activity with other content has the label 'a'"):
        Run(lambda workflow, event: [schedule_task("demo/a", "a"), schedule_task("demo/b", "a")])
    with pytest.raises(ValueError, match="no action may follow the one that ends the workflow"):
        Run(lambda workflow, event: [complete(), schedule_task("demo/b", "a")])
    with pytest.raises(ValueError, match="there is no action 'complete'"):
        Run(lambda workflow, event: {"action": "complete"})
    with pytest.raises(TypeError, match="a decider returns None, an action or a list"):
        Run(lambda workflow, event: "yes")
    with pytest.raises(ValueError, match="no live activity has the label 'b'; live are"):
        Run(lambda workflow, event: schedule_task("demo/a", "a")).complete("b")


def test_a_repeated_action_starts_one_activity() -> None:
    run = Run(lambda workflow, event: schedule_task("demo/a", "a"))
    run.signal("again")
    assert run.live == ["a"]


def decision(id: str, result: Any, event: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a decision task that has succeeded, about the first event if no other is given."""
    params = event or {"event": "awf.workflow.event/workflow-init"}
    return {"id": id, "outcome": "succeeded", "params": params, "result": result}
