from __future__ import annotations

import json
import math
from typing import Any

from fencepost_sdk.context import Context
from fencepost_sdk.handlers import Handler
from fencepost_sdk.leases import NOTE_SPACING, Lease, Leases
from fencepost_sdk.protocol import ClaimedTask

HANDLER = Handler("demo/x", lambda ctx: None)


def lease(id: str, timeout_ms: int = 30_000) -> Lease:
    return Lease(ClaimedTask(id, "demo/x", f"exec-{id}", in_progress_timeout_ms=timeout_ms), HANDLER)


def said(leases: Leases, now: float) -> list[tuple[str, dict[str, Any]]]:
    return [(one.id, json.loads(call)["params"]) for one, call in leases.speak(now)]


def ids(leases: Leases, now: float) -> list[str]:
    return [id for id, _ in said(leases, now)]


def test_a_task_is_heard_of_at_every_third_of_its_timeout() -> None:
    leases = Leases()
    leases.add(lease("a"), 100.0)
    assert leases.next_at == 110.0
    assert ids(leases, 109.9) == []
    assert ids(leases, 110.0) == ["a"]
    assert leases.next_at == 120.0


def test_heartbeats_that_are_soon_due_go_out_together() -> None:
    leases = Leases()
    for number, id in enumerate("abcd"):
        leases.add(lease(id), 100.0 + number)
    assert ids(leases, 110.0) == ["a", "b", "c"]
    assert leases.next_at == 113.0


def test_a_short_timeout_is_not_held_back_by_long_ones() -> None:
    leases = Leases()
    leases.add(lease("long", 600_000), 0.0)
    leases.add(lease("short", 3000), 0.0)
    assert leases.next_at == 1.0
    assert ids(leases, 1.0) == ["short"]


def test_nothing_is_said_of_a_task_that_ended_or_was_lost() -> None:
    leases = Leases()
    ended, lost = lease("ended"), lease("lost")
    for one in (ended, lost):
        leases.add(one, 0.0)
    leases.remove(ended)
    lost.lost = True
    assert ids(leases, 10.0) == []
    assert leases.next_at == math.inf


def test_of_several_notes_in_a_row_only_the_newest_is_sent() -> None:
    leases = Leases()
    one = lease("a")
    announced: list[None] = []
    one.context = Context(b"{}", lambda: announced.append(None))
    leases.add(one, 0.0)
    for done in range(1000):
        one.context.progress(done, 1000, "rows")
    assert len(announced) == 1
    leases.note(one)
    assert leases.next_at == NOTE_SPACING
    ((_, params),) = said(leases, NOTE_SPACING)
    assert params == {
        "id": "a",
        "execId": "exec-a",
        "notification": "progress",
        "progress-current": 999,
        "progress-total": 1000,
        "progress-unit": "rows",
    }


def test_a_message_and_a_progress_do_not_replace_each_other() -> None:
    leases = Leases()
    one = lease("a")
    one.context = Context(b"{}", lambda: None)
    leases.add(one, 0.0)
    one.context.heartbeat("warming up")
    one.context.progress(1)
    leases.note(one)
    assert [params["notification"] for _, params in said(leases, 1.0)] == ["heartbeat", "progress"]


def test_a_note_counts_as_a_heartbeat() -> None:
    leases = Leases()
    one = lease("a")
    one.context = Context(b"{}", lambda: None)
    leases.add(one, 0.0)
    one.context.progress(1)
    leases.note(one)
    assert ids(leases, 5.0) == ["a"]
    assert leases.next_at == 15.0
