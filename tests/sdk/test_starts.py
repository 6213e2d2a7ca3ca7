"""The start and the end of a worker: what can never work ends it at once, and all that ends it takes a bounded time."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fencepost_sdk import Client, ConnectionFailed, RpcError, Worker, session
from fencepost_sdk.process import STOP_SECONDS
from tests.fixtures.faulty_proxy import FaultyProxy
from tests.fixtures.servers import Server
from tests.fixtures.waiting import until
from tests.sdk.conftest import Run

pytestmark = pytest.mark.shows("guarantees/worker-exits")

FORBIDDEN = b'[{"error": {"type": "forbidden", "message": "not yours"}}]'


def test_a_worker_name_that_the_server_refuses_ends_the_worker_at_its_start(server: Server) -> None:
    worker = Worker(server.url, name="w" * 201)
    worker.task("demo/x")(lambda: None)
    with pytest.raises(RpcError, match="length <= 200") as caught:
        worker.run()
    assert (caught.value.type, caught.value.path) == ("invalid-params", "$[0].params.worker")


def test_more_handlers_than_fit_into_a_poll_end_the_worker_at_its_start(server: Server) -> None:
    worker = Worker(server.url)
    for number in range(1001):
        worker.task(f"demo/h{number}")(lambda: None)
    with pytest.raises(RpcError, match="length <= 1000"):
        worker.run()


def test_a_refused_first_poll_ends_the_worker(server: Server, proxy: FaultyProxy) -> None:
    proxy.refuse(200, needle="awf.task/long-poll", body=FORBIDDEN)
    worker = Worker(proxy.url)
    worker.task("demo/x", declare=True)(lambda: None)
    with pytest.raises(RpcError, match="forbidden: not yours"):
        worker.run()


def test_a_refused_later_poll_is_retried(
    server: Server, proxy: FaultyProxy, client: Client, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    server.define("demo/x")
    worker = Worker(proxy.url)
    worker.task("demo/x")(lambda: None)
    run(worker)
    client.result(client.create("demo/x"), timeout=10)
    refused = proxy.refuse(200, needle="awf.task/long-poll", times=2, body=FORBIDDEN)
    until(lambda: client.create("demo/x") and refused.hits == 2)
    client.result(client.create("demo/x"), timeout=10)
    assert "a poll was refused: forbidden: not yours" in caplog.text


@contextmanager
def proxy_that_answers(status_line: str) -> Iterator[tuple[int, list[bytes]]]:
    """A proxy that answers every request in one way; its port, and the heads of the requests."""
    heads: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    one, _ = listener.accept()
                except OSError:
                    return
                with one:
                    heads.append(one.recv(65536))
                    one.sendall(f"HTTP/1.1 {status_line}\r\nContent-Length: 0\r\n\r\n".encode())

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield listener.getsockname()[1], heads
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def test_a_proxy_that_refuses_the_tunnel_ends_the_worker_at_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy_that_answers("407 Proxy Authentication Required") as (port, heads):
        monkeypatch.setenv("https_proxy", f"http://user:se%40cret@127.0.0.1:{port}")
        monkeypatch.delenv("no_proxy", raising=False)
        worker = Worker("https://queue.example.org")
        worker.task("demo/x")(lambda: None)
        with pytest.raises(ConnectionFailed, match="407") as caught:
            worker.run()
    assert b"CONNECT queue.example.org:443" in heads[0]
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"user:se@cret") in heads[0]
    assert "cret" not in str(caught.value)


def test_a_worker_stops_within_thirty_seconds_by_default() -> None:
    assert Worker()._drain_timeout.total_seconds() + session.CLEAN_UP_SECONDS + session.LAST_REQUEST_SECONDS + 2 < 30
    assert Worker()._drain_timeout.total_seconds() + STOP_SECONDS < 30


def test_retry_after_of_an_hour_does_not_delay_finishes(
    server: Server, proxy: FaultyProxy, client: Client, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fencepost_sdk.session.OUTBOX_RETRY_AFTER", 0.2)
    monkeypatch.setattr("fencepost_sdk.session.POLL_RETRY_AFTER", 0.2)
    server.define("demo/x")
    worker = Worker(proxy.url)
    worker.task("demo/x")(lambda: None)
    for needle in ("awf.task/success", "awf.task/long-poll"):
        proxy.refuse(503, retry_after=3600, needle=needle, times=2)
    run(worker)
    assert client.result(client.create("demo/x"), timeout=20) is None


def test_retry_after_of_an_hour_does_not_cost_a_stopping_worker_its_last_finish(
    server: Server, proxy: FaultyProxy, client: Client, run: Run
) -> None:
    server.define("demo/x")
    worker = Worker(proxy.url)
    worker.task("demo/x")(lambda: {"done": True})
    refused = proxy.refuse(503, retry_after=3600, needle="awf.task/success", times=2)
    one = run(worker)
    task = client.create("demo/x")
    until(lambda: refused.hits == 1)
    one.stop()
    assert server.task(task.id)["result"] == {"done": True}


def spawned(server: Server, handler: str) -> subprocess.Popen[bytes]:
    code = """
        import asyncio, functools, multiprocessing, os, sys, time
        from fencepost_sdk import Worker
        worker = Worker(concurrency=1)
        begun = functools.partial(print, "begun", flush=True)

        @worker.task("demo/x", declare=True)
        {handler}

        worker.run()
    """
    text = textwrap.dedent(code).replace("{handler}", textwrap.dedent(handler).strip())
    env = {**os.environ, "FENCEPOST_URL": server.url}
    return subprocess.Popen([sys.executable, "-c", text], env=env, stdout=subprocess.PIPE)


@pytest.mark.parametrize(
    ("handler", "status"),
    [
        ("async def blocks():\n    begun()\n    time.sleep(600)", 1),
        ("async def in_thread():\n    begun()\n    await asyncio.to_thread(time.sleep, 8)", 0),
        (
            """
            async def stubborn():
                begun()
                while True:
                    try:
                        await asyncio.sleep(600)
                    except BaseException:
                        pass
            """,
            0,
        ),
    ],
)
def test_a_second_signal_ends_a_worker_with_a_blocked_handler(
    server: Server, client: Client, handler: str, status: int
) -> None:
    with spawned(server, handler) as process:
        try:
            until(lambda: server.rpc("awf.definition/list")["resources"])
            client.create("demo/x")
            # A worker that has the task but did not begin it would hand it back and end at once.
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            if process.returncode is None:
                # Two signals that come before the process has a turn are one to it.
                process.send_signal(signal.SIGTERM)
            assert process.wait(10) == status
            assert time.monotonic() - begun < 25
        finally:
            process.kill()


def test_a_process_forked_by_a_handler_ends_after_sigterm(server: Server, client: Client) -> None:
    handler = """
        def forks():
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
            child.start()
            # A signal that comes before the child has its own handlers is lost, as any process may lose it then.
            for _ in range(100):
                child.terminate()
                child.join(0.1)
                if child.exitcode is not None:
                    break
            return {"status": child.exitcode}
    """
    with spawned(server, handler) as process:
        try:
            until(lambda: server.rpc("awf.definition/list")["resources"])
            assert client.result(client.create("demo/x"), timeout=20) == {"status": -signal.SIGTERM}
        finally:
            process.terminate()
            assert process.wait(20) == 0
