"""Concurrent calls on two servers of one database, and the state that a dying server leaves between two steps."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from fencepost.clock import DatabaseClock
from fencepost.vocabularies.machines.position import Report
from fencepost.vocabularies.machines.store import Effect, MachineStore, StoredWorkflow
from fencepost.vocabularies.machines.workflows import MachineWorkflows
from tests.fixtures.machines import FAILED, PENDING, RUNNING, SUCCESS, Gate, gate_of, refused, template_of
from tests.fixtures.servers import Server
from tests.fixtures.two_servers import TwoServers
from tests.fixtures.waiting import until

MANY = 8


@pytest.fixture
def gates(servers: TwoServers) -> Iterator[tuple[Gate, Gate]]:
    """A gateway on each of two servers."""
    with gate_of(servers.one) as one, gate_of(servers.other) as other:
        one.declare(template_of(("w", ["wipe", "write"])))
        yield one, other


def test_one_of_many_concurrent_equal_reports_has_an_effect(gates: tuple[Gate, Gate], pool: ThreadPoolExecutor) -> None:
    one, other = gates
    machines = [gate.machine() for gate in gates for _ in range(MANY)]
    for _ in range(3):
        id = one.create()
        for state in (RUNNING, SUCCESS):
            calls = [pool.submit(machine.report, id, "task-0", "wipe", state) for machine in machines]
            assert [call.result() for call in calls] == [None] * len(machines)
        assert other.machine().offered("w")[-1] == ("write", 1, PENDING)
        events = one.server.rpc("awf.machine/events", {"id": id})["events"]
        assert sorted(event["changed"] for event in events) == [False] * (len(machines) * 2 - 2) + [True, True]
        status = one.server.rpc("awf.workflow/status", {"id": id, "include-activities?": True})
        assert [task["label"] for task in status["activities"]] == ["0 wipe", "1 write"]


def test_one_of_concurrent_success_and_failure_wins_and_both_are_accepted(
    gates: tuple[Gate, Gate], pool: ThreadPoolExecutor
) -> None:
    one, other = gates
    for _ in range(5):
        id = one.create()
        for gate in gates:
            assert gate.machine().offered("w")[-1] == ("wipe", 0, PENDING)
        reports = [(one.machine(), SUCCESS), (other.machine(), FAILED)]
        calls = [pool.submit(machine.report, id, "task-0", "wipe", state) for machine, state in reports]
        assert [call.result() for call in calls] == [None, None]
        (changed,) = [event for event in one.server.rpc("awf.machine/events", {"id": id})["events"] if event["changed"]]
        went_on = changed["state"] == "STATE_SUCCESS"
        assert one.state(id) == other.state(id) == ("STATE_RUNNING" if went_on else "STATE_FAILED")


def test_concurrent_data_versions_get_distinct_numbers(gates: tuple[Gate, Gate], pool: ThreadPoolExecutor) -> None:
    id = gates[0].create()
    put = {"id": id, "data": {}}
    servers = [gate.server for gate in gates for _ in range(2)]
    versions = list(pool.map(lambda server: server.rpc("awf.machine/put-data", put)["version"], servers))
    assert sorted(versions) == [1, 2, 3, 4]


def test_a_report_runs_the_decision_that_a_dead_server_left(gate: Gate) -> None:
    server = gate.server
    gate.declare(template_of(("w", ["wipe", "write"])))
    id = gate.create()
    _report_without_deciding(server, id)
    # The background loop may run the decision first; either way the next action is scheduled before its report.
    gate.machine().report(id, "task-0", "write", RUNNING)
    assert gate.machine().offered("w") == [("write", 1, RUNNING)]


def test_a_decision_that_a_dead_server_left_is_run_without_a_call(gate: Gate) -> None:
    server = gate.server
    gate.declare(template_of(("w", ["wipe"])))
    id = gate.create()
    _report_without_deciding(server, id)
    until(lambda: server.rpc("awf.workflow/status", {"id": id})["resource"].get("outcome"))


@pytest.mark.shows("machines/offered-after-success", "machines/differs-context")
def test_a_workflow_between_two_actions_is_offered_for_the_next_one(gate: Gate) -> None:
    gate.declare(template_of(("a", ["wipe"]), ("b", ["write"])))
    id = gate.create()
    _report_without_deciding(gate.server, id)
    assert gate.machine().offered("b") == [("write", 1, PENDING)]


def test_clean_up_deletes_all_rows_of_a_workflow(gate: Gate) -> None:
    server = gate.server
    gate.declare(template_of(("w", ["wipe"])))
    id = gate.create()
    server.rpc("awf.machine/put-data", {"id": id, "data": {}})
    machine = gate.machine()
    machine.report(id, "task-0", "wipe", RUNNING)
    machine.contexts("w")
    machine.report(id, "task-0", "wipe", SUCCESS)
    refused(machine.report, id, "task-0", "wipe", RUNNING)
    server.rpc("awf.machine/delete", {"id": id})
    server.query("delete from fencepost.machine_reports where state = 1 returning seq")
    tables = (
        "machine_reports",
        "machine_data",
        "machine_deletions",
        "machine_passes",
        "machine_stuck",
        "workflow_subjects",
    )
    counted = " union all ".join(f"select count(*) from fencepost.{table}" for table in tables)
    assert server.query(counted) == [(1,)] * len(tables)
    rule = {"retentionPolicy": {"unit": "minute", "value": 0}}
    server.create("awf.task/clean-up-activities", params={"rules": [rule]})
    until(lambda: server.query(counted) == [(0,)] * len(tables))


def test_writes_during_a_clean_up_find_no_workflow(gate: Gate) -> None:
    server = gate.server
    gate.declare(template_of(("w", ["wipe"])))
    found = server.run(server.app.of(MachineWorkflows).get(gate.create()))
    store = MachineStore(server.app.database, DatabaseClock())
    gone = StoredWorkflow(1, found.workflow._replace(id="gone"))  # as if deleted since it was read
    report = Report("task-0", "wipe", SUCCESS, 0, "", "w")
    taken = server.run(store.report(gone, report, effect=None, caller="test"))
    assert taken is False
    assert server.run(store.put_data("gone", b"{}", b"{}", kept=3)) is None
    server.run(store.delete("gone"))


def _report_without_deciding(server: Server, id: str) -> None:
    """Apply a report like a server that dies before it runs the decision."""
    found = server.run(server.app.of(MachineWorkflows).get(id))
    report = Report("task-0", "wipe", SUCCESS, 0, "", "w")
    store = MachineStore(server.app.database, DatabaseClock())
    assert found.position.task_id is not None
    effect = Effect(found.position.task_id, "success", b"{}")
    assert server.run(store.report(StoredWorkflow(found.seq, found.workflow), report, effect=effect, caller="test"))


def test_one_of_many_concurrent_stuck_reports_is_the_first(gates: tuple[Gate, Gate], pool: ThreadPoolExecutor) -> None:
    one, other = gates
    id = one.create()
    one.server.rpc("awf.workflow/cancel", {"id": id})
    report = Report("task-0", "wipe", RUNNING, 0, "", "w")

    def save(gate: Gate) -> bool:
        store = MachineStore(gate.server.app.database, DatabaseClock())
        return gate.server.run(store.save_stuck_worker(id, report))

    assert sorted(pool.map(save, [one, other] * MANY)) == [False] * (2 * MANY - 1) + [True]
