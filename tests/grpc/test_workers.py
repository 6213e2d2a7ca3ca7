"""What workers of machines are offered and what their reports do, over gRPC, under both package names."""

from __future__ import annotations

from tests.fixtures.machines import (
    PENDING,
    RUNNING,
    SUCCESS,
    Gate,
    template_of,
)

TWO = template_of(("a", ["wipe", "write"]), ("b", ["wipe"]))


def test_a_workflow_is_offered_to_whose_turn_it_is(gate: Gate) -> None:
    gate.declare(TWO)
    id = gate.create()
    machine = gate.machine()
    (context,) = machine.contexts("a")
    assert context.workflow_id == id
    assert (context.current_worker, context.current_task, context.current_action) == ("a", "task-0", "wipe")
    assert (context.current_action_index, context.current_action_state) == (0, PENDING)
    assert context.total_number_of_actions == 3
    assert machine.contexts("b") == []


def test_reports_lead_a_workflow_to_its_end(gate: Gate) -> None:
    gate.declare(TWO)
    id = gate.create()
    machine = gate.machine()
    for place, (worker, task, action) in enumerate(
        [("a", "task-0", "wipe"), ("a", "task-0", "write"), ("b", "task-1", "wipe")]
    ):
        assert machine.offered(worker) == [(action, place, PENDING)]
        machine.report(id, task, action, RUNNING)
        assert machine.offered(worker) == [(action, place, RUNNING)]
        assert gate.state(id) == "STATE_RUNNING"
        machine.report(id, task, action, SUCCESS)
    assert gate.state(id) == "STATE_SUCCESS"
    assert machine.offered("a") == machine.offered("b") == []
