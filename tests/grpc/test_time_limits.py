"""The times that actions and workflows may take: enforced by the server, whether a worker speaks or not."""

from __future__ import annotations

from datetime import timedelta

import grpc
import pytest

from fencepost.clock import FrozenClock
from tests.fixtures.machines import FAILED, PENDING, RUNNING, SUCCESS, Gate, refused, template_of
from tests.fixtures.waiting import until

NAMES = [("task-0", "wipe"), ("task-0", "write")]


def begun(gate: Gate, *, timeout: int = 0, global_timeout: int = 0, grace: int = 600) -> str:
    gate.declare(template_of(("a", ["wipe", "write"]), timeout=timeout, global_timeout=global_timeout), pullGrace=grace)
    return gate.create()


def settled(gate: Gate, id: str) -> str:
    """Do what is due, let it be decided about, and return the state."""
    gate.server.reap()
    gate.server.run(gate.server.app.engine.deciders.settle(id))
    return gate.state(id)


def test_an_action_that_takes_longer_than_its_timeout_and_the_grace_is_timed_out(
    frozen_gate: Gate, clock: FrozenClock
) -> None:
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


def test_what_is_reported_after_its_timeout_is_taken_and_changes_nothing(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = begun(frozen_gate, timeout=90)
    machine = frozen_gate.machine()
    machine.report(id, *NAMES[0], RUNNING)
    clock.advance(timedelta(seconds=691))
    assert settled(frozen_gate, id) == "STATE_TIMEOUT"
    machine.report(id, *NAMES[0], SUCCESS)
    assert frozen_gate.state(id) == "STATE_TIMEOUT"
    assert refused(machine.report, id, *NAMES[1], RUNNING)[0] == grpc.StatusCode.FAILED_PRECONDITION


def test_a_report_that_comes_before_anybody_looked_still_counts(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = begun(frozen_gate, timeout=90)
    machine = frozen_gate.machine()
    machine.report(id, *NAMES[0], RUNNING)
    clock.advance(timedelta(days=1))
    machine.report(id, *NAMES[0], SUCCESS)
    assert settled(frozen_gate, id) == "STATE_RUNNING"


def test_saying_again_that_it_runs_does_not_win_time(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = begun(frozen_gate, timeout=90, grace=0)
    machine = frozen_gate.machine()
    for _ in range(4):
        machine.report(id, *NAMES[0], RUNNING)
        clock.advance(timedelta(seconds=30))
    assert settled(frozen_gate, id) == "STATE_TIMEOUT"


@pytest.mark.parametrize("timeout", [0, -5])
def test_an_action_without_a_timeout_may_take_years(frozen_gate: Gate, clock: FrozenClock, timeout: int) -> None:
    id = begun(frozen_gate, timeout=timeout)
    frozen_gate.machine().report(id, *NAMES[0], RUNNING)
    clock.advance(timedelta(days=900))
    assert settled(frozen_gate, id) == "STATE_RUNNING"


def test_nothing_runs_out_before_a_machine_has_begun(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = begun(frozen_gate, timeout=1, global_timeout=1, grace=0)
    clock.advance(timedelta(days=90))
    assert settled(frozen_gate, id) == "STATE_PENDING"
    assert frozen_gate.machine().offered("a") == [("wipe", 0, PENDING)]


@pytest.mark.parametrize("first", [RUNNING, SUCCESS])
def test_the_time_of_a_workflow_runs_from_the_first_report(frozen_gate: Gate, clock: FrozenClock, first: int) -> None:
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


def test_a_workflow_that_ends_in_time_has_no_timer_left(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = begun(frozen_gate, global_timeout=600)
    machine = frozen_gate.machine()
    for names in NAMES:
        machine.report(id, *names, SUCCESS)
    clock.advance(timedelta(days=1))
    assert settled(frozen_gate, id) == "STATE_SUCCESS"
    live = "select count(*) from fencepost.live_tasks"
    assert frozen_gate.server.query(live) == [(0,)]


def test_a_failure_comes_before_a_timeout(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = begun(frozen_gate, timeout=1, global_timeout=1, grace=0)
    machine = frozen_gate.machine()
    machine.report(id, *NAMES[0], RUNNING)
    machine.report(id, *NAMES[0], FAILED)
    clock.advance(timedelta(days=1))
    assert settled(frozen_gate, id) == "STATE_FAILED"


@pytest.mark.parametrize("limits", [{"timeout": 1, "grace": 0}, {"global_timeout": 1}])
def test_the_timers_are_real(gate: Gate, limits: dict[str, int]) -> None:
    id = begun(gate, **limits)
    gate.machine().report(id, *NAMES[0], RUNNING)
    until(lambda: gate.state(id) == "STATE_TIMEOUT", timeout=20)
