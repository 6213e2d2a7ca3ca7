"""A log of any length: paged from either end, and bounded although a task reports progress for hours."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fencepost.clock import FrozenClock
from tests.fixtures.servers import Server

pytestmark = pytest.mark.shows("guarantees/log-is-state")


def speak(server: Server, lease: dict[str, str], numbers: range) -> None:
    """Report progress with each of these numbers, one call each."""
    note = {**lease, "notification": "progress"}
    for first in range(numbers.start, numbers.stop, 500):
        some = range(first, min(first + 500, numbers.stop))
        calls = [{"method": "awf.task/notify", "params": {**note, "progress-current": number}} for number in some]
        _, answers = server.post(calls)
        assert all("result" in answer for answer in answers)


def pages(server: Server, id: str, **asked: Any) -> list[list[Any]]:
    """Return a log's pages."""
    found: list[list[Any]] = []
    after: dict[str, str] = {}
    while True:
        told = server.rpc("awf.task/status", {"id": id, "include-log?": True, **asked, **after})
        found.append(told["log"])
        if "log-next" not in told:
            return found
        after = {"log-after": told["log-next"]}


def versions(entries: list[Any]) -> list[int]:
    return [int(entry["versionId"]) for entry in entries]


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_a_log_can_be_paged_from_either_end(server: Server, direction: str) -> None:
    server.define()
    lease = server.started()
    speak(server, lease, range(25))

    found = pages(server, lease["id"], **{"log-limit": 10, "log-sort": direction})

    assert [len(page) for page in found] == [10, 10, 7]
    read = [version for page in found for version in versions(page)]
    assert read == (list(range(1, 28)) if direction == "asc" else list(range(27, 0, -1)))


@pytest.mark.parametrize("direction", ["_lastUpdated", "-_lastUpdated"])
def test_a_bundle_of_a_log_can_be_paged_from_either_end(server: Server, direction: str) -> None:
    server.define()
    lease = server.started()
    speak(server, lease, range(25))
    read: list[int] = []
    following: str | None = f"/AidboxTaskLog?subject={lease['id']}&_count=10&_sort={direction}"

    while following is not None:
        bundle = server.get(following)
        read += versions([entry["resource"] for entry in bundle["entry"]])
        following = next((link["url"] for link in bundle.get("link", ())), None)

    assert read == (list(range(1, 28)) if direction == "_lastUpdated" else list(range(27, 0, -1)))
    assert bundle["total"] == 27


def test_a_long_log_is_thinned_and_its_newest_entry_is_the_state(frozen_server: Server, clock: FrozenClock) -> None:
    frozen_server.define(inProgressTimeout=86_400_000)
    lease = frozen_server.started()
    for minute in range(3):
        speak(frozen_server, lease, range(minute * 2000, (minute + 1) * 2000))
        clock.advance(timedelta(minutes=1))
    done = frozen_server.rpc("awf.task/success", lease)["resource"]

    (newest,) = frozen_server.rpc(
        "awf.task/status", {"id": lease["id"], "include-log?": True, "log-sort": "desc", "log-limit": 1}
    )["log"]
    everything = [entry for page in pages(frozen_server, lease["id"]) for entry in page]

    assert newest["versionId"] == done["meta"]["versionId"] == "6003"
    assert (newest["action"], newest["status-after"]) == ("awf.task/success", "done")
    assert versions(everything)[:1000] == list(range(1, 1001)), "the first 1000 entries are kept"
    assert len(everything) < 1000 + 500 + 10, "of later notifications, only the last of a minute is kept"
    assert versions(everything) == sorted(set(versions(everything)))
    told = {entry["action-params"].get("progress-current") for entry in everything if "action-params" in entry}
    assert {1999, 3999, 5999} <= told, "the last of each minute"
    assert frozen_server.get(f"/AidboxTaskLog?subject={lease['id']}&_count=0")["total"] == len(everything)


def test_thinning_a_log_keeps_every_entry_that_is_not_a_notification(frozen_server: Server) -> None:
    frozen_server.define(inProgressTimeout=86_400_000)
    lease = frozen_server.started()
    speak(frozen_server, lease, range(1200))
    frozen_server.rpc("awf.task/release", lease)
    (task,) = frozen_server.poll(start=True)
    lease = {"id": task["id"], "execId": task["execId"]}
    speak(frozen_server, lease, range(1200, 2000))

    entries = [entry for page in pages(frozen_server, lease["id"]) for entry in page]

    later = [(entry["action"], entry["status-after"]) for entry in entries if int(entry["versionId"]) > 1000]
    assert later.count(("awf.task/release", "ready")) == 1
    assert later.count(("awf.task/poll", "in-progress")) == 1
    notes = [entry for entry in entries[1000:] if entry["action"] == "awf.task/notify"]
    assert [notes[place]["action-params"]["progress-current"] for place in (0, -1)] == [1199, 1999]
    assert len(notes) < 510


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({"log-after": "x"}, "$.params.log-after"),
        ({"log-limit": 0}, "$.params.log-limit"),
        ({"log-sort": "down"}, "$.params.log-sort"),
    ],
)
def test_invalid_paging_of_a_log_is_refused_with_its_path(server: Server, asked: dict[str, Any], path: str) -> None:
    params = {"id": "a", "include-log?": True, **asked}
    assert server.refused("awf.task/status", params) == (400, "invalid-params", path)
