"""Flows on two servers: workers fail, die and produce nested flows, clients cancel and retry.

After every step each flow is compared with the rules of its vocabulary: stages in order, no attempt too many, what must
run once runs once, statuses that follow from those of the tasks, nothing that hangs and nothing left over.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
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
from tests.fixtures.taskflows import tasks
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/flow-state")

_LIVE = ("WAITING", "RUNNING")
_SETTLED = ("SUCCESS", "FAILED")
_UNDECIDED = "select l.seq from fencepost.live_tasks as l where substr(l.id, 19, 6) = '-8001-'"
_DUE = "select l.seq from fencepost.live_tasks as l where l.deadline_at <= '{now}'"
_LEFT_BEHIND = """
    select d.id from fencepost.done_workflows as d
    where exists (select from fencepost.live_tasks as l where l.workflow_seq = d.seq)
        or exists (select from fencepost.live_workflows as w where w.parent_seq = d.seq)
"""
_DEPTH = 2

names = itertools.count()
options = st.fixed_dictionaries(
    {"maxRetries": st.integers(0, 1)},
    optional={"continueOnTaskFailure": st.booleans(), "exactlyOnceTaskExecution": st.booleans()},
)
shapes = st.lists(st.integers(1, 3), min_size=1, max_size=3)


@dataclass
class Known:
    """The acknowledged calls about a flow."""

    id: str
    options: dict[str, Any]
    depth: int = 0
    runs: int = 0
    cancelled: bool = False
    starts: Counter[tuple[int, str]] = field(default_factory=Counter)
    successes: Counter[str] = field(default_factory=Counter)


class Taskflows(RuleBasedStateMachine):
    """Clients of two servers on one database."""

    conninfo = ""
    clock = FrozenClock()
    servers: tuple[Server, Server]

    @initialize()
    def begin(self) -> None:
        self.turn = itertools.cycle(self.servers)
        self.known: dict[str, Known] = {}
        self.held: dict[str, Any] = {}
        # Cancel the flows of the previous example.
        for flow in self.server.rpc("awf.taskflow/list", {"limit": 1000})["data"]:
            if flow["status"] in _LIVE:
                self.refusal("awf.taskflow/cancel", {"taskflowId": flow["taskflowId"]})
        self.settle()

    @property
    def server(self) -> Server:
        """The two servers, alternately."""
        return next(self.turn)

    @precondition(lambda self: len(self.known) < 4)
    @rule(shape=shapes, options=options)
    def produce(self, shape: list[int], options: dict[str, Any]) -> None:
        self.remember(self.server.rpc("awf.taskflow/produce", flow(shape, options)), options, 0)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), shape=shapes, options=options)
    def nest(self, data: st.DataObject, shape: list[int], options: dict[str, Any]) -> None:
        task = self.held[self.one_of(data, [*self.held])]
        parent = self.known[place(task)["id"]]
        if parent.depth == _DEPTH:
            return
        params = {**flow(shape, options), "meta": task["params"]["meta"], "execId": task["execId"]}
        status, answer = self.server.post({"method": "awf.taskflow/produce", "params": params})
        if status == 200 and "result" in answer:
            self.remember(answer["result"], options, parent.depth + 1)
        else:
            assert answer["error"]["type"] in ("parent-is-over", "exec-id-mismatch"), answer

    @rule(size=st.integers(1, 4))
    def take(self, size: int) -> None:
        self.settle()
        for task in self.server.poll("svc/work", start=True, maxBatchSize=size):
            known = self.known[place(task)["id"]]
            record = self.details(known)
            assert record["status"] == "RUNNING"
            known.starts[record["retryAttempt"], place(task)["taskId"]] += 1
            self.check_context(record, task)
            self.held[task["id"]] = task

    @precondition(lambda self: self.held)
    @rule(data=st.data(), verb=st.sampled_from(["success", "success", "fail"]), twice=st.booleans())
    def finish(self, data: st.DataObject, verb: str, twice: bool) -> None:
        task = self.held.pop(self.one_of(data, [*self.held]))
        params = {"id": task["id"], "execId": task["execId"]}
        if verb == "success":
            params["result"] = {"success": True, "data": task["id"]}
        refusals = [self.refusal(f"awf.task/{verb}", params) for _ in range(1 + twice)]
        assert len({*refusals}) == 1
        if refusals[0] is None and verb == "success":
            known = self.known[place(task)["id"]]
            known.successes[place(task)["taskId"]] += 1

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if data.draw(st.integers(0, 3)) != 0:
            return  # not each time: most would not live to do anything
        self.settle()
        known = self.known[self.one_of(data, [*self.known])]
        before = self.details(known)["status"]
        refused = self.refusal("awf.taskflow/cancel", {"taskflowId": known.id})
        assert refused == (None if before in (*_LIVE, "CANCELLED") else "taskflow-has-been-done")
        if refused is None:
            assert self.details(known)["status"] == "CANCELLED"

    @precondition(lambda self: self.known)
    @rule(data=st.data(), whole=st.booleans())
    def retry(self, data: st.DataObject, whole: bool) -> None:
        self.settle()
        known = self.known[self.one_of(data, [*self.known])]
        before = self.details(known)
        params: dict[str, Any] = {"taskflowId": known.id}
        if not whole:
            chosen = data.draw(st.lists(st.integers(0, len(before["stages"]) - 1), min_size=1, unique=True))
            stages = [*before["stages"].values()]
            params["stages"] = [{"stageId": stages[number]["id"]} for number in chosen]
        refused = self.refusal("awf.taskflow/retry", params)
        if before["status"] in _LIVE:
            assert refused == "taskflow-not-done"
        elif refused is None:
            known.runs += 1
        else:
            assert refused == "nothing-to-retry"
            assert known.options.get("exactlyOnceTaskExecution") is True

    @rule(seconds=st.sampled_from([1, 121]))
    def pass_time(self, seconds: int) -> None:
        """Advance the clock by two minutes, so that the leases of dead workers expire."""
        self.clock.advance(timedelta(seconds=seconds))
        # The reapers of the servers run too, and the first one may not have committed yet.
        until(self.nothing_is_due)

    def nothing_is_due(self) -> bool:
        self.server.reap()
        return self.servers[0].query(_DUE.format(now=self.clock.now())) == []

    def settle(self) -> None:
        """Wait for the deciders of the servers."""
        until(lambda: self.servers[0].query(_UNDECIDED) == [])

    def remember(self, result: Any, options: dict[str, Any], depth: int) -> None:
        id = result["data"]["taskflowId"]
        self.known[id] = Known(id, options, depth)

    def details(self, known: Known) -> Any:
        return self.server.rpc("awf.taskflow/details", {"taskflowId": known.id})["data"]

    def one_of(self, data: st.DataObject, some: list[str]) -> str:
        """Choose by number: ids are random, so that their order differs in each run."""
        return some[data.draw(st.integers(0, 999)) % len(some)]

    def refusal(self, method: str, params: dict[str, Any]) -> str | None:
        """Make a call and return the type of the refusal, None without one."""
        status, answer = self.server.post({"method": method, "params": params})
        assert status < 500, answer
        refused: str | None = answer.get("error", {}).get("type")
        return refused

    def check_context(self, record: Any, task: Any) -> None:
        """Check that the answers of the stage before agree with its record, and that all its tasks have ended."""
        context = task["params"]["meta"]["taskflowExecutionContext"]
        stages = [*record["stages"].values()]
        number = next(number for number, stage in enumerate(stages) if stage["id"] == place(task)["stageId"])
        if number == 0:
            assert "previousStageRes" not in context
            return
        before = [*stages[number - 1]["tasks"].values()]
        answers = [
            {"taskName": one["name"], "response": one["response"] if one["status"] == "SUCCESS" else None}
            for one in before
        ]
        assert context["previousStageRes"] == answers

    @invariant()
    def nothing_is_left_behind(self) -> None:
        assert self.servers[0].query(_LEFT_BEHIND) == []

    @invariant()
    def flows_keep_their_rules(self) -> None:
        if not self.known:
            return
        self.settle()
        for known in self.known.values():
            record = self.details(known)
            assert record["retryAttempt"] == known.runs
            self.check_attempts(known, record)
            check_order(record, is_retry=known.runs > 0)
            check_statuses(record, known.options.get("continueOnTaskFailure") is True, is_retry=known.runs > 0)
            if record["status"] == "RUNNING":
                assert {"QUEUED", "RUNNING"} & {one["status"] for one in tasks(record)}, "nothing happens any more"

    def check_attempts(self, known: Known, record: Any) -> None:
        most = known.options["maxRetries"] + 1
        assert all(count <= most for count in known.starts.values())
        if known.options.get("exactlyOnceTaskExecution") is True:
            shown = {one["id"]: one["status"] for one in tasks(record)}
            for id, count in known.successes.items():
                # A task that succeeded is FAILED when a nested flow failed.
                nested = any(one["nestedTaskflows"] for one in tasks(record) if one["id"] == id)
                assert count == 1 or nested or shown[id] != "SUCCESS"


def flow(shape: list[int], options: dict[str, Any]) -> dict[str, Any]:
    """Return a flow with these numbers of tasks in its stages."""
    details = {"serviceId": "svc", "actionName": "work"}
    stages = [
        {"name": f"s{n}", "tasks": [{"name": f"t{m}", "type": "ACTION", "taskDetails": details} for m in range(size)]}
        for n, size in enumerate(shape)
    ]
    return {"stages": stages, "options": {"retryDelay": 0, **options}}


def place(task: Any) -> Any:
    """Return the flow and the task of a polled task."""
    return task["params"]["meta"]["taskflowExecutionContext"]["taskflow"]


def check_order(record: Any, *, is_retry: bool) -> None:
    """Check that no stage begins before the end of the stage before; a retry may keep tasks."""
    stages = [{one["status"] for one in stage["tasks"].values()} for stage in record["stages"].values()]
    for before, after in itertools.pairwise(stages):
        if after & {"QUEUED", "RUNNING"}:
            assert before <= ({*_SETTLED, "WAITING"} if is_retry else {*_SETTLED})


def check_statuses(record: Any, goes_on: bool, *, is_retry: bool) -> None:
    """Check that the statuses of stages and flow follow from those of the tasks."""
    stages = [*record["stages"].values()]
    for stage in stages:
        found = {one["status"] for one in stage["tasks"].values()}
        if found == {"WAITING"}:
            assert stage["status"] == "WAITING"
        elif found == {"SUCCESS"}:
            assert stage["status"] == "COMPLETED"
        elif found == {"FAILED"}:
            assert stage["status"] == "FAILED"
        elif found == {"SUCCESS", "FAILED"}:
            assert stage["status"] == ("PARTIAL_COMPLETED" if goes_on else "FAILED")
        elif record["status"] == "RUNNING" and found & {"QUEUED", "RUNNING"}:
            assert stage["status"] == "RUNNING"
    statuses = {stage["status"] for stage in stages}
    if record["status"] == "COMPLETED":
        assert statuses == {"COMPLETED"}
    if record["status"] == "PARTIAL_COMPLETED":
        assert goes_on
        assert statuses > {"COMPLETED"} or "PARTIAL_COMPLETED" in statuses
    if record["status"] == "FAILED":
        assert "FAILED" in statuses
        assert not goes_on or statuses == {"FAILED"}


@pytest.mark.shows("taskflow/model")
def test_flows_agree_with_the_model(database: str) -> None:
    clock = FrozenClock()
    calm = Settings(lease_grace_seconds=0)
    with running_server(database, clock, calm) as one, running_server(database, clock, calm) as other:
        machine = type("Machine", (Taskflows,), {"clock": clock, "servers": (one, other)})
        run_model(machine, examples=15, steps=40)
