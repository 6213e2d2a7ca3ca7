"""Payloads are stored without pglz, the compression that costs more CPU than everything else about a large task."""

from __future__ import annotations

import psycopg
import pytest

from fencepost.store import migrations
from fencepost.store.migrations import migrate
from tests.fixtures.history import until_maintained
from tests.fixtures.servers import Server, running_server

# Postgres compresses what is larger than 2 KB.
LARGE = {"rows": [{"name": f"row {number}", "price": number} for number in range(500)]}
_PAYLOADS = """
    select c.relname, a.attname, a.attstorage::text, a.attcompression::text
    from pg_attribute as a
    join pg_class as c on c.oid = a.attrelid
    where c.relnamespace = 'fencepost'::regnamespace and a.atttypid = 'json'::regtype and c.relkind in ('r', 'p')
        and c.relname ~ '^(live|done)_(tasks|workflows)|^task_log|^events$'
"""


def storage(conninfo: str) -> dict[tuple[str, str], tuple[str, str]]:
    """Return storage and compression of each payload column."""
    with psycopg.connect(conninfo) as connection:
        return {(table, column): (kind, by) for table, column, kind, by in connection.execute(_PAYLOADS)}


def test_no_payload_of_a_life_cycle_is_compressed_by_pglz(server: Server) -> None:
    server.define(allowedRetryCount=1, retryDelay=0)
    lease = server.started(params=LARGE)
    server.rpc("awf.task/fail", {**lease, "error": LARGE})
    (again,) = server.rpc("awf.task/long-poll", {"taskDefinitions": ["demo/resize"], "start": True})["resources"]
    live = server.query("select pg_column_compression(params), pg_column_size(params) from fencepost.live_tasks")
    server.rpc("awf.task/success", {"id": again["id"], "execId": again["execId"], "result": LARGE})
    done = server.query("select pg_column_compression(params), pg_column_compression(result) from fencepost.done_tasks")
    logged = server.query("select pg_column_compression(action_params) from fencepost.task_log")
    assert live[0][1] > 2000
    assert "pglz" not in {live[0][0], *done[0], *(by for (by,) in logged)}
    assert server.task(lease["id"])["params"] == server.task(lease["id"])["result"] == LARGE


def test_old_and_new_partitions_store_payloads_alike(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = migrations.migrations()
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "migrations", lambda: files[:19])
        migrate(empty_database)
    with psycopg.connect(empty_database) as connection:
        connection.execute(
            "create table fencepost.done_tasks_old partition of fencepost.done_tasks"
            " for values from ('2026-01-01') to ('2026-01-02')"
        )
    before = storage(empty_database)
    migrate(empty_database)
    with running_server(empty_database) as server:
        until_maintained(server)
        after = storage(empty_database)
    new = {table for table, _ in after} - {table for table, _ in before}
    assert len([table for table in new if table.startswith("done_tasks_")]) >= 2
    assert ("done_tasks_old", "params") in after
    assert set(before.values()) == {("x", "")}
    assert len(set(after.values())) == 1
    assert set(after.values()) != set(before.values())
