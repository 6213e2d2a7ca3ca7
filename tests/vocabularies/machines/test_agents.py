"""The calls of agents (2025 and later), and the distinction of their reports from those of workers."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fencepost.vocabularies.machines.grpc.decoding import is_agent_report
from fencepost.vocabularies.machines.grpc.proto import action_2025_pb2, workflow_pb2
from tests.fixtures.machines import FAILED, RUNNING, SUCCESS, TEMPLATE, TIMEOUT, Gate, refused, template_of

pytestmark = pytest.mark.shows("guarantees/ended-machine-workflow")

ARGUMENT, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
MAC = "52:54:00:ab:34:56"
_TEXT = st.text(max_size=20)


@pytest.mark.shows("machines/get-action", "machines/current-action-again", "machines/differs-agent-records")
def test_an_agent_goes_through_a_workflow_action_by_action(gate: Gate) -> None:
    gate.declare(template_of((MAC, ["wipe", "write"]), ("other", ["join"])))
    id = gate.create(id="tink-system/rack-7")
    agent, other = gate.agent(MAC), gate.agent("other")
    for name in ("wipe", "write"):
        action = agent.next()
        assert (action.workflow_id, action.name, action.agent_id) == (id, name, MAC)
        assert refused(other.next) == (MISSING, "no Workflows found")
        agent.report(action, "RUNNING")
        assert agent.next() == action, "it is given out again to an agent that begins again"
        assert gate.state(id) == "STATE_RUNNING"
        agent.report(action, "SUCCESS", execution_start={"seconds": 100}, execution_stop={"seconds": 107})
    assert refused(agent.next) == (MISSING, "no Workflows found")
    last = other.next()
    assert (last.name, last.task_id == action.task_id) == ("join", False)
    other.report(last, "RUNNING")
    other.report(last, "SUCCESS")
    assert gate.state(id) == "STATE_SUCCESS"
    events = gate.server.rpc("awf.machine/events", {"id": id})["events"]
    assert [(one["action"], one["state"], one["seconds"], one["message"]) for one in events[:2]] == [
        ("wipe", "STATE_RUNNING", 0, "running action"),
        ("wipe", "STATE_SUCCESS", 7, "action completed"),
    ]
    assert {one["worker"] for one in events} == {MAC, "other"}


@pytest.mark.shows("machines/get-action")
def test_an_agent_gets_the_action_with_the_members_of_its_task(gate: Gate) -> None:
    gate.declare(TEMPLATE)
    gate.create(hardware={"device_1": "w"})
    first = gate.agent("w").next()
    assert (first.image, first.timeout, first.pid) == ("quay.io/tinkerbell/disk-wipe:v1.0.0", 90, "host")
    assert list(first.command) == ["wipe", "--all"]
    assert list(first.volumes) == ["/dev:/dev", "/lib/firmware:/lib/firmware:ro"]
    assert list(first.environment) == ["MIRROR_HOST=192.168.1.2", "VERSION=20.10"]


@pytest.mark.shows("machines/differs-agent-timeout")
def test_an_agent_gets_a_long_timeout_for_an_action_without_one(gate: Gate) -> None:
    # For an agent, 0 would be a timeout of 0 seconds.
    gate.declare(template_of(("w", ["wipe"])))
    gate.create()
    assert gate.agent("w").next().timeout == 10 * 365 * 24 * 3600


@pytest.mark.parametrize(("state", "word"), [("FAILED", "STATE_FAILED"), ("TIMEOUT", "STATE_TIMEOUT")])
def test_a_failure_reported_by_an_agent_ends_its_workflow(gate: Gate, state: str, word: str) -> None:
    gate.declare(template_of(("w", ["wipe", "write"])))
    id, agent = gate.create(), gate.agent("w")
    action = agent.next()
    agent.report(action, "RUNNING")
    agent.report(action, state)
    assert gate.state(id) == word
    assert refused(agent.next)[0] == MISSING


@pytest.mark.shows("machines/running-refused")
def test_an_agent_skips_a_canceled_workflow(gate: Gate) -> None:
    gate.declare(template_of(("w", ["wipe", "write"])))
    first, second = gate.create(), gate.create()
    agent = gate.agent("w")
    action = agent.next()
    assert action.workflow_id == first
    agent.report(action, "RUNNING")
    gate.server.rpc("awf.workflow/cancel", {"id": first})
    agent.report(action, "SUCCESS")
    assert gate.state(first) == "STATE_FAILED"
    following = agent.next()
    assert following.workflow_id == second
    # The workflow is deleted between two calls of an agent: its report of RUNNING is refused, and it polls again.
    gate.server.rpc("awf.machine/delete", {"id": second})
    assert refused(agent.report, following, "RUNNING")[0] == grpc.StatusCode.FAILED_PRECONDITION
    assert refused(agent.next)[0] == MISSING
    agent.report(following, "FAILED")


def test_the_mac_address_of_an_agent_ignores_case(gate: Gate) -> None:
    gate.declare(template_of(("{{.m}}", ["wipe"])))
    id, agent = gate.create(hardware={"m": MAC.upper()}), gate.agent(MAC)
    agent.report(agent.next(), "SUCCESS")
    assert gate.state(id) == "STATE_SUCCESS"


@pytest.mark.shows("machines/no-action", "machines/agent-report-refused")
def test_an_agent_gets_no_action_of_another_worker(gate: Gate) -> None:
    record = {"id": "hw-1", "network": {"interfaces": [{"dhcp": {"mac": MAC}}, {"dhcp": {"mac": "52:54:00:00:00:01"}}]}}
    gate.server.rpc("awf.hardware/push", {"hardware": record})
    gate.declare(template_of((MAC, ["wipe"])))
    id = gate.create()
    for other in ("hw-1", "52:54:00:00:00:01"):
        assert refused(gate.agent(other).next)[0] == MISSING
    action = gate.agent(MAC).next()
    action.agent_id = "hw-1"
    assert refused(gate.agent("hw-1").report, action, "SUCCESS") == (MISSING, "action not found")
    assert gate.state(id) == "STATE_PENDING"


@pytest.mark.shows("machines/no-action", "machines/agent-report-refused")
def test_a_report_of_an_agent_with_missing_or_unknown_ids_is_refused(gate: Gate) -> None:
    gate.declare(template_of(("w", ["wipe", "write"])))
    gate.create()
    agent = gate.agent("w")
    action = agent.next()
    assert refused(gate.agent("").next) == (ARGUMENT, "invalid Agent ID")
    assert refused(agent.report, action, "RUNNING", workflow_id="") == (ARGUMENT, "invalid workflow id")
    assert refused(agent.report, action, "RUNNING", task_id="") == (ARGUMENT, "invalid task name")
    assert refused(agent.report, action, "RUNNING", action_id="") == (ARGUMENT, "invalid action name")
    assert refused(agent.report, action, "RUNNING", workflow_id="x") == (MISSING, "invalid workflow id")
    assert refused(agent.report, action, "RUNNING", action_id="x") == (MISSING, "action not found")
    for state in ("UNSPECIFIED", "PENDING"):
        assert refused(agent.report, action, state)[0] == ARGUMENT
    assert agent.next() == action


@pytest.mark.shows("machines/report-path-shared")
@pytest.mark.parametrize("state", [RUNNING, FAILED, TIMEOUT, SUCCESS])
def test_reports_of_workers_and_agents_share_a_path(gate: Gate, state: int) -> None:
    gate.declare(template_of(("w", ["wipe"]), ("agent", ["join"])))
    id = gate.create()
    gate.machine().report(id, "task-0", "wipe", state)
    if state == SUCCESS:
        agent = gate.agent("agent")
        agent.report(agent.next(), "SUCCESS")
        assert gate.state(id) == "STATE_SUCCESS"


@pytest.mark.shows("machines/report-path-shared")
def test_a_report_with_a_timestamp_is_not_taken_for_an_agents(gate: Gate) -> None:
    # Field 8 is text in one message and a time in the other: these bytes are not UTF-8.
    gate.declare(template_of(("w", ["wipe"])))
    id, agent = gate.create(), gate.agent("w")
    agent.report(agent.next(), "SUCCESS", execution_stop={"seconds": 1_700_000_000, "nanos": 999_999_999})
    assert gate.state(id) == "STATE_SUCCESS"


@given(
    st.builds(
        workflow_pb2.WorkflowActionStatus,
        workflow_id=_TEXT,
        task_name=_TEXT,
        action_name=_TEXT,
        action_status=st.integers(0, 4),
        seconds=st.integers(-(2**63), 2**63 - 1),
        message=_TEXT,
        worker_id=_TEXT,
    )
)
def test_a_report_of_a_worker_is_recognized(message: Any) -> None:
    assert not is_agent_report(message.SerializeToString())


@given(
    st.builds(
        action_2025_pb2.ActionStatusRequest,
        workflow_id=_TEXT,
        task_id=_TEXT,
        action_id=st.text(min_size=1, max_size=20),
        action_name=_TEXT,
        action_state=st.integers(0, 5),
        execution_duration=_TEXT,
    )
)
def test_a_report_of_an_agent_is_recognized(message: Any) -> None:
    assert is_agent_report(message.SerializeToString())


@given(st.binary(max_size=60))
def test_any_bytes_are_classified_without_an_error(data: bytes) -> None:
    assert is_agent_report(data) in (True, False)


@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def _send(gate: Gate, whole: list[bytes], data: st.DataObject) -> None:
    """Send any bytes, or a message with some of its bytes changed, cut off or doubled."""
    sent = bytearray(data.draw(st.binary(max_size=60) | st.sampled_from(whole)))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(sent)))
        sent[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    method = data.draw(st.sampled_from(["ReportActionStatus", "GetAction"]))
    with grpc.insecure_channel(f"127.0.0.1:{gate.port}") as channel:
        call = channel.unary_unary(f"/proto.WorkflowService/{method}", lambda one: one, lambda one: one)
        try:
            call(bytes(sent), timeout=20)
        except grpc.RpcError as error:
            expected = {ARGUMENT, MISSING, grpc.StatusCode.FAILED_PRECONDITION}
            assert error.code() in expected, (method, bytes(sent), error.details())  # noqa: PT017  # one of several


def test_malformed_messages_cause_no_internal_error(gate: Gate) -> None:
    gate.declare(template_of(("w", ["wipe"])))
    gate.create()
    action = gate.agent("w").next()
    report_members = {
        "workflow_id": action.workflow_id,
        "agent_id": "w",
        "task_id": action.task_id,
        "action_id": action.action_id,
    }
    report = action_2025_pb2.ActionStatusRequest(**report_members, action_state="RUNNING", message={"message": "x"})
    of_worker = workflow_pb2.WorkflowActionStatus(
        workflow_id=action.workflow_id, task_name="task-0", action_name="wipe"
    )
    ask = action_2025_pb2.ActionRequest(agent_id="w", agent_attributes={"cpu": {"total_cores": 2}})
    _send(gate, [one.SerializeToString() for one in (report, of_worker, ask)])
