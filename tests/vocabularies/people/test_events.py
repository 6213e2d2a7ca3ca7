"""The three streams: drafts, their confirmation, and the replay of what is processed."""

from __future__ import annotations

import psycopg
import pytest

from fencepost.clock import FrozenClock
from tests.fixtures.people import Desk
from tests.fixtures.servers import Server, running_server


@pytest.fixture
def desk(server: Server) -> Desk:
    """A desk."""
    return Desk(server)


@pytest.fixture
def mine(desk: Desk) -> str:
    """A task that ann has claimed."""
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
def test_a_transfer_that_is_drafted_hands_nothing_over_until_it_is_confirmed(desk: Desk, mine: str) -> None:
    to = {"assignedToTeam": "IT", "assignedToUser": "bob"}
    drafted = desk.call("transfer-task-if-required", id=mine, user="ann", **to)
    event = drafted["event"]
    assert (event["resourceType"], event["processed"], event["user"]) == ("WFTaskTransferEvent", False, "ann")
    assert {member: event[member] for member in to} == to
    assert desk.standing(mine) == ("AS", "HR", "ann")
    desk.call("change-task-status-if-required", id=mine, user="ann", status="WA")
    confirmed = desk.call("confirm-transfer-event", id=mine, user="al", event=event["id"])
    assert confirmed["event"] == {**event, "processed": True}
    # The other draft still says nothing.
    assert desk.standing(mine) == ("AS", "IT", "bob")
    # Whose it is works for another team: by that it is judged who may close it.
    assert desk.refused("set-task-completed", id=mine, user="ann")[1] == "not-a-member"
    desk.call("set-task-completed", id=mine, user="bob")


def test_an_event_that_is_confirmed_again_stays_as_it_is(desk: Desk, mine: str) -> None:
    event = desk.call("change-task-status-if-required", id=mine, user="ann", status="IN", confirm=True)["event"]
    before = desk.get(mine)
    desk.call("confirm-status-event", id=mine, event=event["id"])
    assert desk.get(mine) == before


@pytest.mark.shows("people/change-status-if-required", "people/transfer-if-required")
def test_nothing_is_recorded_where_nothing_changes(desk: Desk, mine: str) -> None:
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


def test_a_draft_of_which_nothing_good_would_come_is_not_confirmed(desk: Desk, mine: str) -> None:
    event = desk.call("change-task-status-if-required", id=mine, user="ann", status="IN")["event"]
    desk.call("transfer-task-if-required", id=mine, assignedToTeam="HR")
    unassign = desk.call("display-task-events", id=mine)["resources"][-1]
    assert desk.refused("confirm-transfer-event", id=mine, event=unassign["id"])[1] == "user-needed"
    desk.call("unclaim", id=mine, user="ann")
    # Later in the stream the task was given back: the draft counts, and changes nothing about that.
    desk.call("confirm-status-event", id=mine, event=event["id"])
    assert desk.standing(mine) == ("PE", "HR", None)


@pytest.mark.shows("people/member-confirms")
def test_who_records_that_it_is_completed_must_be_in_its_team(desk: Desk, mine: str) -> None:
    event = desk.call("change-task-status-if-required", id=mine, user="bob", status="CO")["event"]
    assert desk.refused("confirm-status-event", id=mine, user="ann", event=event["id"]) == (
        403,
        "not-a-member",
        "$.params.user",
    )
    assert desk.standing(mine)[0] == "AS"
    desk.call("save-team-memberships", user="bob", teams=["HR"])
    desk.call("confirm-status-event", id=mine, user="ann", event=event["id"])
    assert desk.standing(mine)[0] == "CO"


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
def test_a_plan_has_priority_m_where_none_was_ever_said(desk: Desk, mine: str) -> None:
    event = desk.call("plan-task-if-required", id=mine, dueDateTime="2032-01-01T00:00:00Z")["event"]
    assert (event["resourceType"], event["priority"]) == ("WFTaskPlanEvent", "M")


@pytest.mark.shows("people/event-times")
def test_events_of_one_time_move_on_by_a_microsecond(database: str) -> None:
    clock = FrozenClock()
    with running_server(database, clock) as server:
        desk = Desk(server)
        id = desk.task()
        for status in ("EX", "LO", "EX"):
            desk.call("change-status", id=id, user="dev", status=status)
        times = [event["eventDateTime"] for event in desk.call("display-task-events", id=id)["resources"]]
        assert len({*times}) == 3
        assert times == sorted(times)
        assert desk.standing(id)[0] == "EX"


def test_an_event_is_that_of_its_stream_and_task(desk: Desk, mine: str) -> None:
    event = desk.call("change-task-status-if-required", id=mine, user="ann", status="IN")["event"]
    other = desk.task("L-2")
    assert desk.refused("confirm-plan-event", id=mine, event=event["id"]) == (
        404,
        "task-event-not-found",
        "$.params.event",
    )
    assert desk.refused("confirm-status-event", id=other, event=event["id"])[1] == "task-event-not-found"


@pytest.mark.shows("people/draft-reuse")
def test_the_same_draft_again_is_the_draft_that_waits(desk: Desk, mine: str) -> None:
    first, again = (
        desk.call("change-task-status-if-required", id=mine, user="ann", status="IN")["event"] for _ in range(2)
    )
    assert first == again
    assert desk.call("change-task-status-if-required", id=mine, user="al", status="IN")["event"] != first


@pytest.mark.shows("people/draft-reuse")
@pytest.mark.parametrize(
    ("method", "confirm", "said", "other", "member"),
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
def test_a_draft_that_something_else_came_after_is_made_anew(
    desk: Desk, mine: str, method: str, confirm: str, said: dict[str, str], other: dict[str, str], member: str
) -> None:
    stale = desk.call(method, id=mine, user="ann", **said)["event"]
    desk.call(method, id=mine, user="ann", confirm=True, **other)
    event = desk.call(method, id=mine, user="ann", **said)["event"]
    assert event["id"] > stale["id"]
    assert desk.call(method, id=mine, user="ann", **said)["event"] == event
    task = desk.call(f"confirm-{confirm}-event", id=mine, user="ann", event=event["id"])["resource"]
    assert task[member] == next(iter(said.values()))


@pytest.mark.shows("people/draft-reuse")
def test_a_draft_that_a_worker_came_after_is_made_anew(desk: Desk) -> None:
    desk.begin()
    job = desk.add("MAIL")["id"]
    stale = desk.call("change-task-status-if-required", id=job, user="bob", status="CA")["event"]
    assert len(desk.server.poll("hr/onboard/MAIL", start=True)) == 1
    assert desk.standing(job)[0] == "IN"
    event = desk.call("change-task-status-if-required", id=job, user="bob", status="CA")["event"]
    assert event["id"] > stale["id"]
    desk.call("confirm-status-event", id=job, user="bob", event=event["id"])
    assert desk.standing(job)[0] == "CA"


@pytest.mark.shows("people/event-immutable")
def test_an_event_never_changes(desk: Desk, mine: str) -> None:
    for change in ("by_user = 'eve'", "bi_task_status = 'CO'", "event_date_time = now()", "processed = false"):
        with pytest.raises(psycopg.errors.RaiseException):
            desk.server.query(f"update fencepost.people_events set {change} where stream = 'status'")


@pytest.mark.shows("people/history-html", "people/display-events")
def test_the_whole_history_is_there_to_be_read_drafts_too(desk: Desk, mine: str) -> None:
    desk.call("plan-task-if-required", id=mine, user="al", priority="H", dueDateTime="2031-01-01T00:00:00Z")
    desk.call("transfer", id=mine, user="ann", transferToTeam="IT", transferToUser="bob")
    told = desk.call("display-task-events", id=mine)
    rows = [row.split("</td><td>") for row in told["html"].split("<tr>")[3:]]
    due = "2031-01-01T00:00:00.000000Z"
    assert [(who, what, state.partition("<")[0]) for _, who, what, state in rows] == [
        ("ann", "status Assigned", "processed"),
        ("ann", "transfer to team HR, ann", "processed"),
        ("al", f"plan: priority H, due {due}", "draft"),
        ("ann", "transfer to team IT, bob", "processed"),
    ]
    times = [event["eventDateTime"] for event in told["resources"]]
    assert [when.removeprefix("<td>") for when, *_ in rows] == times == sorted(times)
    assert "created, Pending, team HR, priority M, due" in told["html"]


@pytest.mark.shows("people/history-html")
def test_every_event_is_shown_with_the_texts_of_others_escaped(desk: Desk) -> None:
    id = desk.task()
    desk.call("change-status", id=id, user="<script>", status="EX")
    page = desk.call("display-task-events", id=id)["html"]
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "status Exception" in page
