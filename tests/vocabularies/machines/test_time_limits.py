"""The times that actions and workflows may take: enforced by the server, whether a worker speaks or not."""

from __future__ import annotations

from datetime import timedelta

import grpc
import pytest

from fencepost.clock import FrozenClock
from tests.fixtures.machines import FAILED, PENDING, RUNNING, SUCCESS, Gate, gate_of, refused, template_of
from tests.fixtures.pairs import Pair
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/machine-timeouts")

NAMES = [("task-0", "wipe"), ("task-0", "write")]


def begun(gate: Gate, *, timeout: int = 0, global_timeout: int = 0, grace: int = 600) -> str:
    gate.declare(template_of(("a", ["wipe", "write"]), timeout=timeout, global_timeout=global_timeout), pullGrace=grace)
    return gate.create()


def settled(gate: Gate, id: str) -> str:
    """Do what is due, let it be decided about, and return the state."""
    gate.server.reap()
    gate.server.run(gate.server.app.engine.deciders.settle(id))
    return gate.state(id)


@pytest.mark.shows("machines/state-timeout", "machines/action-timeout", "machines/deletion-unannounced")
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


@pytest.mark.shows("machines/differs-running-again")
def test_saying_again_that_it_runs_does_not_win_time(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = begun(frozen_gate, timeout=90, grace=0)
    machine = frozen_gate.machine()
    for _ in range(4):
        machine.report(id, *NAMES[0], RUNNING)
        clock.advance(timedelta(seconds=30))
    assert settled(frozen_gate, id) == "STATE_TIMEOUT"


@pytest.mark.shows("machines/action-timeout")
@pytest.mark.parametrize("timeout", [0, -5])
def test_an_action_without_a_timeout_may_take_years(frozen_gate: Gate, clock: FrozenClock, timeout: int) -> None:
    id = begun(frozen_gate, timeout=timeout)
    frozen_gate.machine().report(id, *NAMES[0], RUNNING)
    clock.advance(timedelta(days=900))
    assert settled(frozen_gate, id) == "STATE_RUNNING"


@pytest.mark.shows("machines/state-pending")
def test_nothing_runs_out_before_a_machine_has_begun(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = begun(frozen_gate, timeout=1, global_timeout=1, grace=0)
    clock.advance(timedelta(days=90))
    assert settled(frozen_gate, id) == "STATE_PENDING"
    assert frozen_gate.machine().offered("a") == [("wipe", 0, PENDING)]


@pytest.mark.shows("machines/state-timeout", "machines/global-timeout")
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


@pytest.mark.shows("machines/timers", "machines/differs-global-timeout")
@pytest.mark.parametrize("limits", [{"timeout": 1, "grace": 0}, {"global_timeout": 1}])
def test_the_timers_are_real(gate: Gate, limits: dict[str, int]) -> None:
    id = begun(gate, **limits)
    gate.machine().report(id, *NAMES[0], RUNNING)
    until(lambda: gate.state(id) == "STATE_TIMEOUT", timeout=20)


def resumed(gate: Gate, **limits: int) -> str:
    """Return a workflow whose worker was killed in its first action, and has begun it again."""
    id = begun(gate, **limits)
    machine = gate.machine()
    machine.report(id, *NAMES[0], RUNNING)
    # Told so, a worker announces neither this action nor one of those behind it.
    assert machine.offered("a") == [("wipe", 0, RUNNING)]
    return id


@pytest.mark.shows("machines/resumed-timeout")
def test_an_action_that_nobody_announces_has_its_time_all_the_same(frozen_gate: Gate, clock: FrozenClock) -> None:
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
def test_the_time_of_each_action_of_a_resumed_pass_is_its_own(frozen_gate: Gate, clock: FrozenClock) -> None:
    text = template_of(("a", ["one", "two", "three"]), ("b", ["four"]), timeout=90)
    frozen_gate.declare(text, pullGrace=0)
    id, machine = frozen_gate.create(), frozen_gate.machine()
    machine.report(id, "task-0", "one", RUNNING)
    machine.contexts("a")
    for name in ("one", "two", "three"):
        clock.advance(timedelta(seconds=80))
        machine.report(id, "task-0", name, SUCCESS)
    # The next worker has not come yet, and announces what it begins.
    clock.advance(timedelta(days=90))
    assert settled(frozen_gate, id) == "STATE_RUNNING"
    assert machine.offered("b") == [("four", 3, PENDING)]
    machine.report(id, "task-1", "four", RUNNING)
    clock.advance(timedelta(seconds=91))
    assert settled(frozen_gate, id) == "STATE_TIMEOUT"


def test_an_action_that_is_announced_in_a_resumed_pass_has_its_time_from_then(
    frozen_gate: Gate, clock: FrozenClock
) -> None:
    id = resumed(frozen_gate, timeout=90, grace=0)
    machine = frozen_gate.machine()
    machine.report(id, *NAMES[0], SUCCESS)
    clock.advance(timedelta(seconds=80))
    # It was killed once more, between the two.
    machine.report(id, *NAMES[1], RUNNING)
    clock.advance(timedelta(seconds=80))
    assert settled(frozen_gate, id) == "STATE_RUNNING"
    clock.advance(timedelta(seconds=11))
    assert settled(frozen_gate, id) == "STATE_TIMEOUT"


def test_an_action_without_a_timeout_has_none_in_a_resumed_pass(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = resumed(frozen_gate)
    frozen_gate.machine().report(id, *NAMES[0], SUCCESS)
    clock.advance(timedelta(days=900))
    assert settled(frozen_gate, id) == "STATE_RUNNING"


def test_in_a_pass_from_its_beginning_an_action_waits_until_it_is_announced(
    frozen_gate: Gate, clock: FrozenClock
) -> None:
    id = begun(frozen_gate, timeout=90, grace=0)
    machine = frozen_gate.machine()
    machine.report(id, *NAMES[0], RUNNING)
    machine.report(id, *NAMES[0], SUCCESS)
    clock.advance(timedelta(days=90))
    assert settled(frozen_gate, id) == "STATE_RUNNING"
    assert machine.offered("a") == [("write", 1, PENDING)]


def test_an_agent_announces_each_action_and_is_given_none_before(frozen_gate: Gate, clock: FrozenClock) -> None:
    id = begun(frozen_gate, timeout=90, grace=0)
    agent = frozen_gate.agent("a")
    action = agent.next()
    agent.report(action, "RUNNING")
    agent.report(agent.next(), "SUCCESS")
    clock.advance(timedelta(days=90))
    assert settled(frozen_gate, id) == "STATE_RUNNING"


@pytest.mark.parametrize("is_old", [False, True])
def test_a_pass_is_resumed_whichever_server_hears_of_its_end(servers: Pair, is_old: bool) -> None:
    with gate_of(servers.one) as one, gate_of(servers.other) as other:
        one.declare(template_of(("a", ["wipe", "write"]), timeout=1), pullGrace=1)
        id = one.create()
        machine = one.machine(is_old=is_old)
        machine.report(id, *NAMES[0], RUNNING)
        assert len(machine.contexts("a")) == 1
        other.machine(is_old=is_old).report(id, *NAMES[0], SUCCESS)
        until(lambda: other.state(id) == "STATE_TIMEOUT", timeout=30)
