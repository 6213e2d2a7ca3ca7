"""The entry of a claim and of a start follows from the task's row, and is the same before and after the next change.

Each test reads the newest entry after each change. Later, the log must be exactly the entries that were read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from fencepost.clock import FrozenClock
from fencepost.store.check import check
from tests.fixtures.servers import FEW_CONNECTIONS, Server, pass_time, running_server

pytestmark = pytest.mark.shows("guarantees/log-is-state")


@dataclass
class Seen:
    """A task, and the entries of its log as they were when each was the newest."""

    server: Server
    clock: FrozenClock
    id: str
    exec_id: str = ""
    entries: list[Any] = field(default_factory=list)

    def look(self) -> None:
        """Read the newest entry, compare it with the task, and advance the clock."""
        log = self.server.log(self.id)
        assert log[:-1] == self.entries, "a change alters no earlier entry"
        task = self.server.task(self.id)
        assert (log[-1]["versionId"], log[-1]["status-after"]) == (task["meta"]["versionId"], task["status"])
        self.entries = log
        self.clock.advance(timedelta(seconds=1))

    def call(self, verb: str, **members: Any) -> None:
        """Call a method about the lease of the task."""
        self.server.rpc(f"awf.task/{verb}", {"id": self.id, "execId": self.exec_id, **members})
        self.look()

    def poll(self, **members: Any) -> None:
        """Lease the task."""
        (task,) = self.server.poll(**members)
        self.exec_id = task["execId"]
        self.look()

    def actions(self) -> list[tuple[str, str | None, str]]:
        """Return action, status before and status after of each entry."""
        return [(e["action"], e.get("status-before"), e["status-after"]) for e in self.entries]


@pytest.fixture
def seen(frozen_server: Server, clock: FrozenClock) -> Seen:
    frozen_server.define(
        requestedToStartTimeout=60_000, inProgressTimeout=120_000, allowedRetryCount=1, retryDelay=3000
    )
    made = Seen(frozen_server, clock, frozen_server.create(params={"n": 1})["id"])
    made.look()
    return made


def claimed(seen: Seen) -> None:
    seen.poll(worker="w-1")


def started(seen: Seen) -> None:
    seen.poll(worker="w-1")
    seen.call("start")


def claimed_and_started(seen: Seen) -> None:
    seen.poll(worker="w-1", start=True)


def claimed_by_id(seen: Seen) -> None:
    started = seen.server.app.engine.transitions.apply(seen.id, "start", caller="somebody", worker="by-hand")
    seen.exec_id = str(seen.server.run(started).exec_id)
    seen.look()


def released(seen: Seen) -> None:
    seen.call("release")


def canceled(seen: Seen) -> None:
    seen.server.rpc("awf.task/cancel", {"id": seen.id})
    seen.look()


def canceled_and_retried(seen: Seen) -> None:
    canceled(seen)
    seen.server.rpc("awf.task/retry", {"id": seen.id})
    seen.look()


def reaped(seen: Seen) -> None:
    pass_time(seen.server, seen.clock, 120_000)
    seen.look()


def reported(seen: Seen) -> None:
    seen.call("notify", notification="heartbeat")


def reported_and_succeeded(seen: Seen) -> None:
    reported(seen)
    reported(seen)
    seen.call("success")


def succeeded(seen: Seen) -> None:
    seen.call("success", result={"rows": 1})


def failed(seen: Seen) -> None:
    seen.call("fail", error={"message": "disk"})


def failed_for_good_and_retried(seen: Seen) -> None:
    failed(seen)
    pass_time(seen.server, seen.clock, 3000)
    seen.look()
    seen.poll(start=True)
    failed(seen)
    seen.server.rpc("awf.task/retry", {"id": seen.id})
    seen.look()
    seen.poll(start=True)
    succeeded(seen)


def timed_out_for_good(seen: Seen) -> None:
    reaped(seen)
    pass_time(seen.server, seen.clock, 60_000)
    seen.look()
    seen.poll(start=True)
    reaped(seen)


Step = Callable[[Seen], None]
_OF_A_CLAIM: list[Step] = [released, canceled, canceled_and_retried, reaped]
_OF_A_START: list[Step] = [
    *_OF_A_CLAIM,
    reported_and_succeeded,
    succeeded,
    failed,
    failed_for_good_and_retried,
    timed_out_for_good,
]


@pytest.mark.parametrize("change", _OF_A_CLAIM)
def test_a_change_after_a_claim_leaves_its_entry(seen: Seen, change: Step) -> None:
    claimed(seen)
    change(seen)

    assert seen.actions()[:2] == [
        ("awf.task/create-and-execute", None, "ready"),
        ("awf.task/poll", "ready", "requested"),
    ]
    complete(seen)


@pytest.mark.parametrize("change", _OF_A_START)
@pytest.mark.parametrize(
    ("begin", "expected"),
    [
        (started, [("awf.task/poll", "ready", "requested"), ("awf.task/start", "requested", "in-progress")]),
        (claimed_and_started, [("awf.task/poll", "ready", "in-progress")]),
        (claimed_by_id, [("awf.task/start", "ready", "in-progress")]),
    ],
)
def test_a_change_after_a_start_leaves_its_entries(
    seen: Seen, begin: Step, expected: list[tuple[str, str, str]], change: Step
) -> None:
    begin(seen)
    change(seen)

    assert seen.actions()[1 : 1 + len(expected)] == expected
    complete(seen)


def complete(seen: Seen) -> None:
    """Compare every reader of the log with the entries that were seen, then lease a live task again."""
    versions = [str(number) for number in range(1, len(seen.entries) + 1)]
    assert [entry["versionId"] for entry in seen.entries] == versions
    bundle = seen.server.get(f"/AidboxTaskLog?subject={seen.id}&_count=3&_sort=-_lastUpdated")
    assert bundle["total"] == len(versions)
    assert [entry["resource"]["versionId"] for entry in bundle["entry"]] == versions[::-1][:3]
    read: list[Any] = []
    after: dict[str, str] = {}
    while len(read) < len(versions):
        asked = {"id": seen.id, "include-log?": True, "log-sort": "desc", "log-limit": 1, **after}
        told = seen.server.rpc("awf.task/status", asked)
        read += told["log"]
        after = {"log-after": told.get("log-next", "")}
    assert read == seen.entries[::-1]
    assert seen.server.query("select seq, version from fencepost.task_entries group by 1, 2 having count(*) > 1") == []
    assert [found for part in check(seen.server.conninfo, []) for found in part.differences] == []
    if seen.server.task(seen.id)["status"] == "ready":
        claimed(seen)


@pytest.mark.parametrize("start", [False, True])
def test_a_lease_writes_no_row_of_the_log(seen: Seen, start: bool) -> None:
    seen.poll(start=start)
    if start:
        succeeded(seen)

    assert seen.server.query("select count(*) from fencepost.task_log") == [(0,)]
    assert len(seen.entries) == 2 + start


def test_the_entry_of_a_lost_lease_is_written_by_the_server_that_reaps_it(database: str, clock: FrozenClock) -> None:
    settings = replace(FEW_CONNECTIONS, lease_grace_seconds=0)
    with running_server(database, clock, settings) as first:
        first.define(requestedToStartTimeout=1000)
        seen = Seen(first, clock, first.create()["id"])
        seen.look()
        seen.poll(worker="w-1")

    with running_server(database, clock, settings) as second:
        seen.server = second
        pass_time(second, clock, 1000)
        seen.look()
        assert seen.actions()[1:] == [
            ("awf.task/poll", "ready", "requested"),
            ("awf.engine/requeue", "requested", "ready"),
        ]


def test_an_entry_that_another_version_of_the_server_wrote_is_shown_once(seen: Seen) -> None:
    claimed(seen)
    # A server of the version before writes the entry with the lease, and nothing into the row.
    columns = "seq, version, at, action, caller, worker, status_before, status, exec_id, retry_count, deadline_at"
    seen.server.query(
        f"insert into fencepost.task_log ({columns}) select {columns} from fencepost.task_entries where version = 2"
    )
    seen.server.query("update fencepost.live_tasks set request_hash = null")
    assert seen.server.log(seen.id) == seen.entries
    seen.call("start")
    succeeded(seen)
    assert len(seen.entries) == 4


def test_a_start_by_another_caller_than_the_poll_has_its_own_caller(seen: Seen) -> None:
    claimed(seen)
    seen.server.query("update fencepost.live_tasks set held_by = 'poller'")
    seen.server.rpc("awf.task/start", {"id": seen.id, "execId": seen.exec_id})
    seen.server.rpc("awf.task/success", {"id": seen.id, "execId": seen.exec_id})

    callers = seen.server.query("select version, caller <> 'poller' from fencepost.task_entries order by version")
    assert callers == [(1, True), (2, False), (3, True), (4, True)]


def test_a_mark_of_an_earlier_version_is_no_entry(seen: Seen) -> None:
    claimed_and_started(seen)
    # A server of the version before changes the row and leaves the mark.
    seen.server.query("update fencepost.live_tasks set version = version + 1")
    assert seen.server.query("select version from fencepost.task_entries order by version") == [(1,)]
