"""The states of a task are defined in Python, in Postgres, on the wire and in the docs; all four agree."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import get_args, get_type_hints

import psycopg
import pytest

from fencepost.domain.transitions import OUTCOMES, SNAPSHOTS, STATUSES, TRANSITIONS
from fencepost.domain.workflow import STATUSES as WORKFLOW_STATUSES
from fencepost.resources.tasks import AidboxTask
from fencepost.resources.workflows import AidboxWorkflow
from fencepost.rpc.methods import workflow
from fencepost.rpc.methods.task import OutcomeName, Status
from fencepost.store.connection import Connection, connect
from tests.house.sources import DOCS

_LOG = """
    insert into fencepost.task_log (seq, version, at, action, caller, status_before, status, retry_count)
    values (%s, 1, now(), %s, 'test', %s, %s, 0)
"""


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    """A connection with the session settings of the store."""
    with connect(database) as connection:
        yield connection


def test_the_log_accepts_exactly_the_transitions_of_the_domain(connection: Connection) -> None:
    assert _taken(connection, "test") == TRANSITIONS


def test_a_snapshot_entry_keeps_the_status_of_a_live_task(connection: Connection) -> None:
    assert _taken(connection, "awf.engine/snapshot") - TRANSITIONS == SNAPSHOTS - TRANSITIONS
    assert {one for ways in SNAPSHOTS for one in ways} == set(STATUSES) - {"done"}


def test_the_diagram_shows_exactly_the_transitions_of_the_domain() -> None:
    assert _drawn() == TRANSITIONS


def test_a_live_task_has_every_state_but_done(connection: Connection) -> None:
    assert set(_words_of(connection, "live_tasks_status")) == set(STATUSES) - {"done"}


def test_a_done_task_has_one_of_the_outcomes(connection: Connection) -> None:
    assert set(_words_of(connection, "done_tasks_outcome")) == set(OUTCOMES)


def test_the_wire_structs_have_the_states_and_outcomes_of_the_domain() -> None:
    members = get_type_hints(AidboxTask, include_extras=True)
    assert get_args(Status) == get_args(members["status"]) == STATUSES
    assert get_args(OutcomeName) == OUTCOMES
    assert get_args(get_args(members["outcome"])[0]) == OUTCOMES


def test_a_workflow_has_the_states_and_outcomes_of_the_domain(connection: Connection) -> None:
    members = get_type_hints(AidboxWorkflow, include_extras=True)
    assert get_args(workflow.Status) == get_args(members["status"]) == WORKFLOW_STATUSES
    assert set(_words_of(connection, "done_workflows_outcome")) == set(OUTCOMES)


def test_the_concepts_page_explains_every_state() -> None:
    section = (DOCS / "concepts.md").read_text("utf-8").partition("## States")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE) == list(STATUSES)


def _taken(connection: Connection, action: str) -> set[tuple[str, str]]:
    """Return the transitions that the log accepts, out of every pair of states."""
    every = enumerate(itertools.product((*STATUSES, "lost"), repeat=2))
    return {(one, other) for seq, (one, other) in every if _violated(connection, seq, action, one, other) is None}


def _violated(connection: Connection, seq: int, action: str, before: str, after: str) -> str | None:
    """Insert a log entry and return the name of the violated check, or None."""
    try:
        connection.execute(_LOG, (seq, action, before, after))
    except psycopg.errors.CheckViolation as violation:
        return violation.diag.constraint_name
    return None


def _drawn() -> set[tuple[str, str]]:
    """Return the arrows of the Mermaid diagram between states."""
    diagram = re.search(r"```mermaid\nstateDiagram-v2\n(.*?)```", (DOCS / "concepts.md").read_text("utf-8"), re.DOTALL)
    assert diagram is not None
    names = {alias: name for name, alias in re.findall(r'state "([^"]+)" as (\w+)', diagram[1])}
    arrows = re.findall(r"^\s*(\S+) --> (\w+)", diagram[1], re.MULTILINE)
    return {(names.get(one, one), names.get(other, other)) for one, other in arrows if one != "[*]"}


def _words_of(connection: Connection, constraint: str) -> list[str]:
    """Return the texts that a check of the form `column in (…)` names."""
    rows = connection.execute(
        "select pg_get_constraintdef(oid) from pg_constraint where conname = %s", (constraint,)
    ).fetchall()
    return re.findall(r"'([^']+)'", rows[0][0])
