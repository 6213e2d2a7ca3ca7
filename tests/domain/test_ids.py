"""Ids: callers choose names, the server generates ids with a sequence number; neither form passes for the other."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import orjson
import pytest

from fencepost.domain.ids import ExecId, IdKind, new_prefixes, prefix_of, seq_of
from fencepost.store.connection import Connection, connect, fetch
from fencepost.store.statements import statement
from tests.fixtures.locks import until_stuck
from tests.fixtures.servers import Server

CREATE = "awf.task/create-and-execute"
OWN = "0d1f5d39-5d5b-8c3f-8000-000000000001"


def test_only_an_exec_id_in_the_form_of_the_server_has_a_kind() -> None:
    assert ExecId.of(UUID(OWN.replace("8000", "8001"))).kind is IdKind.DECISION
    # A random UUID, as older servers generated it.
    assert ExecId.of(UUID("aaaaaaaa-aaaa-4aaa-8001-000000000001")).kind is IdKind.PLAIN


@pytest.fixture(autouse=True)
def definition(server: Server) -> None:
    server.define()


@pytest.mark.parametrize(("id", "seq"), [(OWN, 1), ("ffffffff-ffff-8fff-8000-ffffffffffff", 2**48 - 1)])
def test_a_generated_id_contains_its_sequence_number(id: str, seq: int) -> None:
    assert seq_of(id) == seq


@pytest.mark.parametrize(
    "id",
    [
        "mine",
        OWN[:-1],
        OWN + "0",
        OWN + "\n",
        OWN.upper(),
        OWN.replace("8c3f", "4c3f"),
        OWN.replace("8000", "9000"),
        OWN.replace("1", "_"),
    ],
)
def test_an_id_in_another_format_has_no_sequence_number(id: str) -> None:
    assert seq_of(id) is None


@pytest.mark.parametrize(
    ("exec_id", "seq"),
    [
        (OWN, 1),
        ("ffffffff-ffff-8fff-8000-ffffffffffff", 2**48 - 1),
        (OWN.replace("8c3f", "4c3f"), None),
        (OWN.replace("8000", "8003"), None),
        (OWN.replace("8000", "9000"), None),
    ],
)
def test_an_exec_id_carries_the_number_of_its_task_too(exec_id: str, seq: int | None) -> None:
    assert ExecId.of(UUID(exec_id)).seq == seq


def test_a_task_created_without_an_id_gets_a_generated_id(server: Server) -> None:
    ids = [server.create()["id"] for _ in range(3)]
    seqs = [seq for (seq,) in server.query("select seq from fencepost.live_tasks order by seq")]
    assert [seq_of(id) for id in ids] == seqs
    assert len({prefix_of(id) for id in ids}) == 3
    assert [server.task(id)["id"] for id in ids] == ids


def test_generated_prefixes_are_distinct_and_form_valid_ids() -> None:
    prefixes = set(new_prefixes(1000))
    assert len(prefixes) == 1000
    assert all(seq_of(f"{prefix}-8000-00000000000a") == 10 for prefix in prefixes)


def test_a_forged_id_with_the_sequence_number_of_a_task_finds_no_task(server: Server) -> None:
    id = server.create()["id"]
    made_up = new_prefixes(1)[0] + id[18:]
    assert server.refused("awf.task/status", {"id": made_up}) == (404, "task-not-found", "$.params.id")
    assert server.refused("awf.task/cancel", {"id": made_up}) == (404, "task-not-found", "$.params.id")
    assert server.task(id)["status"] == "ready"


def test_a_create_with_an_id_in_the_server_format_is_refused(server: Server) -> None:
    server.create()
    params = {"definition": "demo/resize", "id": OWN}
    assert server.refused(CREATE, params) == (400, "invalid-params", "$.params.id")
    assert server.query("select count(*) from fencepost.live_tasks") == [(1,)]


def test_a_create_with_a_generated_id_returns_the_existing_task(server: Server) -> None:
    task = server.create(params={"width": 1})
    again = {"definition": "demo/resize", "id": task["id"]}
    assert server.rpc(CREATE, {**again, "params": {"width": 1}})["resource"] == task
    assert server.refused(CREATE, {**again, "params": {"width": 2}}) == (409, "already-exists", "$.params.id")


def test_a_batch_of_creates_stores_each_chosen_id_and_one_prefix_for_the_others(connection: Connection) -> None:
    ids = ["mine", None, "yours", None, None]
    calls = [creating(number, id) for number, id in enumerate(ids)]
    rows = fetch(connection, statement("tasks/create"), {"calls": text(calls), "now": None})
    assert [row[0] for row in rows] == [0, 1, 2, 3, 4]
    names = connection.execute("select n.id from fencepost.task_names as n order by n.seq").fetchall()
    assert names == [("mine",), (f":{calls[1]['prefix']}",), ("yours",)]


def test_a_repeated_batch_of_creates_creates_nothing_and_finds_its_tasks(connection: Connection) -> None:
    calls = [creating(number, id) for number, id in enumerate(["mine", None, None])]
    first = fetch(connection, statement("tasks/create"), {"calls": text(calls), "now": None})
    fetch(connection, statement("tasks/create"), {"calls": text([creating(0, None)]), "now": None})
    again = fetch(connection, statement("tasks/create"), {"calls": text(calls), "now": None})

    assert connection.execute("select count(*) from fencepost.live_tasks").fetchone() == (4,)
    assert [(row[0], row[5]) for row in again] == [(1, None), (2, None)]
    for made, row in zip(first[1:], again, strict=True):
        before = {"prefix": prefix_of(row[2]), "before": seq_of(row[2])}
        (found,) = fetch(connection, statement("tasks/find_previous_create"), before)
        assert found[1:] == made[1:]


def test_a_repeated_batch_of_creates_waits_for_its_first_run(
    server: Server, connection: Connection, pool: ThreadPoolExecutor
) -> None:
    params = {"calls": text([creating(0, None)]), "now": None}
    with connect(server.conninfo) as first:
        with first.transaction():
            (made,) = fetch(first, statement("tasks/create"), params)
            again = pool.submit(fetch, connection, statement("tasks/create"), params)
            until_stuck(server.conninfo, again)
        ((*_, id, _, _, status),) = [row[:6] for row in again.result(10)]
        assert status is None
        (found,) = fetch(
            first, statement("tasks/find_previous_create"), {"prefix": prefix_of(id), "before": seq_of(id)}
        )
    assert found[1:] == made[1:]


@pytest.fixture
def connection(server: Server) -> Iterator[Connection]:
    """A connection with the session settings of the store."""
    with connect(server.conninfo) as connection:
        yield connection


def creating(call: int, id: str | None) -> dict[str, Any]:
    named = {"id": id, "prefix": None} if id else {"id": (prefix := new_prefixes(1)[0]), "prefix": prefix}
    return {"call": call, **named, "definition": "demo/resize", "version": 1, "requester": {}, "caller": "test"}


def text(calls: list[dict[str, Any]]) -> str:
    return orjson.dumps(calls).decode()
