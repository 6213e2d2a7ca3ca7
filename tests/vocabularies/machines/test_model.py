"""Random reports of several workers, compared with a model of a machine workflow."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any, ClassVar, NamedTuple

import grpc
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from fencepost.clock import FrozenClock
from tests.fixtures.machines import FAILED, PENDING, RUNNING, SUCCESS, TIMEOUT, Gate, WorkerClient, template_of
from tests.fixtures.models import run_model

_numbers = count(1)
_BOTH = st.booleans()
_GRACE = 10


class Action(NamedTuple):
    """An action, by the names in a report."""

    worker: str
    task: str
    name: str


class Model:
    """A workflow: its actions, the state of each, and the start times of the current and of the first one.

    Each action is offered while it runs. So its worker counts as resumed, and the next action of the same worker starts
    without a report of RUNNING.
    """

    def __init__(self, actions: list[Action], timeout: int, global_timeout: int) -> None:
        self.actions = actions
        self.states = [PENDING] * len(actions)
        self.timeout = timeout
        self.global_timeout = global_timeout
        self.began: Any = None
        self.first: Any = None
        self.ended: int | None = None
        self.begins_itself = False
        self.events: list[tuple[str, int, bool]] = []

    @property
    def current_index(self) -> int:
        """The index of the first action that has not succeeded."""
        return next((index for index, state in enumerate(self.states) if state != SUCCESS), len(self.states))

    def report(self, index: int, state: int, now: Any) -> grpc.StatusCode | None:
        """Apply a report; return the status code if it is refused, None if it is accepted."""
        current = self.current_index
        if self.ended is not None:
            refusal = grpc.StatusCode.FAILED_PRECONDITION if state == RUNNING else None
        else:
            refusal = grpc.StatusCode.INVALID_ARGUMENT if index > current else None
        if refusal is None:
            changes = self.ended is None and index == current and state != self.states[index]
            self.events.append((self.actions[index].name, state, changes))
            if changes:
                self._change(index, state, now)
        return refusal

    def _change(self, index: int, state: int, now: Any) -> None:
        self.first = self.first or now
        self.began = now
        self.states[index] = state
        if state == SUCCESS:
            workers = [action.worker for action in self.actions[index : index + 2]]
            self.begins_itself = len(set(workers)) == 1
        if state in (FAILED, TIMEOUT):
            self.ended = state
        elif self.current_index == len(self.states):
            self.ended = SUCCESS

    def pass_time(self, now: Any) -> None:
        """Apply the timeouts that have passed."""
        if self.ended is not None or self.first is None:
            return
        current = self.current_index
        has_begun = self.states[current] == RUNNING or self.begins_itself
        is_late = has_begun and self.timeout and _over(self.began, self.timeout + _GRACE, now)
        if is_late:
            self.states[current] = TIMEOUT
        if is_late or (self.global_timeout and _over(self.first, self.global_timeout, now)):
            self.ended = TIMEOUT

    @property
    def state(self) -> int:
        """The state of the workflow."""
        if self.ended is not None:
            return self.ended
        return RUNNING if self.current_index or self.states[self.current_index] == RUNNING else PENDING


def _over(since: Any, seconds: int, now: Any) -> bool:
    return bool(since + timedelta(seconds=seconds) <= now)


class Provisioning(RuleBasedStateMachine):
    """One example: one workflow, on a server and a clock that all examples share."""

    gate: ClassVar[Gate]
    clock: ClassVar[FrozenClock]
    old: ClassVar[WorkerClient]
    new: ClassVar[WorkerClient]

    @initialize(
        workers=st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 2)), min_size=1, max_size=3),
        timeout=st.sampled_from([0, 20]),
        global_timeout=st.sampled_from([0, 45]),
    )
    def begin(self, workers: list[tuple[str, int]], timeout: int, global_timeout: int) -> None:
        self.prefix = f"m{next(_numbers)}"
        tasks = [(self.prefix + worker, ["wipe", "write"][:number]) for worker, number in workers]
        name = f"model/{self.prefix}"
        self.gate.declare(template_of(*tasks, timeout=timeout, global_timeout=global_timeout), name, pullGrace=_GRACE)
        self.id = self.gate.create(name)
        actions = [Action(worker, f"task-{task}", one) for task, (worker, names) in enumerate(tasks) for one in names]
        self.model = Model(actions, timeout, global_timeout)

    @rule(data=st.data(), state=st.sampled_from([RUNNING, SUCCESS, FAILED, TIMEOUT]), is_old=_BOTH)
    def report(self, data: st.DataObject, state: int, is_old: bool) -> None:
        self._report(data.draw(st.integers(0, len(self.model.actions) - 1)), state, is_old)

    @precondition(lambda self: self.model.ended is None)
    @rule(state=st.sampled_from([RUNNING, SUCCESS, SUCCESS]), is_old=_BOTH)
    def report_current(self, state: int, is_old: bool) -> None:
        self._report(self.model.current_index, state, is_old)

    @rule(seconds=st.integers(1, 40))
    def let_time_pass(self, seconds: int) -> None:
        self.clock.advance(timedelta(seconds=seconds))
        self.gate.server.reap()
        self.gate.server.run(self.gate.server.app.engine.deciders.run_pending_decisions(self.id))
        self.model.pass_time(self.clock.now())

    def _report(self, index: int, state: int, is_old: bool) -> None:
        machine, action = (self.old if is_old else self.new), self.model.actions[index]
        refused = None
        try:
            machine.report(self.id, action.task, action.name, state)
        except grpc.RpcError as error:
            refused = error.code()
        assert refused == self.model.report(index, state, self.clock.now())

    @invariant()
    def state_matches_the_model(self) -> None:
        workflow = self.old.get("GetWorkflow", id=self.id)
        context = self.old.get("GetWorkflowContext", id=self.id)
        assert workflow.state == self.model.state
        # After its end, a workflow shows its last action, so that clients count all actions as done.
        is_behind = self.model.current_index == len(self.model.actions)
        assert context.current_action_index == self.model.current_index - is_behind
        assert context.total_number_of_actions == len(self.model.actions)
        if self.model.ended is None:
            assert context.current_action_state == self.model.states[self.model.current_index]
        if is_behind:
            assert context.current_action_state == SUCCESS

    @invariant()
    def only_the_current_worker_is_offered_the_workflow(self) -> None:
        turn = None if self.model.ended is not None else self.model.actions[self.model.current_index]
        for worker in (self.prefix + "a", self.prefix + "b"):
            for machine in (self.old, self.new):
                offered = [(one.workflow_id, one.current_task, one.current_action) for one in machine.contexts(worker)]
                is_turn = turn is not None and turn.worker == worker
                assert offered == ([(self.id, turn.task, turn.name)] if is_turn and turn is not None else [])

    @invariant()
    def events_match_the_accepted_reports(self) -> None:
        events = self.gate.server.rpc("awf.machine/events", {"id": self.id, "limit": 1000})["events"]
        words = ["PENDING", "RUNNING", "FAILED", "TIMEOUT", "SUCCESS"]
        recorded = [(one["action"], words.index(one["state"].removeprefix("STATE_")), one["changed"]) for one in events]
        assert recorded == self.model.events


@pytest.mark.shows("machines/reports-are-events")
@pytest.mark.timeout(600)  # passes in seconds; shrinking a failure takes minutes
def test_the_state_of_a_workflow_follows_from_its_reports(frozen_gate: Gate, clock: FrozenClock) -> None:
    here = {
        "gate": frozen_gate,
        "clock": clock,
        "old": frozen_gate.machine(is_old=True),
        "new": frozen_gate.machine(),
    }
    run_model(type("Provisioning", (Provisioning,), here), examples=30, steps=30)
