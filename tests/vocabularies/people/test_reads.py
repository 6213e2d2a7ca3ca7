"""Reads: pending tasks, my tasks, the task of a step, teams, pages, mails, references."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from fencepost.settings import Limits, Settings
from tests.fixtures.people import Desk
from tests.fixtures.servers import Server, running_server


@pytest.fixture
def desk(server: Server) -> Desk:
    """A desk with the default steps."""
    return Desk(server)


@pytest.mark.shows("people/inbox")
def test_pending_tasks_are_ordered_by_team_and_due_date(desk: Desk) -> None:
    for code in ("L-1", "L-2"):
        desk.begin(code)
    late = desk.add("BADGE", "L-1", dueDateTime="2040-01-01T00:00:00Z")["id"]
    soon = desk.add("BADGE", "L-2", dueDateTime="2030-01-01T00:00:00Z")["id"]
    (first,) = [task["id"] for task in desk.call("find-all-tasks-by-task-list", taskList="L-1")["resources"]][:1]
    desk.call("claim", id=first, user="ann")
    inbox = desk.call("find-all-pending-tasks-order-by-team-and-due-date")["resources"]
    assert [(task["biAssignedToTeam"], task["taskList"]) for task in inbox] == [
        ("HR", "L-2"),
        ("IT", "L-2"),
        ("IT", "L-1"),
    ]
    assert [task["id"] for task in inbox[1:]] == [soon, late]
    desk.call("plan-task-if-required", id=late, dueDateTime="2029-01-01T00:00:00Z", confirm=True)
    inbox = desk.call("find-all-pending-tasks-order-by-team-and-due-date", limit=2)["resources"]
    assert [task["id"] for task in inbox[1:]] == [late]
    # The order is by team first: an earlier due date of another team does not matter.
    desk.call("plan-task-if-required", id=late, dueDateTime="2020-01-01T00:00:00Z", confirm=True)
    inbox = desk.call("find-all-pending-tasks-order-by-team-and-due-date")["resources"]
    assert [task["biAssignedToTeam"] for task in inbox] == ["HR", "IT", "IT"]


@pytest.mark.shows("people/inbox-pages")
@pytest.mark.parametrize("method", ["find-all-pending-tasks-order-by-team-and-due-date", "my-tasks"])
def test_pages_of_tasks_continue_where_the_previous_page_ended(desk: Desk, method: str) -> None:
    for code in ("L-1", "L-2"):
        desk.begin(code)
        for due in ("2031-01-01T00:00:00Z", "2020-01-01T00:00:00.000001Z", "2031-01-01T00:00:00Z"):
            desk.add("BADGE", code, dueDateTime=due)
    given = {}
    if method == "my-tasks":
        given = {"user": "ann"}
        for task in desk.call("find-all-pending-tasks-order-by-team-and-due-date")["resources"]:
            desk.call("set-executed-by-user", id=task["id"], executedByUser="ann")
    whole = desk.call(method, **given)
    assert "next" not in whole
    members = ("biAssignedToTeam", "biDueDateTime")
    places = [tuple(task[member] for member in members) for task in whole["resources"]]
    assert (len(places), places) == (8, sorted(places))
    for size in (1, 3, 4, 8):
        found, following = [], None
        for _ in range(-(-8 // size)):
            page = desk.call(method, **given, after=following, limit=size)
            found += page["resources"]
            following = page.get("next")
        assert (found, following) == (whole["resources"], None)
    for word in ("x", "HR:x", "HR", ":", ""):
        assert desk.refused(method, after=word) == (400, "invalid-params", "$.params.after")


@pytest.mark.shows("people/list-pages")
def test_pages_of_a_list_are_ordered_by_line_number(desk: Desk) -> None:
    desk.begin()
    for line in (40, 7, 1_000_000, 12, 9):
        desk.add("BADGE", lineNumber=line)
    desk.begin("L-2")
    method = "find-all-tasks-by-task-list"
    whole = desk.call(method, taskList="L-1")
    assert [task["lineNumber"] for task in whole["resources"]] == [1, 7, 9, 12, 40, 1_000_000]
    assert "next" not in whole
    for size in (1, 4, 6):
        found, following = [], None
        for _ in range(-(-6 // size)):
            page = desk.call(method, taskList="L-1", after=following, limit=size)
            assert len(page["resources"]) <= size
            found += page["resources"]
            following = page.get("next")
        assert (found, following) == (whole["resources"], None)
    for word in ("x", "-1", "1.5", "", "\u0661", str(2**31)):
        assert desk.refused(method, taskList="L-1", after=word) == (400, "invalid-params", "$.params.after")
    assert desk.refused(method, taskList="L-1", limit=10_001) == (400, "invalid-params", "$.params.limit")


def test_a_repeated_creation_of_a_list_returns_its_first_tasks_and_the_next_page(server: Server) -> None:
    steps = [{"code": f"S{number}", "assignToTeam": "HR", "createAtProcessStart": True} for number in range(500)]
    desk = Desk(server, steps)
    again = {"process": "hr/onboard", "code": "L-1"}
    begun = desk.call("create-task-list", **again)
    assert [task["lineNumber"] for task in begun["tasks"]] == [*range(1, 501)]
    assert "next" not in begun
    added = [desk.add("S0") for _ in range(2)]
    assert desk.call("create-task-list", **again) == {**begun, "next": "500"}
    rest = desk.call("find-all-tasks-by-task-list", taskList="L-1", after="500")
    assert rest == {"resources": added}


@pytest.mark.shows("people/list-pages")
@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("find-all-tasks-by-task-list", {"taskList": "L-1"}),
        ("find-all-pending-tasks-order-by-team-and-due-date", {}),
        ("my-tasks", {"user": "eve"}),
    ],
)
def test_a_page_of_tasks_ends_at_the_limit_of_an_answer(database: str, method: str, given: dict[str, Any]) -> None:
    most = 20_000
    with running_server(database, settings=Settings(limits=Limits(answer_bytes=most))) as server:
        desk = Desk(server)
        desk.begin()
        added = [desk.add("BADGE", description="\U0001f600" * 500)["id"] for _ in range(30)]
        if method == "my-tasks":
            for id in added:
                desk.call("set-executed-by-user", id=id, executedByUser="eve")
        found: list[str] = []
        pages, params = 0, dict(given)
        while pages == 0 or "after" in params:
            body = orjson.dumps({"method": f"awf.people/{method}", "params": params | {"limit": 10_000}})
            _, _, answer = server.send("POST", "/rpc", body, content_type="application/json")
            assert len(answer) < most + 4000
            page = orjson.loads(answer)["result"]
            found += [task["id"] for task in page["resources"]]
            pages, params = pages + 1, given | {"after": page["next"]} if "next" in page else {}
        assert pages > 2
        assert len(found) == len(set(found))
        assert set(added) <= set(found)


@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("find-all-tasks-by-task-list", {"taskList": "L-1"}),
        ("find-one-task-by-task-list-and-process-step-code", {"taskList": "L-1", "processStep": "ASK"}),
        ("find-all-pending-tasks-order-by-team-and-due-date", {}),
        ("my-tasks", {}),
        ("find-all-task-mails", {"id": ""}),
        ("display-task-events", {"id": ""}),
    ],
)
def test_large_reads_use_the_connections_of_reads(desk: Desk, method: str, given: dict[str, Any]) -> None:
    id = desk.task()
    reads = desk.server.app.database.reads
    before = reads.jobs_taken
    desk.call(method, **(given | {"id": id} if "id" in given else given))
    assert reads.jobs_taken == before + 1


@pytest.mark.shows("people/pending")
def test_open_tasks_that_are_not_pending_are_not_in_the_inbox(desk: Desk) -> None:
    id = desk.task()
    desk.call("change-status", id=id, user="dev", status="EX")
    begun = desk.add("BADGE", assignment="PROCESS_STEP_USER")
    assert begun["biTaskStatus"] == "AS"
    assert desk.call("find-all-pending-tasks-order-by-team-and-due-date")["resources"] == []


@pytest.mark.shows("people/my-tasks")
def test_my_tasks_are_the_open_tasks_that_are_assigned_to_the_user(desk: Desk) -> None:
    mine, other = desk.task("L-1"), desk.task("L-2")
    desk.call("claim", id=mine, user="ann")
    desk.call("claim", id=other, user="al")
    assert [task["id"] for task in desk.call("my-tasks", user="ann")["resources"]] == [mine]
    desk.call("set-task-completed", id=mine, user="ann")
    assert desk.call("my-tasks", user="ann")["resources"] == []
    assert [task["id"] for task in desk.call("my-tasks", user="ann", includeOver=True)["resources"]] == [mine]
    assert desk.call("my-tasks")["resources"] == []


@pytest.mark.shows("people/one-task")
def test_the_task_of_a_step_is_found_only_if_there_is_exactly_one(desk: Desk) -> None:
    desk.begin()
    wanted = {"taskList": "L-1", "processStep": "BADGE"}
    method = "find-one-task-by-task-list-and-process-step-code"
    assert desk.refused(method, **wanted) == (422, "not-exactly-one", "$.params.processStep")
    added = desk.add("BADGE")
    assert desk.call(method, **wanted)["resource"] == added
    desk.add("BADGE")
    assert desk.refused(method, **wanted)[1] == "not-exactly-one"
    assert desk.refused(method, taskList="L-2", processStep="BADGE")[:2] == (404, "task-list-not-found")


@pytest.mark.shows("people/get-by-id")
def test_a_task_found_by_id_equals_the_task_in_its_list(desk: Desk) -> None:
    id, other = desk.task("L-1"), desk.task("L-2")
    desk.call("claim", id=id, user="ann")
    for code, wanted in (("L-1", id), ("L-2", other)):
        (listed,) = desk.call("find-all-tasks-by-task-list", taskList=code)["resources"]
        assert desk.call("get-by-id", id=wanted)["resource"] == listed
        assert (listed["id"], listed["taskList"]) == (wanted, code)


@pytest.mark.shows("people/team", "people/find-team")
def test_a_team_is_found_or_null(desk: Desk) -> None:
    desk.call("put-team", code="HR", description="Human resources", department="HQ")
    assert desk.call("find-team-by-code", code="HR")["resource"] == {
        "resourceType": "WFTeam",
        "code": "HR",
        "description": "Human resources",
        "department": "HQ",
    }
    assert desk.call("find-team-by-code", code="NONE")["resource"] is None
    assert desk.call("put-team", code="X" * 8, description="x")["resource"]["department"] is None
    assert desk.refused("put-team", code="X" * 9, description="x")[2] == "$.params.code"
    # The code is the key: another call with it replaces the team.
    desk.call("put-team", code="HR", description="Personnel")
    assert desk.call("find-team-by-code", code="HR")["resource"]["description"] == "Personnel"


@pytest.mark.shows("people/membership", "people/is-member", "people/save-teams")
def test_saved_team_memberships_replace_earlier_ones(desk: Desk) -> None:
    def teams() -> list[bool]:
        return [desk.call("is-user-part-of-the-team", user="ann", team=team)["result"] for team in ("HR", "IT")]

    assert teams() == [True, False]
    assert desk.call("save-team-memberships", user="ann", teams=["IT"])["teams"] == ["IT"]
    assert teams() == [False, True]
    assert desk.call("save-team-memberships", user="ann", teams=["IT", "IT"])["teams"] == ["IT"]
    assert desk.server.query("select team from fencepost.people_members where member = 'ann'") == [("IT",)]
    assert desk.refused("save-team-memberships", user="ann", teams=["HR", "XX"]) == (
        400,
        "invalid-params",
        "$.params.teams[1]",
    )
    assert teams() == [False, True]
    assert desk.call("is-user-part-of-the-team", user="ann", team="XX")["result"] is False


@pytest.mark.shows("people/save-teams-raced")
def test_one_of_several_concurrent_saves_is_kept_whole(desk: Desk) -> None:
    """The result is not a mixture, and no call fails because of a team that the other call has just joined."""
    teams = [["HR"], ["IT"], ["HR", "IT"], ["IT", "HR"]]
    contacts = [[{"code": name, "description": ""} for name in names] for names in (["a"], ["b", "c"], ["d"], [])]

    def save(number: int) -> None:
        desk.call("save-team-memberships", user="ann", teams=teams[number])
        desk.call("put-partner", code="acme", contacts=contacts[number])

    def kept(table: str, column: str, owner: str) -> list[str]:
        return [
            code for (code,) in desk.server.query(f"select {column} from fencepost.{table} where {owner} order by 1")
        ]

    with ThreadPoolExecutor(4) as threads:
        for _ in range(15):
            list(threads.map(save, range(4)))
            desk.call("save-team-memberships", user="ann", teams=[])
            desk.call("put-partner", code="acme", contacts=[])
            list(threads.map(save, range(2)))
            assert len(kept("people_members", "team", "member = 'ann'")) == 1
            assert kept("people_contacts", "code", "partner = 'acme'") in (["a"], ["b", "c"])


@pytest.mark.shows("people/open-page")
def test_open_page_returns_the_page_of_the_step(desk: Desk) -> None:
    id = desk.task()
    assert desk.call("open-page", id=id)["page"] == "https://hr/ask"
    assert desk.call("open-page", id=desk.add("BADGE")["id"])["page"] is None


@pytest.mark.shows("people/mail")
def test_a_mail_message_is_linked_to_a_task_once(desk: Desk) -> None:
    id = desk.task()
    for message in ("<1@x>", "<2@x>", "<1@x>"):
        linked = desk.call("add-task-mail", id=id, mailMessage=message)
    assert linked == {"wfTask": id, "mailMessages": ["<1@x>", "<2@x>"]}
    assert desk.call("find-all-task-mails", id=id) == linked
    first = desk.call("find-all-task-mails", id=id, limit=1)
    assert first == {"wfTask": id, "mailMessages": ["<1@x>"], "next": "<1@x>"}
    rest = desk.call("find-all-task-mails", id=id, limit=1, after=first["next"])
    assert rest == {"wfTask": id, "mailMessages": ["<2@x>"]}


@pytest.mark.shows("people/reference")
def test_a_task_keeps_its_reference_to_a_domain_object(desk: Desk) -> None:
    id = desk.task()
    task = desk.call("set-task-reference-entity", id=id, domainObjectKey="93", domainObjectCode="P-93")["resource"]
    assert (task["domainObjectKey"], task["domainObjectCode"]) == ("93", "P-93")
    assert desk.call("set-task-progress", id=id, progressMessage="x")["resource"]["domainObjectKey"] == "93"
    assert desk.call("set-task-reference-entity", id=id)["resource"]["domainObjectKey"] is None
