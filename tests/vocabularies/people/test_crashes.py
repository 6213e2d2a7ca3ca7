"""kill -9 while users claim and complete tasks: each task is claimed once, and no command is half done."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fencepost.store.check import check
from tests.fixtures.processes import Client, Process, serving
from tests.fixtures.servers import CallRefused
from tests.fixtures.surface import CHECKS
from tests.fixtures.waiting import until

LISTS = 60
USERS = [f"user-{number}" for number in range(6)]
# Numbers of events after which a server is killed; each task has three.
KILLS = (30, 70, 110)


@pytest.fixture
def folders() -> Iterator[list[Path]]:
    """A folder for each server."""
    with tempfile.TemporaryDirectory(prefix="fencepost-", ignore_cleanup_errors=True) as name:
        made = [Path(name) / "one", Path(name) / "other"]
        for folder in made:
            folder.mkdir()
        yield made


def test_killed_servers_leave_no_half_done_claim(database: str, folders: list[Path]) -> None:
    arguments = ("--database-url", database)
    with serving(folders[0], *arguments) as one, serving(folders[1], *arguments) as other:
        with Client(one.port) as client:
            ids = _prepared(client)
        with ThreadPoolExecutor(len(USERS) + 1) as threads:
            desks = [threads.submit(_at_desk, ports, user, ids) for ports, user in _ports(one, other)]
            threads.submit(_kill, one, database).result()
            claimed = Counter(id for desk in desks for id in desk.result())
        assert claimed == Counter(ids)
        with Client(other.port) as client:
            tasks = [_people(client, "get-by-id", id=id)["resource"] for id in ids]
        assert {task["biTaskStatus"] for task in tasks} == {"CO"}
    assert [one for part in check(database, CHECKS) for one in part.differences] == []


def _prepared(client: Client) -> list[str]:
    _people(client, "put-team", code="HR", description="HR")
    for user in USERS:
        _people(client, "save-team-memberships", user=user, teams=["HR"])
    step = {"code": "ASK", "assignToTeam": "HR", "createAtProcessStart": True}
    process = {"kind": "process", "name": "hr/onboard", "department": "HR", "crossDepartment": False, "steps": [step]}
    client.call("awf.definition/put", process)
    lists = [_people(client, "create-task-list", process="hr/onboard", code=f"L-{n}") for n in range(LISTS)]
    return [begun["tasks"][0]["id"] for begun in lists]


def _at_desk(ports: tuple[int, int], user: str, ids: list[str]) -> list[str]:
    """Claim every task, complete those that the user got, and return them."""
    mine = []
    with Client(*ports) as client:
        for id in ids:
            if _tried(client, "claim", "people-task-taken", id=id, user=user):
                mine.append(id)
                # The client repeats the call when the first reply was lost.
                _people(client, "set-task-completed", id=id, user=user)
    return mine


def _kill(process: Process, database: str) -> None:
    """Kill a server several times, each time while the users are at work."""
    with psycopg.connect(database, autocommit=True) as connection:
        for events in KILLS:
            until(partial(_has, connection, events), 30)
            process.kill()
            process.start()


def _has(connection: psycopg.Connection, events: int) -> bool:
    ((count,),) = connection.execute("select count(*) from fencepost.people_events").fetchall()
    return int(count) >= events


def _ports(one: Process, other: Process) -> list[tuple[tuple[int, int], str]]:
    there, back = (one.port, other.port), (other.port, one.port)
    return [(back if number % 2 else there, user) for number, user in enumerate(USERS)]


def _tried(client: Client, method: str, refusal: str, **params: Any) -> bool:
    """Call a method; return False when it is refused with this error type."""
    try:
        _people(client, method, **params)
    except CallRefused as refused:
        if refused.fault["type"] != refusal:
            raise
        return False
    return True


def _people(client: Client, method: str, **params: Any) -> Any:
    return client.call(f"awf.people/{method}", params)
