"""Tasks from before a change of the tables are unchanged by the migration and continue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from fencepost.domain.ids import seq_of
from fencepost.store import migrations
from fencepost.store.migrations import migrate
from tests.fixtures.servers import Server, running_server

CREATE = "awf.task/create-and-execute"
EXEC_ID = "aac4c869-daa4-45fb-917a-46fe14359ed4"
# One task in each state and with each outcome, as 0001 and 0002 keep them; `at(n)` is n minutes after some noon.
_BEFORE = f"""
create function pg_temp.at(n integer) returns timestamptz language sql
return timestamptz '2026-01-01T12:00:00Z' + n * interval '1 minute';

insert into fencepost.definitions
    (name, version, kind, document, is_newest, requested_to_start_timeout, in_progress_timeout, allowed_retry_count,
     retry_delay, has_result_schema, has_error_schema, created_at, created_by)
values ('demo/resize', 1, 'task', '{{"kind": "task", "name": "demo/resize"}}', true, '10 s', '2 min', 2, '10 s', false,
        false, now(), 'test');

insert into fencepost.tasks
    (id, definition, definition_version, label, params, execute_at, requester, created_by, created_at)
select
    name, 'demo/resize', 1, 'the ' || name, '{{"b":1, "a": 2.50}}',
    case when name in ('waiting', 'failed') then pg_temp.at(60) end, '{{"id": "somebody"}}', 'creator', pg_temp.at(0)
from unnest(array['waiting', 'ready', 'requested', 'running', 'succeeded', 'failed', 'canceled', 'told']) as n (name);

insert into fencepost.live_tasks
    (seq, definition, status, version, retry_count, exec_id, execute_at, ready_at, deadline_at, updated_at, worker,
     held_by, request_id, request_hash, limit_key)
select
    t.seq, t.definition, l.status, case when leased then 2 else 1 end, 0, case when leased then '{EXEC_ID}'::uuid end,
    t.execute_at, coalesce(t.execute_at, t.created_at),
    case when leased then now() + interval '1 hour' else t.execute_at end, pg_temp.at(1),
    case when leased then 'w-1' end, case when leased then 'local' end, case when leased then 'r-' || id end,
    case when leased then 'hash' end, case when leased then '-' end
from fencepost.tasks as t
join (
    values ('waiting', 'waiting', false), ('ready', 'ready', false), ('requested', 'requested', true),
        ('running', 'in-progress', true)
) as l (id, status, leased) using (id);

insert into fencepost.done_tasks
    (seq, version, action, done_by, status_before, outcome, reason_type, reason_message, result, error, exec_id,
     retry_count, execute_at, worker, done_at, cancel_delivered_at, cancel_delivered_to, cancel_delivery)
select
    t.seq, 3, 'awf.task/' || d.verb, 'ender', 'in-progress', d.outcome, d.reason, d.reason, d.result, d.error,
    '{EXEC_ID}', 1, t.execute_at, 'w-1', pg_temp.at(3), d.told, case when d.told is not null then 'teller' end,
    case when d.told is not null then '{{"notification": "heartbeat"}}'::json end
from fencepost.tasks as t
join (
    values ('succeeded', 'success', 'succeeded', null, '{{"rows": 1}}'::json, null::json, null::timestamptz),
        ('failed', 'fail', 'failed', 'a-reason', null, '{{"why": "disk"}}', null),
        ('canceled', 'cancel', 'canceled', null, null, null, null),
        ('told', 'cancel', 'canceled', null, null, null, pg_temp.at(4))
) as d (id, verb, outcome, reason, result, error, told) using (id);

insert into fencepost.task_log
    (seq, version, at, action, action_params, caller, worker, status_before, status, exec_id, retry_count, execute_at,
     deadline_at)
select
    t.seq, 2, pg_temp.at(2), 'awf.task/poll', null, 'poller', 'w-1', 'ready',
    case when id = 'requested' then 'requested' else 'in-progress' end, '{EXEC_ID}', 1, t.execute_at, pg_temp.at(5)
from fencepost.tasks as t where t.id not in ('waiting', 'ready');
"""
# Columns that the views of version 2 do not have.
_NEW = ',"workflow_seq":null,"decides":false,"settings":null'
_RESOURCES = "select {columns} from fencepost.task_resources as r order by seq"
_ENTRIES = "select {columns} from fencepost.task_entries as r order by seq, version"


@pytest.fixture
def seen(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Rows of the views at version 2, before the database was migrated to the newest version."""
    files = migrations.migrations()
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "migrations", lambda: files[:2])
        migrate(empty_database)
    with psycopg.connect(empty_database) as connection:
        connection.execute(_BEFORE)
    before = views(empty_database)
    migrate(empty_database)
    return before


@pytest.fixture
def server(seen: list[Any], empty_database: str) -> Iterator[Server]:
    """A server on the migrated database."""
    with running_server(empty_database) as running:
        yield running


def views(conninfo: str) -> list[Any]:
    """Return all rows of both views as JSON text."""
    with psycopg.connect(conninfo) as connection:
        return [
            [row.replace(_NEW, "") for (row,) in connection.execute(query.format(columns="to_json(r)::text").encode())]
            for query in (_RESOURCES, _ENTRIES)
        ]


def test_migrated_tasks_and_logs_are_unchanged(seen: list[Any], empty_database: str) -> None:
    resources, entries = seen
    assert (len(resources), len(entries)) == (8, 8 + 6 + 4 + 1)
    assert views(empty_database) == seen


def test_a_repeated_create_finds_the_migrated_task(server: Server) -> None:
    for (id,) in server.query("select id from fencepost.task_resources"):
        task = server.task(id)
        said = {"definition": "demo/resize", "id": id, "label": f"the {id}", "params": {"a": 2.5, "b": 1}}
        if id in ("waiting", "failed"):
            assert server.refused(CREATE, said)[1] == "already-exists"
            said["executeAt"] = "2026-01-01T13:00:00Z"
        assert server.rpc(CREATE, said)["resource"] == task


def test_a_migrated_lease_keeps_the_request_id_of_its_poll(server: Server) -> None:
    poll = {"taskDefinitions": ["demo/resize"], "requestId": "r-running"}
    assert server.refused("awf.task/poll", poll)[:2] == (409, "request-id-reused")


def test_migrated_leases_continue(server: Server) -> None:
    lease = {"id": "requested", "execId": EXEC_ID}
    assert server.rpc("awf.task/start", lease)["resource"]["status"] == "in-progress"
    assert server.rpc("awf.task/success", {"id": "running", "execId": EXEC_ID})["resource"]["status"] == "done"
    assert server.rpc("awf.task/fail", lease)["resource"]["status"] == "waiting"
    assert server.rpc("awf.task/retry", {"id": "told"})["resource"]["status"] == "ready"
    assert [entry["action"] for entry in server.log("told")[-3:]] == [
        "awf.task/cancel",
        "awf.task/notify",
        "awf.task/retry",
    ]


def test_new_tasks_are_numbered_after_migrated_tasks(server: Server) -> None:
    ((last,),) = server.query("select max(seq) from fencepost.task_resources")
    assert seq_of(server.create()["id"]) == last + 1
