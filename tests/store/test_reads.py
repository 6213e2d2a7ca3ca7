"""Slow reads wait for each other, end in time, and block nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from fencepost.settings import Settings
from tests.fixtures.devices import Fleet
from tests.fixtures.servers import Server, running_server
from tests.fixtures.taskflows import Caller, flow
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/reads-never-starve")

READERS = 20


@contextmanager
def stuck(server: Server, readers: int) -> Iterator[list[Future[tuple[int, dict[str, str], bytes]]]]:
    """Send `readers` list calls that are blocked by a lock until the block ends."""
    list_ = b'{"method": "awf.schedule/list"}'
    with ThreadPoolExecutor(readers) as pool, psycopg.connect(server.conninfo) as holder:
        holder.execute("lock table fencepost.schedules")
        asked = [
            pool.submit(server.send, "POST", "/rpc", list_, content_type="application/json") for _ in range(readers)
        ]
        until(lambda: waiting(server) > 0)
        yield asked


def waiting(server: Server) -> int:
    return len(
        server.query("select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")
    )


def test_slow_reads_do_not_delay_polls_heartbeats_or_finishes(database: str) -> None:
    with running_server(database, settings=Settings(read_connections=2, read_seconds=60)) as server:
        queue_goes_on_while_reads_are_stuck(server)


def queue_goes_on_while_reads_are_stuck(server: Server) -> None:
    server.define()
    lease = server.started()

    with stuck(server, READERS) as asked:
        assert server.rpc("awf.task/notify", {**lease, "notification": "heartbeat"})["inProgressTimeoutAt"]
        assert server.rpc("awf.task/success", lease)["resource"]["status"] == "done"
        assert server.rpc("awf.task/success", server.started())["resource"]["status"] == "done"
        assert server.send("GET", "/readyz")[0] == 200
        assert not any(one.done() for one in asked)
        assert waiting(server) == 2, "no more of them may be busy in Postgres"

    assert {one.result()[0] for one in asked} == {200}


def test_a_slow_read_is_refused_and_a_queued_read_gets_a_retry_after(database: str) -> None:
    settings = Settings(read_connections=1, read_seconds=0.4)
    with running_server(database, settings=settings) as server, stuck(server, READERS) as asked:
        statuses = [one.result()[0] for one in asked]

        assert set(statuses) == {422, 503}
        late, turned_away = (asked[statuses.index(status)].result() for status in (422, 503))
        assert b'"type":"read-too-long"' in late[2]
        assert b'"type":"unavailable"' in turned_away[2]
        assert turned_away[1]["retry-after"] == "1"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("awf.task/list", {"filter": {"ilike": "x"}}),
        ("awf.workflow/list", {}),
        ("awf.definition/list", {}),
        ("awf.trigger/list", {}),
        ("awf.taskflow/list", {}),
        ("awf.device/list", {}),
        ("awf.hardware/list", {}),
        ("awf.machine/list", {}),
    ],
)
def test_every_list_method_uses_a_read_connection(server: Server, method: str, params: dict[str, object]) -> None:
    before = server.app.database.reads.jobs_taken

    server.rpc(method, params)

    assert server.app.database.reads.jobs_taken > before


def test_reads_of_flows_and_runs_use_a_read_connection(server: Server) -> None:
    caller, fleet = Caller(server), Fleet(server)
    for _ in range(2):
        caller.produce(flow(["a"]))
    run = fleet.begin()["id"]
    reads = server.app.database.reads
    looks: list[tuple[Callable[[], Any], int]] = [
        (lambda: server.rpc("awf.taskflow/list", {}), 2),
        (lambda: fleet.call("GET", f"/workflows/{fleet.name}/runs"), 4),
        (lambda: fleet.run(run), 2),
    ]
    for read, jobs in looks:
        before = reads.jobs_taken
        read()
        assert reads.jobs_taken == before + jobs
