from __future__ import annotations

import json
import math
from typing import Any

from fencepost_sdk.context import Context
from fencepost_sdk.handlers import Handler
from fencepost_sdk.leases import NOTIFICATION_SPACING, Lease, Leases
from fencepost_sdk.protocol import ClaimedTask

HANDLER = Handler("demo/x", lambda ctx: None)


def lease(id: str, timeout_ms: int = 30_000) -> Lease:
    return Lease(ClaimedTask(id, "demo/x", f"exec-{id}", in_progress_timeout_ms=timeout_ms), HANDLER)


def sent(leases: Leases, now: float) -> list[tuple[str, dict[str, Any]]]:
    return [(one.id, json.loads(call)["params"]) for one, call in leases.due_notifications(now)]


def ids(leases: Leases, now: float) -> list[str]:
    return [id for id, _ in sent(leases, now)]


def test_a_heartbeat_is_due_at_every_third_of_the_timeout() -> None:
    leases = Leases()
    leases.add(lease("a"), 100.0)
    assert leases.next_due_at == 110.0
    assert ids(leases, 109.9) == []
    assert ids(leases, 110.0) == ["a"]
    assert leases.next_due_at == 120.0


def test_heartbeats_that_are_due_soon_are_sent_together() -> None:
    leases = Leases()
    for number, id in enumerate("abcd"):
        leases.add(lease(id), 100.0 + number)
    assert ids(leases, 110.0) == ["a", "b", "c"]
    assert leases.next_due_at == 113.0


def test_a_short_timeout_is_due_before_a_long_one() -> None:
    leases = Leases()
    leases.add(lease("long", 600_000), 0.0)
    leases.add(lease("short", 3000), 0.0)
    assert leases.next_due_at == 1.0
    assert ids(leases, 1.0) == ["short"]


def test_an_ended_or_lost_lease_sends_no_heartbeat() -> None:
    leases = Leases()
    ended, lost = lease("ended"), lease("lost")
    for one in (ended, lost):
        leases.add(one, 0.0)
    leases.remove(ended)
    lost.lost = True
    assert ids(leases, 10.0) == []
    assert leases.next_due_at == math.inf


def test_only_the_newest_of_several_progress_reports_is_sent() -> None:
    leases = Leases()
    one = lease("a")
    announced: list[None] = []
    one.context = Context(b"{}", lambda: announced.append(None))
    leases.add(one, 0.0)
    for done in range(1000):
        one.context.progress(done, 1000, "rows")
    assert len(announced) == 1
    leases.mark_pending(one)
    assert leases.next_due_at == NOTIFICATION_SPACING
    ((_, params),) = sent(leases, NOTIFICATION_SPACING)
    assert params == {
        "id": "a",
        "execId": "exec-a",
        "notification": "progress",
        "progress-current": 999,
        "progress-total": 1000,
        "progress-unit": "rows",
    }


def test_a_message_and_a_progress_report_are_both_sent() -> None:
    leases = Leases()
    one = lease("a")
    one.context = Context(b"{}", lambda: None)
    leases.add(one, 0.0)
    one.context.heartbeat("warming up")
    one.context.progress(1)
    leases.mark_pending(one)
    assert [params["notification"] for _, params in sent(leases, 1.0)] == ["heartbeat", "progress"]


def test_a_progress_report_counts_as_a_heartbeat() -> None:
    leases = Leases()
    one = lease("a")
    one.context = Context(b"{}", lambda: None)
    leases.add(one, 0.0)
    one.context.progress(1)
    leases.mark_pending(one)
    assert ids(leases, 5.0) == ["a"]
    assert leases.next_due_at == 15.0
