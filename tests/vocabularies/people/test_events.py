"""The three event streams: drafts, confirmation, and replay."""

from __future__ import annotations

import psycopg
import pytest

from fencepost.clock import FrozenClock
from tests.fixtures.people import Desk
from tests.fixtures.servers import Server, running_server


@pytest.fixture
def desk(server: Server) -> Desk:
    """A desk with the default steps."""
    return Desk(server)


@pytest.fixture
def mine(desk: Desk) -> str:
    """The id of a task that ann has claimed."""
    id = desk.task()
    desk.call("claim", id=id, user="ann")
    return id


@pytest.mark.shows("people/draft", "people/confirm-status")
def test_a_draft_changes_nothing_until_it_is_confirmed(desk: Desk, mine: str) -> None:
    drafted = desk.call("change-task-status-if-required", id=mine, user="ann", status="IN")
    event = drafted["event"]
    assert (event["resourceType"], event["processed"], event["biTaskStatus"]) == ("WFTaskStatusEvent", False, "IN")
    assert (event["wfTask"], event["user"]) == (mine, "ann")
    assert drafted["resource"]["biTaskStatus"] == "AS"
    assert desk.core(mine) == ("requested", None)
    confirmed = desk.call("confirm-status-event", id=mine, user="ann", event=event["id"])
    assert confirmed["event"] == {**event, "processed": True}
    assert confirmed["resource"]["biTaskStatus"] == "IN"
    assert desk.core(mine) == ("in-progress", None)


@pytest.mark.shows("people/draft", "people/confirm-transfer")
def test_a_drafted_transfer_changes_nothing_until_it_is_confirmed(desk: Desk, mine: str) -> None:
    to = {"assignedToTeam": "IT", "assignedToUser": "bob"}
    drafted = desk.call("transfer-task-if-required", id=mine, user="ann", **to)
    event = drafted["event"]
    assert (event["resourceType"], event["processed"], event["user"]) == ("WFTaskTransferEvent", False, "ann")
    assert {member: event[member] for member in to} == to
    assert desk.current(mine) == ("AS", "HR", "ann")
    desk.call("change-task-status-if-required", id=mine, user="ann", status="WA")
    confirmed = desk.call("confirm-transfer-event", id=mine, user="al", event=event["id"])
    assert confirmed["event"] == {**event, "processed": True}
    # The other draft is not confirmed.
    assert desk.current(mine) == ("AS", "IT", "bob")
    # The task belongs to another team now: only its members may complete it.
    assert desk.refused("set-task-completed", id=mine, user="ann")[1] == "not-a-member"
    desk.call("set-task-completed", id=mine, user="bob")


def test_a_repeated_confirmation_changes_nothing(desk: Desk, mine: str) -> None:
    event = desk.call("change-task-status-if-required", id=mine, user="ann", status="IN", confirm=True)["event"]
    before = desk.get(mine)
    desk.call("confirm-status-event", id=mine, event=event["id"])
    assert desk.get(mine) == before


@pytest.mark.shows("people/change-status-if-required", "people/transfer-if-required")
def test_a_command_that_changes_nothing_records_no_event(desk: Desk, mine: str) -> None:
    assert desk.call("change-task-status-if-required", id=mine, status="AS")["event"] is None
    same = {"assignedToTeam": "HR", "assignedToUser": "ann"}
    assert desk.call("transfer-task-if-required", id=mine, **same)["event"] is None
    assert desk.call("plan-task-if-required", id=mine, priority="M")["event"] is None
    due = desk.get(mine)["biDueDateTime"]
    assert desk.call("plan-task-if-required", id=mine, dueDateTime=due.replace("Z", "+00:00"))["event"] is None
    assert len(desk.events(mine)) == 2


@pytest.mark.shows("people/active-needs-user")
def test_an_active_status_needs_a_user(desk: Desk) -> None:
    id = desk.task()
    for status in ("AS", "IN", "WA", "CO"):
        assert desk.refused("change-task-status-if-required", id=id, status=status) == (
            422,
            "user-needed",
            "$.params.status",
        )
    for status in ("EX", "LO", "CA"):
        event = desk.call("change-task-status-if-required", id=id, status=status)["event"]
        assert event["biTaskStatus"] == status


def test_a_draft_that_would_make_the_task_invalid_is_not_confirmed(desk: Desk, mine: str) -> None:
    event = desk.call("change-task-status-if-required", id=mine, user="ann", status="IN")["event"]
    desk.call("transfer-task-if-required", id=mine, assignedToTeam="HR")
    unassign = desk.call("display-task-events", id=mine)["resources"][-1]
    assert desk.refused("confirm-transfer-event", id=mine, event=unassign["id"])[1] == "user-needed"
    desk.call("unclaim", id=mine, user="ann")
    # The draft is older than the unclaim: its confirmation changes no current value.
    desk.call("confirm-status-event", id=mine, event=event["id"])
    assert desk.current(mine) == ("PE", "HR", None)


@pytest.mark.shows("people/member-confirms")
def test_a_drafted_completion_by_a_user_of_another_team_is_not_confirmed(desk: Desk, mine: str) -> None:
    event = desk.call("change-task-status-if-required", id=mine, user="bob", status="CO")["event"]
    assert desk.refused("confirm-status-event", id=mine, user="ann", event=event["id"]) == (
        403,
        "not-a-member",
        "$.params.user",
    )
    assert desk.current(mine)[0] == "AS"
    desk.call("save-team-memberships", user="bob", teams=["HR"])
    desk.call("confirm-status-event", id=mine, user="ann", event=event["id"])
    assert desk.current(mine)[0] == "CO"


@pytest.mark.shows("people/draft", "people/confirm-plan")
def test_a_plan_changes_priority_and_due_date(desk: Desk, mine: str) -> None:
    planned = desk.call(
        "plan-task-if-required", id=mine, user="ann", priority="H", dueDateTime="2031-01-01T01:00+01:00"
    )
    assert planned["event"]["dueDateTime"] == "2031-01-01T00:00:00.000000Z"
    assert planned["resource"]["biPriority"] == "M"
    task = desk.call("confirm-plan-event", id=mine, event=planned["event"]["id"])["resource"]
    assert (task["biPriority"], task["biDueDateTime"]) == ("H", "2031-01-01T00:00:00.000000Z")
    assert task["initialPriority"] == "M"
    planned = desk.call("plan-task-if-required", id=mine, dueDateTime="2032-01-01T00:00:00Z")["event"]
    assert (planned["priority"], planned["dueDateTime"]) == ("H", "2032-01-01T00:00:00.000000Z")
    assert desk.refused("plan-task-if-required", id=mine, dueDateTime="x")[2] == "$.params.dueDateTime"


@pytest.mark.shows("people/plan-priority")
def test_a_plan_without_a_priority_has_priority_m(desk: Desk, mine: str) -> None:
    event = desk.call("plan-task-if-required", id=mine, dueDateTime="2032-01-01T00:00:00Z")["event"]
    assert (event["resourceType"], event["priority"]) == ("WFTaskPlanEvent", "M")


@pytest.mark.shows("people/event-times")
def test_events_at_the_same_time_are_a_microsecond_apart(database: str) -> None:
    clock = FrozenClock()
    with running_server(database, clock) as server:
        desk = Desk(server)
        id = desk.task()
        for status in ("EX", "LO", "EX"):
            desk.call("change-status", id=id, user="dev", status=status)
        times = [event["eventDateTime"] for event in desk.call("display-task-events", id=id)["resources"]]
        assert len({*times}) == 3
        assert times == sorted(times)
        assert desk.current(id)[0] == "EX"


def test_a_confirmation_finds_events_of_its_own_stream_and_task_only(desk: Desk, mine: str) -> None:
    event = desk.call("change-task-status-if-required", id=mine, user="ann", status="IN")["event"]
    other = desk.task("L-2")
    assert desk.refused("confirm-plan-event", id=mine, event=event["id"]) == (
        404,
        "task-event-not-found",
        "$.params.event",
    )
    assert desk.refused("confirm-status-event", id=other, event=event["id"])[1] == "task-event-not-found"


@pytest.mark.shows("people/draft-reuse")
def test_a_repeated_draft_returns_the_pending_draft(desk: Desk, mine: str) -> None:
    first, again = (
        desk.call("change-task-status-if-required", id=mine, user="ann", status="IN")["event"] for _ in range(2)
    )
    assert first == again
    assert desk.call("change-task-status-if-required", id=mine, user="al", status="IN")["event"] != first


@pytest.mark.shows("people/draft-reuse")
@pytest.mark.parametrize(
    ("method", "confirm", "given", "other", "member"),
    [
        ("change-task-status-if-required", "status", {"status": "IN"}, {"status": "WA"}, "biTaskStatus"),
        (
            "transfer-task-if-required",
            "transfer",
            {"assignedToUser": "al", "assignedToTeam": "HR"},
            {"assignedToUser": "bob", "assignedToTeam": "IT"},
            "biAssignedToUser",
        ),
        ("plan-task-if-required", "plan", {"priority": "H"}, {"priority": "L"}, "biPriority"),
    ],
)
def test_a_draft_is_recorded_again_after_a_later_event_of_its_stream(
    desk: Desk, mine: str, method: str, confirm: str, given: dict[str, str], other: dict[str, str], member: str
) -> None:
    stale = desk.call(method, id=mine, user="ann", **given)["event"]
    desk.call(method, id=mine, user="ann", confirm=True, **other)
    event = desk.call(method, id=mine, user="ann", **given)["event"]
    assert event["id"] > stale["id"]
    assert desk.call(method, id=mine, user="ann", **given)["event"] == event
    task = desk.call(f"confirm-{confirm}-event", id=mine, user="ann", event=event["id"])["resource"]
    assert task[member] == next(iter(given.values()))


@pytest.mark.shows("people/draft-reuse")
def test_a_draft_is_recorded_again_after_a_worker_changed_the_status(desk: Desk) -> None:
    desk.begin()
    job = desk.add("MAIL")["id"]
    stale = desk.call("change-task-status-if-required", id=job, user="bob", status="CA")["event"]
    assert len(desk.server.poll("hr/onboard/MAIL", start=True)) == 1
    assert desk.current(job)[0] == "IN"
    event = desk.call("change-task-status-if-required", id=job, user="bob", status="CA")["event"]
    assert event["id"] > stale["id"]
    desk.call("confirm-status-event", id=job, user="bob", event=event["id"])
    assert desk.current(job)[0] == "CA"


@pytest.mark.shows("people/event-immutable")
def test_an_event_never_changes(desk: Desk, mine: str) -> None:
    for change in ("by_user = 'eve'", "bi_task_status = 'CO'", "event_date_time = now()", "processed = false"):
        with pytest.raises(psycopg.errors.RaiseException):
            desk.server.query(f"update fencepost.people_events set {change} where stream = 'status'")


@pytest.mark.shows("people/history-html", "people/display-events")
def test_the_html_history_shows_every_event_with_drafts(desk: Desk, mine: str) -> None:
    desk.call("plan-task-if-required", id=mine, user="al", priority="H", dueDateTime="2031-01-01T00:00:00Z")
    desk.call("transfer", id=mine, user="ann", transferToTeam="IT", transferToUser="bob")
    history = desk.call("display-task-events", id=mine)
    rows = [row.split("</td><td>") for row in history["html"].split("<tr>")[3:]]
    due = "2031-01-01T00:00:00.000000Z"
    assert [(who, what, state.partition("<")[0]) for _, who, what, state in rows] == [
        ("ann", "status Assigned", "processed"),
        ("ann", "transfer to team HR, ann", "processed"),
        ("al", f"plan: priority H, due {due}", "draft"),
        ("ann", "transfer to team IT, bob", "processed"),
    ]
    times = [event["eventDateTime"] for event in history["resources"]]
    assert [when.removeprefix("<td>") for when, *_ in rows] == times == sorted(times)
    assert "created, Pending, team HR, priority M, due" in history["html"]


@pytest.mark.shows("people/history-html")
def test_the_html_history_escapes_the_names_of_users(desk: Desk) -> None:
    id = desk.task()
    desk.call("change-status", id=id, user="<script>", status="EX")
    page = desk.call("display-task-events", id=id)["html"]
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "status Exception" in page
