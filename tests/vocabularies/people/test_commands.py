"""Commands over the wire: claim, unclaim, transfer, complete, cancel, change of status, lock."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fixtures.people import Desk
from tests.fixtures.servers import CallRefused, Server, running_server


@pytest.fixture
def desk(server: Server) -> Desk:
    """A desk with the default steps."""
    return Desk(server)


@pytest.mark.shows("people/claim")
def test_a_claim_assigns_the_task_and_records_two_events(desk: Desk) -> None:
    id = desk.task()
    claimed = desk.call("claim", id=id, user="ann")["resource"]
    assert (claimed["biTaskStatus"], claimed["biAssignedToUser"]) == ("AS", "ann")
    assert desk.events(id) == [("AS", "ann"), ("HR", "ann", "ann")]
    assert desk.core(id) == ("requested", None)
    assert [entry["action"] for entry in desk.server.log(claimed["coreTask"])][1:] == ["awf.task/poll"]


def test_a_repeated_claim_changes_nothing(desk: Desk) -> None:
    id = desk.task()
    desk.call("claim", id=id, user="ann")
    assert desk.call("claim", id=id, user="ann")["resource"]["biTaskStatus"] == "AS"
    assert len(desk.events(id)) == 2


@pytest.mark.shows("people/member-claims")
def test_a_claim_by_a_user_of_another_team_is_refused(desk: Desk) -> None:
    id = desk.task()
    assert desk.refused("claim", id=id, user="bob") == (403, "not-a-member", "$.params.user")
    assert desk.current(id) == ("PE", "HR", None)
    assert desk.events(id) == []


def test_a_claim_of_a_task_that_is_assigned_to_another_user_is_refused(desk: Desk) -> None:
    id = desk.task()
    desk.call("claim", id=id, user="ann")
    assert desk.refused("claim", id=id, user="al") == (409, "people-task-taken", "$.params.id")


@pytest.mark.shows("people/claim-raced")
def test_one_of_several_concurrent_claims_wins(server: Server) -> None:
    desk = Desk(server)
    id = desk.task()
    users = [f"user-{n}" for n in range(8)]
    for user in users:
        desk.call("save-team-memberships", user=user, teams=["HR"])
    with running_server(server.conninfo) as other, ThreadPoolExecutor(8) as threads:
        desks = [desk, Desk(other)]

        def claim(number: int) -> str:
            try:
                return str(desks[number % 2].call("claim", id=id, user=users[number])["resource"]["biAssignedToUser"])
            except CallRefused as refused:
                return str(refused.fault["type"])

        outcomes = list(threads.map(claim, range(8)))
    assert sorted(outcomes)[:7] == ["people-task-taken"] * 7
    assert desk.current(id) == ("AS", "HR", sorted(outcomes)[7])
    assert len(desk.events(id)) == 2


@pytest.mark.shows("people/unclaim")
def test_an_unclaimed_task_is_pending_in_its_team(desk: Desk) -> None:
    id = desk.task()
    desk.call("claim", id=id, user="ann")
    desk.call("unclaim", id=id, user="ann")
    assert desk.current(id) == ("PE", "HR", None)
    assert desk.core(id) == ("ready", None)
    assert desk.events(id)[2:] == [("PE", "ann"), ("HR", None, "ann")]
    desk.call("claim", id=id, user="al")
    assert desk.refused("unclaim", id=id, user="bob")[1] == "not-a-member"
    desk.call("unclaim", id=id, user="ann")


@pytest.mark.shows("people/transfer")
def test_a_transferred_task_is_pending_in_the_other_team(desk: Desk) -> None:
    id = desk.task()
    desk.call("claim", id=id, user="ann")
    desk.call("transfer", id=id, user="ann", transferToTeam="IT")
    assert desk.current(id) == ("PE", "IT", None)
    assert desk.refused("claim", id=id, user="ann")[1] == "not-a-member"
    desk.call("claim", id=id, user="bob")
    assert desk.refused("transfer", id=id, transferToTeam="XX") == (400, "invalid-params", "$.params.transferToTeam")


@pytest.mark.shows("people/member-completes", "people/task-read")
def test_a_task_is_completed_by_a_member_of_its_team(desk: Desk) -> None:
    id = desk.task()
    desk.call("claim", id=id, user="ann")
    assert desk.refused("set-task-completed", id=id, user="bob") == (403, "not-a-member", "$.params.user")
    done = desk.call("set-task-completed", id=id, user="ann", result={"fits": True})["resource"]
    assert (done["biTaskStatus"], done["result"]) == ("CO", {"fits": True})
    assert done["biCompletionDateTime"] == desk.call("display-task-events", id=id)["resources"][-1]["eventDateTime"]
    assert desk.core(id) == ("done", "succeeded")
    assert desk.refused("set-task-completed", id=id, user="al", result={"fits": True})[1] == "people-task-completed"
    assert desk.refused("set-task-canceled", id=id, user="ann")[1] == "people-task-completed"
    assert desk.refused("assert-task-is-not-completed", id=id)[:2] == (422, "people-task-completed")
    assert desk.call("validate-after-task-completed", id=id)["resource"]["id"] == id


@pytest.mark.shows("people/completed-again")
def test_a_completion_can_be_repeated_by_the_assignee_with_the_same_result(desk: Desk) -> None:
    id = desk.task()
    done = desk.call("set-task-completed", id=id, user="ann", result={"fits": True, "size": 4})["resource"]
    events = desk.events(id)
    assert desk.call("set-task-completed", id=id, user="ann", result={"size": 4, "fits": True})["resource"] == done
    assert desk.events(id) == events
    for result in ({}, {"result": {"fits": False}}):
        assert desk.refused("set-task-completed", id=id, user="ann", **result)[1] == "people-task-completed"


def test_the_exec_id_of_a_manual_task_is_never_shown(desk: Desk) -> None:
    id = desk.task()
    desk.call("claim", id=id, user="ann")
    server = desk.server
    (listed,) = server.rpc("awf.task/list", {"filter": {"includeDefinitions": ["awf.people/task"]}})["resources"]
    for shown in (server.task(id), listed, *server.log(id)):
        assert "execId" not in shown
    assert server.task(id)["status"] == "requested"


def test_the_completion_of_an_unassigned_task_assigns_it_to_the_user(desk: Desk) -> None:
    id = desk.task()
    desk.call("set-task-completed", id=id, user="ann")
    assert desk.current(id) == ("CO", "HR", "ann")


@pytest.mark.shows("people/canceled")
def test_a_canceled_task_has_a_canceled_core_task(desk: Desk) -> None:
    id = desk.task()
    desk.call("set-task-canceled", id=id, user="ann")
    assert desk.current(id)[0] == "CA"
    assert desk.core(id) == ("done", "canceled")
    assert desk.call("set-task-canceled", id=id, user="ann")["resource"]["biTaskStatus"] == "CA"
    assert desk.refused("validate-after-task-completed", id=id)[1] == "people-task-not-completed"


def test_a_task_is_canceled_when_its_core_task_is_canceled(desk: Desk) -> None:
    id = desk.task()
    desk.call("claim", id=id, user="ann")
    desk.server.rpc("awf.task/cancel", {"id": id})
    assert desk.current(id) == ("CA", "HR", "ann")
    assert desk.events(id)[-1][0] == "CA"


def test_a_canceled_list_cancels_its_tasks_and_refuses_commands(desk: Desk) -> None:
    id = desk.task()
    desk.server.rpc("awf.workflow/cancel", {"id": "L-1"})
    assert desk.current(id)[0] == "CA"
    assert desk.refused("claim", id=id, user="ann") == (422, "workflow-has-been-done", "$.params.id")
    assert desk.refused("add-task", taskList="L-1", processStep="BADGE")[1] == "workflow-has-been-done"


@pytest.mark.shows("people/any-status", "people/change-status")
@pytest.mark.parametrize("status", ["AS", "IN", "WA", "EX", "LO", "CO", "CA", "PE"])
def test_a_developer_may_record_any_status_from_any_other(desk: Desk, status: str) -> None:
    id = desk.task()
    for before in ("CO", "IN", "CA", "AS", "WA", "PE", "EX", "LO"):
        desk.call("change-status", id=id, user="dev", status=before)
        changed = desk.call("change-status", id=id, user="dev", status=status)
        assert changed["resource"]["biTaskStatus"] == status
        assert (changed["event"] is None) == (before == status)
    assert desk.get(id)["id"] == id


def test_a_reopened_task_gets_a_new_core_task(desk: Desk) -> None:
    id = desk.task()
    desk.call("claim", id=id, user="ann")
    desk.call("set-task-completed", id=id, user="ann")
    first = desk.get(id)["coreTask"]
    again = desk.call("change-status", id=id, user="dev", status="IN")["resource"]
    assert (again["id"], again["biCompletionDateTime"]) == (id, None)
    assert again["coreTask"] != first == id
    assert desk.core(id) == ("in-progress", None)
    assert desk.server.task(first)["outcome"] == "succeeded"
    assert len(desk.call("find-all-tasks-by-task-list", taskList="L-1")["resources"]) == 1


def test_the_user_is_the_caller_when_the_call_names_none(desk: Desk) -> None:
    id = desk.task()
    desk.call("save-team-memberships", user="local", teams=["HR"])
    desk.call("claim", id=id)
    assert desk.current(id)[2] == "local"


@pytest.mark.shows("people/remove-task")
def test_the_removal_of_a_task_is_always_refused(desk: Desk) -> None:
    id = desk.task()
    refusal = (422, "task-removal", "$.params.id")
    assert desk.refused("remove-task", id=id) == refusal
    for status in ("CA", "CO"):
        desk.call("change-status", id=id, user="dev", status=status)
        assert desk.refused("remove-task", id=id) == refusal
    desk.server.rpc("awf.workflow/cancel", {"id": "L-1"})
    assert desk.refused("remove-task", id=id) == refusal
    assert desk.get(id)["id"] == id


@pytest.mark.shows("people/task-final")
def test_commands_never_change_the_initial_members_of_a_task(desk: Desk) -> None:
    id = desk.task()
    before = desk.get(id)
    desk.call("claim", id=id, user="ann")
    desk.call("plan-task-if-required", id=id, priority="H", dueDateTime="2031-01-01T00:00:00Z", confirm=True)
    desk.call("set-task-progress", id=id, progressMessage="half")
    desk.call("set-task-error", id=id, exceptionMessage="no paper")
    desk.call("set-task-reference-entity", id=id, domainObjectKey="93", domainObjectCode="P-93")
    desk.call("lock-task", id=id, user="ann")
    desk.call("transfer", id=id, user="ann", transferToTeam="IT", transferToUser="bob")
    desk.call("set-task-completed", id=id, user="bob")
    after = desk.get(id)
    assert {member for member in after if after[member] != before[member]} == {
        "progressMessage",
        "exceptionMessage",
        "domainObjectKey",
        "domainObjectCode",
        "biAssignedToTeam",
        "biAssignedToUser",
        "biTaskStatus",
        "biPriority",
        "biDueDateTime",
        "biCompletionDateTime",
        "biLocked",
        "lockedBy",
    }


@pytest.mark.shows("people/locked")
def test_a_locked_task_cannot_be_locked_or_unlocked_by_another_user(desk: Desk) -> None:
    id = desk.task()
    assert desk.call("lock-task", id=id, user="ann")["resource"]["biLocked"] is True
    desk.call("lock-task", id=id, user="ann")
    assert desk.refused("lock-task", id=id, user="al") == (409, "people-task-locked", "$.params.id")
    assert desk.refused("unlock-task", id=id, user="al")[0] == 409
    assert desk.call("unlock-task", id=id, user="ann")["resource"]["biLocked"] is False
    desk.call("lock-task", id=id, user="al")


def test_a_poll_for_manual_tasks_is_refused(desk: Desk) -> None:
    desk.task()
    assert desk.server.refused("awf.task/poll", {"taskDefinitions": ["awf.people/task"]}) == (
        400,
        "invalid-params",
        "$.params.taskDefinitions[0]",
    )


@pytest.mark.shows("people/get-by-id")
@pytest.mark.parametrize(
    "method",
    ["claim", "unclaim", "get-by-id", "remove-task", "open-page", "display-task-events", "set-task-completed"],
)
def test_an_id_that_is_not_a_people_task_is_not_found(desk: Desk, method: str) -> None:
    desk.server.define()
    other = desk.server.create()["id"]
    for id in (other, "nobody", "5b0e7f14-6d0a-8a51-8002-000000000fff"):
        assert desk.refused(method, id=id) == (404, "people-task-not-found", "$.params.id")


@pytest.mark.shows("people/task-read")
def test_a_completed_task_shows_its_user_its_flow_and_its_times(desk: Desk) -> None:
    id = desk.task()
    assert desk.call("assert-task-is-not-completed", id=id)["resource"] == desk.get(id)
    desk.call("set-executed-by-user", id=id, user="ann", executedByUser="ann")
    desk.call("set-task-completed", id=id, user="ann")
    done = desk.call("validate-after-task-completed", id=id)["resource"]
    assert (done["biAssignedToUser"], done["flow"]) == ("ann", "M")
    assert done["startDateTime"] < done["biCompletionDateTime"]


@pytest.mark.shows("people/user-valid", "people/executed-by")
def test_set_executed_by_user_assigns_a_task_to_another_user(desk: Desk) -> None:
    id = desk.task()
    desk.call("set-executed-by-user", id=id, user="ann", executedByUser="al")
    assert desk.current(id) == ("PE", "HR", "al")
    assert desk.call("assert-task-user-is-valid", id=id, user="al")["resource"]["id"] == id
    assert desk.refused("assert-task-user-is-valid", id=id, user="bob")[1] == "not-a-member"
