"""Retention of people tasks: events, notes and mails are deleted with their list."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from fencepost.clock import FrozenClock
from fencepost.settings import Settings
from fencepost.store.check import check
from tests.fixtures.history import HOUR, maintain_partitions, until_maintained
from tests.fixtures.people import Desk
from tests.fixtures.servers import Server, running_server
from tests.fixtures.surface import CHECKS


@pytest.fixture
def server(new_database: str, clock: FrozenClock) -> Iterator[Server]:
    """A server that keeps history for ten hours."""
    with running_server(new_database, clock, Settings(retention=10 * HOUR, lease_grace_seconds=0)) as running:
        until_maintained(running)
        yield running


def test_retention_deletes_the_events_of_a_list_with_the_list(server: Server, clock: FrozenClock) -> None:
    desk = Desk(server)
    over, live = desk.task("L-1"), desk.task("L-2")
    for id in (over, live):
        desk.call("claim", id=id, user="ann")
        desk.call("set-task-completed", id=id, user="ann")
        desk.call("add-task-mail", id=id, mailMessage="<1@x>")
    desk.call("close-task-list", code="L-1")
    for _ in range(4):
        clock.advance(timedelta(hours=10))
        maintain_partitions(server)
    assert desk.current(live) == ("CO", "HR", "ann")
    assert [event[0] for event in desk.events(live)] == ["AS", "HR", "CO"]
    assert desk.refused("get-by-id", id=over)[0] == 404
    for table in ("people_tasks", "people_mails"):
        assert server.query(f"select count(*) from fencepost.{table}") == [(1,)]
    assert server.query("select count(*) from fencepost.people_events") == [(3,)]
    assert [one for part in check(server.conninfo, CHECKS) for one in part.differences] == []
