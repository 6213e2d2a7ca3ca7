"""Workflows under random deciders that crash between any two calls, failing activities, cancels and signals.

After every step the database is compared with the acknowledged calls: every activity of a committed decision exists
once, every event was delivered once and in order, and no live workflow has an undelivered event and no decision task.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from fencepost.clock import FrozenClock
from fencepost.settings import Settings
from tests.fixtures.models import run_model
from tests.fixtures.servers import Server, running_server
from tests.fixtures.waiting import until
from tests.fixtures.workflows import ACTION, Decider

pytestmark = pytest.mark.shows("guarantees/event-reaches-decider")

T = TypeVar("T")
LABELS = st.sampled_from(["a", "b", "c", "d"])
ENDINGS = {"complete-workflow": "succeeded", "fail": "failed", "unknown-error": "failed"}
_DEPTH = 3
_TOO_LATE = {"exec-id-mismatch", "task-has-been-done", "task-not-in-progress", "task-not-requested"}

_EVENTS = """
    select r.params::text from fencepost.task_resources as r
    where r.decides and r.workflow_seq = (select seq from fencepost.workflow_names where id = '{id}') order by r.seq
"""
_INBOX = """
    select e.event::text from fencepost.workflow_events as e
    where e.workflow_seq = (select seq from fencepost.workflow_names where id = '{id}') order by e.number
"""
_UNDECIDED = """
    select w.id from fencepost.live_workflows as w
    where exists (select from fencepost.workflow_events as e where e.workflow_seq = w.seq)
        and not exists (
            select from fencepost.live_tasks as l
            where l.workflow_seq = w.seq and substr(l.id, 19, 6) = '-8001-'
        )
"""
_DUE = "select from fencepost.live_tasks as l where l.deadline_at <= '{now}'"
_TWO_AT_ONCE = """
    select l.workflow_seq from fencepost.live_tasks as l
    where substr(l.id, 19, 6) = '-8001-' group by l.workflow_seq having count(*) > 1
"""
_LEFT_BEHIND = """
    select d.id from fencepost.done_workflows as d
    where exists (select from fencepost.live_tasks as l where l.workflow_seq = d.seq)
        or exists (select from fencepost.workflow_events as e where e.workflow_seq = d.seq)
        or exists (select from fencepost.live_workflows as w where w.parent_seq = d.seq)
"""


@dataclass
class Known:
    """A workflow as the acknowledged calls describe it."""

    id: str
    parent: Known | None = None
    label: str | None = None
    outcome: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    children: list[Known] = field(default_factory=list)
    events: Counter[tuple[str, ...]] = field(default_factory=Counter)
    told: list[Any] = field(default_factory=list)
    # The workflow has ended and was checked since; it is checked again at the end.
    is_settled: bool = False

    @property
    def depth(self) -> int:
        """The number of its ancestors."""
        return 0 if self.parent is None else 1 + self.parent.depth

    def end(self, outcome: str) -> None:
        """End the workflow and its children; its parent gets an event."""
        self.outcome = outcome
        for child in self.children:
            if child.outcome is None:
                child.end("canceled")
        if self.parent is not None and self.parent.outcome is None:
            self.parent.events["workflow-completed", self.id, outcome] += 1


class Workflows(RuleBasedStateMachine):
    """Callers of two servers on one database."""

    conninfo = ""
    clock = FrozenClock()
    servers: tuple[Server, Server]

    @initialize()
    def declare(self) -> None:
        self.known: dict[str, Known] = {}
        self.held: dict[str, Any] = {}
        self.activities: dict[str, tuple[Known, str | None]] = {}
        self.working: dict[str, Any] = {}
        self.numbers = itertools.count()
        self.turn = itertools.cycle(self.servers)
        short = {"allowedRetryCount": 1, "retryDelay": 1000, "inProgressTimeout": 10_000}
        self.decider = Decider(self.server, "demo/flow", **short)
        self.server.define("demo/step", **short)
        # Remove the live workflows of the example before.
        for workflow in self.server.rpc("awf.workflow/list", {"filter": {"status": "in-progress"}})["resources"]:
            self.refusal("awf.workflow/cancel", {"id": workflow["id"]})

    @property
    def server(self) -> Server:
        """One of the two servers, in turn."""
        return next(self.turn)

    @precondition(lambda self: sum(one.outcome is None for one in self.known.values()) < 3)
    @rule()
    def begin(self) -> None:
        id = self.decider.create()["id"]
        self.known[id] = Known(id, events=Counter({("workflow-init",): 1}))

    @rule(start=st.booleans(), size=st.integers(1, 3))
    def poll_decisions(self, start: bool, size: int) -> None:
        params = {"workflowDefinitions": ["demo/flow"], "start": start, "maxBatchSize": size}
        for decision in self.server.rpc("awf.task/poll", params)["resources"]:
            self.held[decision["id"]] = decision

    @rule(start=st.booleans())
    def poll_activities(self, start: bool) -> None:
        for task in self.server.poll("demo/step", start=start, maxBatchSize=3):
            self.working[task["id"]] = task

    @rule(data=st.data(), twice=st.booleans())
    def decide(self, data: st.DataObject, twice: bool) -> None:
        if not self.held:
            self.poll_decisions(start=twice, size=3)
        if not self.held:
            return
        decision = self.taken(data, self.held)
        workflow = self.known[decision["requester"]["id"]]
        actions, begins, ending = self.actions(data, workflow)
        lease = self.started(decision)
        for _ in range(1 + twice):
            refused = self.refusal("awf.task/success", {**lease, "result": actions})
            if refused is None and not twice:
                break
            if refused is not None:
                conflict = self.conflicts(workflow, begins)
                assert refused in _TOO_LATE or (refused == "invalid-action" and conflict)
                return
        self.apply(workflow, begins, ending)

    def actions(self, data: st.DataObject, workflow: Known) -> tuple[list[Any], dict[str, str], str | None]:
        """Draw a decision: its actions, what they begin by label, and how they end the workflow."""
        actions: list[Any] = []
        begins: dict[str, str] = {}
        for label in data.draw(st.lists(LABELS, max_size=3)):
            child = workflow.depth < _DEPTH and data.draw(st.integers(0, 3)) == 0
            number = data.draw(st.sampled_from([0, 0, 0, 1]))
            params = {"n": number}
            action = (
                self.decider.child(label, "demo/flow", params=params)
                if child
                else self.decider.task(label, "demo/step", params=params)
            )
            actions.append(action)
            begins.setdefault(label, f"{'workflow' if child else 'task'} {number}")
            if begins[label] != f"{'workflow' if child else 'task'} {number}":
                begins[label] = "conflict"
        ending = data.draw(st.sampled_from([None] * 15 + list(ENDINGS)))
        if ending is not None:
            actions.append({"action": ACTION + ending})
        return actions, begins, ending

    def conflicts(self, workflow: Known, begins: dict[str, str]) -> bool:
        """Return whether a decision uses a taken label with other content."""
        return any(what == "conflict" or workflow.labels.get(label, what) != what for label, what in begins.items())

    def apply(self, workflow: Known, begins: dict[str, str], ending: str | None) -> None:
        """Record an acknowledged decision and the activities that it started."""
        assert workflow.outcome is None
        assert not self.conflicts(workflow, begins)
        new = {label: what for label, what in begins.items() if label not in workflow.labels}
        workflow.labels |= new
        for activity in self.decider.status(workflow.id)["activities"]:
            if activity["label"] not in new:
                continue
            if activity["resourceType"] == "AidboxWorkflow":
                child = Known(activity["id"], workflow, activity["label"], events=Counter({("workflow-init",): 1}))
                workflow.children.append(child)
                self.known[child.id] = child
            else:
                self.activities[activity["id"]] = (workflow, None)
        if ending is not None:
            workflow.end(ENDINGS[ending])

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def fail_decision(self, data: st.DataObject) -> None:
        decision = self.taken(data, self.held)
        self.refusal("awf.task/fail", {**self.started(decision), "error": {"why": "bug"}})
        self.notice_exhausted()

    @rule(data=st.data(), verb=st.sampled_from(["success", "success", "fail", "release"]))
    def finish_activity(self, data: st.DataObject, verb: str) -> None:
        if not self.working:
            self.poll_activities(start=verb == "fail")
        if not self.working:
            return
        task = self.taken(data, self.working)
        self.refusal(f"awf.task/{verb}", self.started(task))
        self.notice_ends()

    @precondition(lambda self: self.activities)
    @rule(data=st.data(), verb=st.sampled_from(["cancel", "retry"]))
    def change_activity(self, data: st.DataObject, verb: str) -> None:
        id = self.one_of(data, list(self.activities))
        workflow, outcome = self.activities[id]
        refused = self.refusal(f"awf.task/{verb}", {"id": id})
        if refused is None and verb == "retry":
            assert workflow.outcome is None
            assert outcome in ("failed", "canceled")
            self.activities[id] = (workflow, None)
        self.notice_ends()

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if data.draw(st.integers(0, 3)) != 0:
            return  # cancel rarely, so that workflows live long enough to start activities
        workflow = self.one_of(data, list(self.known.values()))
        refused = self.refusal("awf.workflow/cancel", {"id": workflow.id})
        assert (refused is None) == (workflow.outcome is None)
        if refused is None:
            workflow.end("canceled")

    @precondition(lambda self: self.known)
    @rule(data=st.data(), named=st.booleans())
    def signal(self, data: st.DataObject, named: bool) -> None:
        workflow = self.one_of(data, list(self.known.values()))
        name = f"signal-{next(self.numbers)}"
        params = {"id": workflow.id, "name": name, **({"signal-id": name} if named else {})}
        refusals = [self.refusal("awf.workflow/signal", params) for _ in range(1 + named)]
        assert refusals[0] == (None if workflow.outcome is None else "workflow-has-been-done")
        if workflow.outcome is None:
            workflow.events["signal", name] += 1

    @rule(seconds=st.sampled_from([1, 11]))
    def pass_time(self, seconds: int) -> None:
        """Let leases expire: silent deciders and workers count as crashed."""
        self.clock.advance(timedelta(seconds=seconds))
        # The reapers of the servers run too, and may not have committed yet.
        until(self.nothing_is_due)
        self.notice_exhausted()
        self.notice_ends()

    def nothing_is_due(self) -> bool:
        self.server.reap()
        return self.servers[0].query(_DUE.format(now=self.clock.now())) == []

    def taken(self, data: st.DataObject, some: dict[str, Any]) -> Any:
        """Remove and return one of the leased tasks, so that each gets one report."""
        return some.pop(self.one_of(data, list(some)))

    def one_of(self, data: st.DataObject, some: Sequence[T]) -> T:
        """Choose by number, because ids are random and their order is not reproducible."""
        return some[data.draw(st.integers(0, 999)) % len(some)]

    def started(self, task: Any) -> dict[str, str]:
        """Return the lease of a task, started if it was not."""
        lease = {"id": task["id"], "execId": task["execId"]}
        if task["status"] == "requested":
            self.refusal("awf.task/start", lease)
        return lease

    def refusal(self, method: str, params: dict[str, Any]) -> str | None:
        """Call, and return the type of the refusal."""
        status, answer = self.server.post({"method": method, "params": params})
        assert status < 500, answer
        refused: str | None = answer.get("error", {}).get("type")
        return refused

    def notice_ends(self) -> None:
        """Record the activities that have ended: each end is an event of a live workflow."""
        for id, (workflow, before) in self.activities.items():
            if before is None and workflow.outcome is None:
                outcome = self.server.task(id).get("outcome")
                if outcome is not None:
                    self.activities[id] = (workflow, outcome)
                    workflow.events["task-completed", id, outcome] += 1

    def notice_exhausted(self) -> None:
        """Record the workflows that failed because their decision had no attempt left."""
        for workflow in self.known.values():
            if workflow.outcome is None:
                resource = self.decider.status(workflow.id)["resource"]
                if resource["status"] == "done" and resource["outcome"] == "failed":
                    assert resource["outcomeReason"]["type"] == "awf.executor/unknown-error"
                    workflow.end("failed")

    @invariant()
    def nothing_is_stuck_or_left_behind(self) -> None:
        for query in (_UNDECIDED, _TWO_AT_ONCE, _LEFT_BEHIND):
            assert self.servers[0].query(query) == [], query

    @invariant()
    def workflows_are_in_the_acknowledged_state(self) -> None:
        for workflow in self.known.values():
            if not workflow.is_settled:
                self.what_was_acknowledged_is_there_once(workflow)
                self.every_event_is_told_once_and_in_order(workflow)
                workflow.is_settled = workflow.outcome is not None

    def teardown(self) -> None:
        for workflow in self.known.values():
            self.what_was_acknowledged_is_there_once(workflow)
            self.every_event_is_told_once_and_in_order(workflow)

    def what_was_acknowledged_is_there_once(self, workflow: Known) -> None:
        found = self.decider.status(workflow.id)
        assert found["resource"].get("outcome") == workflow.outcome
        assert sorted(activity["label"] for activity in found["activities"]) == sorted(workflow.labels)
        if workflow.outcome is not None:
            assert {activity["status"] for activity in found["activities"]} <= {"done"}

    def every_event_is_told_once_and_in_order(self, workflow: Known) -> None:
        rows = [row for text in (_EVENTS, _INBOX) for row in self.servers[0].query(text.format(id=workflow.id))]
        events = [_event(orjson.loads(text)) for (text,) in rows]
        if workflow.outcome is None:
            assert events[: len(workflow.told)] == workflow.told
            assert Counter(events) == workflow.events
            workflow.told = events
        else:
            assert not Counter(events) - workflow.events


def _event(params: dict[str, Any]) -> tuple[str, ...]:
    kind = params["event"].removeprefix("awf.workflow.event/")
    match kind:
        case "task-completed":
            return kind, params["task-id"], params["outcome"]
        case "workflow-completed":
            return kind, params["workflow-id"], params["outcome"]
        case "signal":
            return kind, params["name"]
    return (kind,)


def test_random_deciders_and_crashes_lose_no_event_and_repeat_no_activity(database: str) -> None:
    clock = FrozenClock()
    quick = Settings(lease_grace_seconds=0)
    with running_server(database, clock, quick) as one, running_server(database, clock, quick) as other:
        Workflows.clock = clock
        Workflows.servers = (one, other)
        run_model(Workflows, examples=30, steps=50)
