"""Notifications of a running handler: an invalid one costs neither the lease nor the worker."""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from fencepost_sdk import Client, Context, LostLease, Worker
from fencepost_sdk.leases import MAX_HEARTBEAT_DELAY, Leases
from fencepost_sdk.notifications import to_wire
from fencepost_sdk.protocol import Fault
from tests.fixtures.faulty_proxy import FaultyProxy
from tests.fixtures.servers import Server
from tests.fixtures.waiting import until
from tests.sdk.conftest import Run
from tests.sdk.test_leases import lease, sent

pytestmark = pytest.mark.shows("guarantees/handler-alone")

TOO_LONG = b'{"error": {"type": "invalid-request", "message": "no", "path": "$[0].params.message"}}'


class Number:
    """A number of a type of its own, like those of NumPy."""

    def __init__(self, value: float) -> None:
        self._value = value

    def __float__(self) -> float:
        return float(self._value)

    def __int__(self) -> int:
        return int(self._value)


class Hostile:
    def __float__(self) -> float:
        raise KeyboardInterrupt

    def __str__(self) -> str:
        raise SystemExit(3)


def progress(current: Any, total: Any = None, unit: Any = None) -> tuple[Any, ...]:
    notification = {
        "notification": "progress",
        "progress-current": current,
        "progress-total": total,
        "progress-unit": unit,
    }
    told = to_wire(notification)
    return tuple(told.get(name) for name in ("progress-current", "progress-total", "progress-unit"))


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ((3, 10, "files"), (3, 10, "files")),
        ((3.0, 10.0, "files"), (3, 10, "files")),
        ((0.5, 1.0), (50, 100, "%")),
        ((0.0625, 1.0), (6, 100, "%")),
        ((1.5, 4, "GB"), (37, 100, "%")),
        ((3, 2.5), (120, 100, "%")),
        ((0.5, 0), (0, 0, None)),
        ((2.6, None), (3, None, None)),
        ((Decimal("3"), Decimal("10")), (3, 10, None)),
        ((Fraction(1, 4), 1), (25, 100, "%")),
        ((Number(3), Number(10)), (3, 10, None)),
        ((2**60 + 1, 2**60 + 2), (2**60 + 1, 2**60 + 2, None)),
        ((True, 1), (1, 1, None)),
        ((1, 2, "u" * 300), (1, 2, "u" * 199 + "…")),
    ],
)
def test_progress_of_any_number_type_is_sent_in_whole_numbers(given: Any, sent: Any) -> None:
    assert progress(*given) == sent


@pytest.mark.parametrize("current", [object(), "3", None, float("nan"), float("inf"), 1j, Hostile()])
def test_a_progress_that_is_not_a_number_becomes_a_plain_heartbeat(
    current: Any, caplog: pytest.LogCaptureFixture
) -> None:
    leases = Leases()
    one, other = lease("a"), lease("b")
    for each in (one, other):
        each.handler.has_logged_drop = False
        each.context = Context(b"{}", lambda: None)
        leases.add(each, 0.0)
        each.context.progress(current)
        leases.mark_pending(each)
    assert [params["notification"] for _, params in sent(leases, 1.0)] == ["heartbeat", "heartbeat"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "a notification of task a of demo/x is dropped" in caplog.text
    one.handler.has_logged_drop = False


def test_a_message_is_cut_at_the_servers_limit() -> None:
    (message,) = (to_wire({"notification": "heartbeat", "message": "m" * 20_000 + "\0\ud800"})["message"],)
    assert message == "m" * 9999 + "…"
    assert to_wire({"notification": "heartbeat", "message": "a\0b\ud800"})["message"] == "a?b?"
    assert to_wire({"notification": "heartbeat", "message": 3})["message"] == "3"


def test_a_plain_heartbeat_follows_a_refused_notification_at_once() -> None:
    leases = Leases()
    one = lease("a")
    one.context = Context(b"{}", lambda: None)
    leases.add(one, 0.0)
    one.context.progress(1)
    leases.mark_pending(one)
    ((_, call),) = leases.due_notifications(1.0)
    leases.refused(one, call, Fault("invalid-params", "no"), 1.1)
    # The next notification of the handler must not be sent before the heartbeat.
    one.context.progress(2)
    leases.mark_pending(one)
    assert leases.next_due_at == pytest.approx(1.1)
    assert [params["notification"] for _, params in sent(leases, 1.2)] == ["heartbeat", "progress"]
    assert leases.next_due_at == pytest.approx(11.2)
    one.handler.has_logged_drop = False


@pytest.mark.parametrize("type", ["unavailable", "invalid-params"])
def test_a_refused_heartbeat_is_repeated_after_a_short_delay(type: str) -> None:
    leases = Leases()
    one = lease("a")
    leases.add(one, 0.0)
    ((_, call),) = leases.due_notifications(10.0)
    leases.refused(one, call, Fault(type, "no"), 10.0)
    assert leases.next_due_at == 10.0 + MAX_HEARTBEAT_DELAY
    leases.remove(one)
    leases.refused(one, call, Fault(type, "no"), 10.0)
    assert leases.due_notifications(20.0) == []


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_tasks_with_invalid_notifications_succeed(server: Server, client: Client, run: Run, kind: str) -> None:
    server.define("demo/tells", inProgressTimeout=600, allowedRetryCount=0)
    worker = Worker(server.url)
    enough = threading.Event()

    def tell(params: dict[str, bool], ctx: Context) -> dict[str, bool]:
        while not enough.wait(0.02):
            ctx.progress(object() if params["bad"] else 0.5, 1.0)  # type: ignore[arg-type]
            ctx.heartbeat("x" * 20_000)
        return {"ok": True}

    async def tell_async(params: dict[str, bool], ctx: Context) -> dict[str, bool]:

        while not enough.is_set():
            ctx.progress(object() if params["bad"] else 0.5, 1.0)  # type: ignore[arg-type]
            await asyncio.sleep(0.02)
        return {"ok": True}

    worker.task("demo/tells")(tell if kind == "sync" else tell_async)
    run(worker)
    bad, good = (client.create("demo/tells", {"bad": bad}) for bad in (True, False))
    until(lambda: all(len(server.log(task.id)) > 8 for task in (bad, good)))
    enough.set()
    assert [client.result(task, timeout=10) for task in (bad, good)] == [{"ok": True}] * 2
    notifications = [entry.get("action-params", {}) for entry in server.log(good.id)]
    told = [tuple(one.get(f"progress-{what}") for what in ("current", "total", "unit")) for one in notifications]
    assert (50, 100, "%") in told


def test_a_lease_survives_notifications_that_the_server_refuses(
    server: Server, proxy: FaultyProxy, client: Client, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    server.define("demo/tells", inProgressTimeout=2000, allowedRetryCount=0)
    worker = Worker(proxy.url)
    enough = threading.Event()
    refused = proxy.refuse(400, needle="of another kind", times=1000, body=TOO_LONG)

    @worker.task("demo/tells")
    def tell(ctx: Context) -> dict[str, bool]:
        while not enough.wait(0.02):
            ctx.heartbeat("a message of another kind")
        return {"ok": True}

    run(worker)
    task = client.create("demo/tells")
    until(lambda: refused.hits >= 4)
    until(lambda: [entry["action"] for entry in server.log(task.id)].count("awf.task/notify") >= 4)
    enough.set()
    assert client.result(task, timeout=10) == {"ok": True}
    warnings = [record for record in caplog.records if "is dropped" in record.message]
    assert [record.levelno for record in warnings].count(logging.WARNING) == 1


def test_a_refused_finish_fails_its_own_task_and_no_other_of_its_request(
    server: Server, proxy: FaultyProxy, client: Client, run: Run
) -> None:
    server.define("demo/many", allowedRetryCount=0)
    worker = Worker(proxy.url, concurrency=5)
    barrier = threading.Barrier(5)

    @worker.task("demo/many")
    def many(params: dict[str, int]) -> dict[str, int]:
        barrier.wait(10)
        return params

    tasks = [client.create("demo/many", {"n": number}) for number in range(5)]
    body = b'{"error": {"type": "invalid-request", "message": "no", "path": "$[0].params.results[0].n"}}'
    refused = proxy.refuse(400, needle="awf.task/success", body=body)
    run(worker)
    until(lambda: all(server.task(task.id)["status"] == "done" for task in tasks))
    assert refused.hits == 1
    errors = [now["error"] for now in (server.task(task.id) for task in tasks) if now["outcome"] == "failed"]
    assert [(error["type"], error["path"]) for error in errors] == [("result-refused", "$.result.n")]


def test_a_context_used_after_its_execution_raises_lost_lease(server: Server, client: Client, run: Run) -> None:
    server.define("demo/thread", inProgressTimeout=300)
    worker = Worker(server.url)
    kept: list[Context] = []
    left = threading.Event()

    @worker.task("demo/thread")
    def leaves_a_thread(ctx: Context) -> None:
        kept.append(ctx)
        threading.Thread(target=lambda: left.set() if ctx.cancelled.wait(20) else None, daemon=True).start()

    run(worker)
    for _ in range(2):
        client.result(client.create("demo/thread"), timeout=10)
    assert left.wait(10)
    with pytest.raises(LostLease):
        kept[0].check()
    kept[0].progress(object())  # type: ignore[arg-type]
    kept[0].heartbeat("too late")
    client.result(client.create("demo/thread"), timeout=10)
    assert kept[0].cancelled.is_set()


def test_a_handler_that_blocks_the_event_loop_is_logged(
    server: Server, client: Client, run: Run, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fencepost_sdk.timer.LATE_AFTER", 0.1)
    worker = Worker(server.url)
    blocked = threading.Event()

    @worker.task("demo/blocks", in_progress_timeout=timedelta(milliseconds=300))
    async def blocks() -> None:
        blocked.wait(0.5)

    run(worker)
    until(lambda: server.rpc("awf.definition/list")["resources"])
    client.create("demo/blocks")
    until(lambda: "an async handler blocks the event loop" in caplog.text)
