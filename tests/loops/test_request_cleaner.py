"""The requestIds of polls are kept while one of their leases is held, and deleted afterwards."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fencepost.clock import FrozenClock
from tests.fixtures.servers import Server

KEPT = "select request_id from fencepost.poll_requests order by request_id"


@pytest.fixture
def server(frozen_server: Server) -> Server:
    frozen_server.define(inProgressTimeout=3_600_000)
    return frozen_server


def clean(server: Server) -> list[str]:
    """Run the cleaner, and return the requestIds that it kept."""
    cleaning = next(loop for loop in server.app.background.loops if loop.name == "request-cleaner")
    server.run(cleaning._step())  # type: ignore[arg-type]
    return [request_id for (request_id,) in server.query(KEPT)]


def test_a_request_id_is_deleted_when_its_last_lease_has_ended(server: Server, clock: FrozenClock) -> None:
    for _ in range(3):
        server.create()
    pair = server.poll(maxBatchSize=2, requestId="pair", start=True)
    (one,) = server.poll(requestId="one", start=True)
    finished, other = ({"id": task["id"], "execId": task["execId"]} for task in pair)
    server.rpc("awf.task/success", finished)
    server.rpc("awf.task/release", {"id": one["id"], "execId": one["execId"]})

    assert clean(server) == ["one", "pair"], "a minute must pass"
    clock.advance(timedelta(minutes=2))
    assert clean(server) == ["pair"]
    assert [task["execId"] for task in server.poll(maxBatchSize=2, requestId="pair", start=True)] == [other["execId"]]
    server.rpc("awf.task/fail", other)
    assert clean(server) == []


def test_a_poll_without_a_request_id_or_without_tasks_writes_no_row(server: Server) -> None:
    server.poll(requestId="empty")
    server.create()
    server.poll()
    assert server.query(KEPT) == []


def test_the_cleaner_deletes_all_that_are_due_in_batches(server: Server, clock: FrozenClock) -> None:
    server.query(
        "insert into fencepost.poll_requests (caller, request_id, hash, prefix, seqs, claimed_at)"
        " select 'caller', n, '', '', '{1,2,3}', '2026-01-01Z' from generate_series(1, 250) as n"
    )
    clock.advance(timedelta(minutes=2))
    assert len(clean(server)) == 150
    assert len(clean(server)) == 50
    assert clean(server) == []


def test_the_cleaner_looks_at_each_row_once_in_a_pass(server: Server, clock: FrozenClock) -> None:
    server.create()
    server.poll(start=True)
    server.query(
        "insert into fencepost.poll_requests (caller, request_id, hash, prefix, seqs, claimed_at)"
        " select 'caller', to_char(n, 'FM0000'), '', left(exec_id::text, 18), array[seq], '2026-01-01Z'"
        " from fencepost.live_tasks, generate_series(1, 150) as n"
    )
    server.query("update fencepost.poll_requests set prefix = '' where request_id > '0120'")
    clock.advance(timedelta(minutes=2))
    assert len(clean(server)) == 150, "the first batch holds the lease"
    assert len(clean(server)) == 120, "the second batch goes on after the first"
    server.query("update fencepost.poll_requests set prefix = '' where request_id <= '0010'")
    assert len(clean(server)) == 110, "the next pass begins at the first row"
