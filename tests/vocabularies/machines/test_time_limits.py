"""Timeouts of actions and workflows, which the server applies without any call of a worker."""

from __future__ import annotations

from datetime import timedelta

import grpc
import pytest

from fencepost.clock import FrozenClock
from tests.fixtures.machines import FAILED, PENDING, RUNNING, SUCCESS, Gate, gate_of, refused, template_of
from tests.fixtures.two_servers import TwoServers
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/machine-timeouts")

NAMES = [("task-0", "wipe"), ("task-0", "write")]


def begun(gate: Gate, *, timeout: int = 0, global_timeout: int = 0, grace: int = 600) -> str:
    gate.declare(template_of(("a", ["wipe", "write"]), timeout=timeout, global_timeout=global_timeout), pullGrace=grace)
    return gate.create()


def settled(gate: Gate, id: str) -> str:
    """Apply passed deadlines, run the decision, and return the state."""
    gate.server.reap()
    gate.server.run(gate.server.app.engine.deciders.run_pending_decisions(id))
    return gate.state(id)


@pytest.mark.shows("machines/state-timeout", "machines/action-timeout", "machines/deletion-unannounced")
def test_an_action_times_out_after_its_timeout_and_pull_grace(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = begun(frozen_gate, timeout=90, grace=60)
    machine = frozen_gate.machine()
    machine.report(id, *NAMES[0], RUNNING)
    clock.advance(timedelta(seconds=149))
    assert settled(frozen_gate, id) == "STATE_RUNNING"
    clock.advance(timedelta(seconds=2))
    assert settled(frozen_gate, id) == "STATE_TIMEOUT"
    assert machine.contexts("a") == []
    error = frozen_gate.server.rpc("awf.workflow/status", {"id": id})["resource"]["error"]
    assert error == {"state": "STATE_TIMEOUT", "message": "Action timed out", "task": "task-0", "action": "wipe"}


def test_a_report_after_the_timeout_is_accepted_without_effect(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = begun(frozen_gate, timeout=90)
    machine = frozen_gate.machine()
    machine.report(id, *NAMES[0], RUNNING)
    clock.advance(timedelta(seconds=691))
    assert settled(frozen_gate, id) == "STATE_TIMEOUT"
    machine.report(id, *NAMES[0], SUCCESS)
    assert frozen_gate.state(id) == "STATE_TIMEOUT"
    assert refused(machine.report, id, *NAMES[1], RUNNING)[0] == grpc.StatusCode.FAILED_PRECONDITION


def test_a_late_report_counts_until_the_timeout_is_applied(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = begun(frozen_gate, timeout=90)
    machine = frozen_gate.machine()
    machine.report(id, *NAMES[0], RUNNING)
    clock.advance(timedelta(days=1))
    machine.report(id, *NAMES[0], SUCCESS)
    assert settled(frozen_gate, id) == "STATE_RUNNING"


@pytest.mark.shows("machines/differs-running-again")
def test_repeating_running_does_not_extend_the_timeout(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = begun(frozen_gate, timeout=90, grace=0)
    machine = frozen_gate.machine()
    for _ in range(4):
        machine.report(id, *NAMES[0], RUNNING)
        clock.advance(timedelta(seconds=30))
    assert settled(frozen_gate, id) == "STATE_TIMEOUT"


@pytest.mark.shows("machines/action-timeout")
@pytest.mark.parametrize("timeout", [0, -5])
def test_an_action_without_a_timeout_does_not_expire(frozen_gate: Gate, clock: FrozenClock, timeout: int) -> None:
    id = begun(frozen_gate, timeout=timeout)
    frozen_gate.machine().report(id, *NAMES[0], RUNNING)
    clock.advance(timedelta(days=900))
    assert settled(frozen_gate, id) == "STATE_RUNNING"


@pytest.mark.shows("machines/state-pending")
def test_no_timeout_runs_before_the_first_report(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = begun(frozen_gate, timeout=1, global_timeout=1, grace=0)
    clock.advance(timedelta(days=90))
    assert settled(frozen_gate, id) == "STATE_PENDING"
    assert frozen_gate.machine().offered("a") == [("wipe", 0, PENDING)]


@pytest.mark.shows("machines/state-timeout", "machines/global-timeout")
@pytest.mark.parametrize("first", [RUNNING, SUCCESS])
def test_the_global_timeout_runs_from_the_first_report(frozen_gate: Gate, clock: FrozenClock, first: int) -> None:
    id = begun(frozen_gate, global_timeout=600)
    machine = frozen_gate.machine()
    clock.advance(timedelta(days=1))
    machine.report(id, *NAMES[0], first)
    clock.advance(timedelta(seconds=300))
    machine.report(id, *NAMES[0], SUCCESS)
    machine.report(id, *NAMES[1], RUNNING)
    clock.advance(timedelta(seconds=299))
    assert settled(frozen_gate, id) == "STATE_RUNNING"
    clock.advance(timedelta(seconds=2))
    assert settled(frozen_gate, id) == "STATE_TIMEOUT"
    error = frozen_gate.server.rpc("awf.workflow/status", {"id": id})["resource"]["error"]
    assert error == {"state": "STATE_TIMEOUT", "message": "Global timeout"}
    (context,) = frozen_gate.machine(is_old=True).get("GetWorkflowContextList", worker_id="a").workflow_contexts
    assert (context.current_action, context.current_action_state) == ("write", 3)


def test_an_ended_workflow_leaves_no_timer(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = begun(frozen_gate, global_timeout=600)
    machine = frozen_gate.machine()
    for names in NAMES:
        machine.report(id, *names, SUCCESS)
    clock.advance(timedelta(days=1))
    assert settled(frozen_gate, id) == "STATE_SUCCESS"
    live = "select count(*) from fencepost.live_tasks"
    assert frozen_gate.server.query(live) == [(0,)]


def test_a_workflow_that_failed_does_not_time_out(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = begun(frozen_gate, timeout=1, global_timeout=1, grace=0)
    machine = frozen_gate.machine()
    machine.report(id, *NAMES[0], RUNNING)
    machine.report(id, *NAMES[0], FAILED)
    clock.advance(timedelta(days=1))
    assert settled(frozen_gate, id) == "STATE_FAILED"


@pytest.mark.shows("machines/timers", "machines/differs-global-timeout")
@pytest.mark.parametrize("limits", [{"timeout": 1, "grace": 0}, {"global_timeout": 1}])
def test_timeouts_are_applied_without_any_call(gate: Gate, limits: dict[str, int]) -> None:
    id = begun(gate, **limits)
    gate.machine().report(id, *NAMES[0], RUNNING)
    until(lambda: gate.state(id) == "STATE_TIMEOUT", timeout=20)


def resumed(gate: Gate, **limits: int) -> str:
    """Return a workflow with a worker that was killed in its first action, and has started it again."""
    id = begun(gate, **limits)
    machine = gate.machine()
    machine.report(id, *NAMES[0], RUNNING)
    # A worker that is offered a running action reports RUNNING neither for it nor for the following actions.
    assert machine.offered("a") == [("wipe", 0, RUNNING)]
    return id


@pytest.mark.shows("machines/resumed-timeout")
def test_an_action_without_a_running_report_times_out_after_a_resume(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = resumed(frozen_gate, timeout=90, grace=60)
    machine = frozen_gate.machine()
    machine.report(id, *NAMES[0], SUCCESS)
    clock.advance(timedelta(seconds=149))
    assert settled(frozen_gate, id) == "STATE_RUNNING"
    assert machine.offered("a") == [("write", 1, PENDING)]
    clock.advance(timedelta(seconds=2))
    assert settled(frozen_gate, id) == "STATE_TIMEOUT"
    assert machine.contexts("a") == []
    error = frozen_gate.server.rpc("awf.workflow/status", {"id": id})["resource"]["error"]
    assert error == {"state": "STATE_TIMEOUT", "message": "Action timed out", "task": "task-0", "action": "write"}
    # The report is accepted, as every late report is.
    machine.report(id, *NAMES[1], SUCCESS)


@pytest.mark.shows("machines/resumed-timeout")
def test_after_a_resume_each_action_has_a_timeout_of_its_own(frozen_gate: Gate, clock: FrozenClock) -> None:
    text = template_of(("a", ["one", "two", "three"]), ("b", ["four"]), timeout=90)
    frozen_gate.declare(text, pullGrace=0)
    id, machine = frozen_gate.create(), frozen_gate.machine()
    machine.report(id, "task-0", "one", RUNNING)
    machine.contexts("a")
    for name in ("one", "two", "three"):
        clock.advance(timedelta(seconds=80))
        machine.report(id, "task-0", name, SUCCESS)
    # The next worker has not polled yet, and will report RUNNING.
    clock.advance(timedelta(days=90))
    assert settled(frozen_gate, id) == "STATE_RUNNING"
    assert machine.offered("b") == [("four", 3, PENDING)]
    machine.report(id, "task-1", "four", RUNNING)
    clock.advance(timedelta(seconds=91))
    assert settled(frozen_gate, id) == "STATE_TIMEOUT"


def test_after_a_resume_a_running_report_restarts_the_timeout(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = resumed(frozen_gate, timeout=90, grace=0)
    machine = frozen_gate.machine()
    machine.report(id, *NAMES[0], SUCCESS)
    clock.advance(timedelta(seconds=80))
    # The worker was killed once more, between the two actions.
    machine.report(id, *NAMES[1], RUNNING)
    clock.advance(timedelta(seconds=80))
    assert settled(frozen_gate, id) == "STATE_RUNNING"
    clock.advance(timedelta(seconds=11))
    assert settled(frozen_gate, id) == "STATE_TIMEOUT"


def test_after_a_resume_an_action_without_a_timeout_does_not_expire(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = resumed(frozen_gate)
    frozen_gate.machine().report(id, *NAMES[0], SUCCESS)
    clock.advance(timedelta(days=900))
    assert settled(frozen_gate, id) == "STATE_RUNNING"


def test_without_a_resume_the_timeout_begins_with_the_running_report(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = begun(frozen_gate, timeout=90, grace=0)
    machine = frozen_gate.machine()
    machine.report(id, *NAMES[0], RUNNING)
    machine.report(id, *NAMES[0], SUCCESS)
    clock.advance(timedelta(days=90))
    assert settled(frozen_gate, id) == "STATE_RUNNING"
    assert machine.offered("a") == [("write", 1, PENDING)]


def test_the_timeout_of_an_agents_action_begins_with_its_running_report(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = begun(frozen_gate, timeout=90, grace=0)
    agent = frozen_gate.agent("a")
    action = agent.next()
    agent.report(action, "RUNNING")
    agent.report(agent.next(), "SUCCESS")
    clock.advance(timedelta(days=90))
    assert settled(frozen_gate, id) == "STATE_RUNNING"


@pytest.mark.parametrize("is_old", [False, True])
def test_a_resume_is_known_to_other_servers(servers: TwoServers, is_old: bool) -> None:
    with gate_of(servers.one) as one, gate_of(servers.other) as other:
        one.declare(template_of(("a", ["wipe", "write"]), timeout=1), pullGrace=1)
        id = one.create()
        machine = one.machine(is_old=is_old)
        machine.report(id, *NAMES[0], RUNNING)
        assert len(machine.contexts("a")) == 1
        other.machine(is_old=is_old).report(id, *NAMES[0], SUCCESS)
        until(lambda: other.state(id) == "STATE_TIMEOUT", timeout=30)
