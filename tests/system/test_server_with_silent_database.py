"""A server with a silent database logs it once, answers in time, stops in time, and reports no bug."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import orjson
import psycopg
import pytest

from tests.fixtures.locks import locked_rows
from tests.fixtures.process_tree import descendants, is_alive, workers
from tests.fixtures.processes import Client, Process, postgres_pid, serving
from tests.fixtures.silent_proxy import SilentProxy, silent_proxy
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/shutdown-answers")

SECONDS_TO_END = 10.0
CALL_SECONDS = 5.0
READY_SECONDS = 2.0
NOISE = 2.0
DEFINITION = "silence/task"


@pytest.fixture
def proxy(database: str) -> Iterator[SilentProxy]:
    with silent_proxy(database) as running:
        yield running


@pytest.fixture
def process(proxy: SilentProxy, tmp_path: Path) -> Iterator[Process]:
    with serving(tmp_path, "--database-url", proxy.conninfo) as running:
        with Client(running.port) as client:
            client.call("awf.definition/put", {"kind": "task", "name": DEFINITION})
        yield running


class Callers:
    """Threads that call a server repeatedly, and the answers that they got."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.over = threading.Event()
        self.statuses: Counter[int] = Counter()
        self.strange: list[bytes] = []
        self.longest = 0.0

    def call(self, number: int) -> None:
        yaml = number % 2 == 1
        kind = "text/yaml" if yaml else "application/json"
        body = orjson.dumps({"method": "awf.task/create-and-execute", "params": {"definition": DEFINITION}})
        while not self.over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            began = time.monotonic()
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("POST", "/rpc", body, {"content-type": kind})
                response = connection.getresponse()
                answer = response.read()
                self.statuses[response.status] += 1
                if response.status not in (200, 503) or response.headers["content-type"] != kind:
                    self.strange.append(answer)
                if response.status == 503 and (b"unavailable" not in answer or "retry-after" not in response.headers):
                    self.strange.append(answer)
                self.longest = max(self.longest, time.monotonic() - began)
            connection.close()
            self.over.wait(0.005)


@contextmanager
def calling(port: int, count: int = 8) -> Iterator[Callers]:
    """Call a server from some threads until the block ends."""
    callers = Callers(port)
    with ThreadPoolExecutor(count) as threads:
        try:
            for number in range(count):
                threads.submit(callers.call, number)
            yield callers
        finally:
            callers.over.set()


def get(process: Process, path: str) -> tuple[int, float]:
    """Return the status of a GET, and the seconds that it took."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status, time.monotonic() - began
    finally:
        connection.close()


def test_a_silent_database_delays_no_answer_and_is_logged_when_lost_and_when_back(
    process: Process, proxy: SilentProxy
) -> None:
    with calling(process.port) as callers:
        until(lambda: callers.statuses[200] > 50)
        proxy.silence(new_ones=True)
        status, seconds = get(process, "/readyz")
        assert (status, seconds < READY_SECONDS + NOISE / 2) == (503, True)
        assert get(process, "/healthz")[0] == 200
        until(lambda: callers.statuses[503] > 50, timeout=30)
        proxy.speak()
        before = callers.statuses[200]
        until(lambda: callers.statuses[200] > before + 50, timeout=20)
    until(lambda: get(process, "/readyz")[0] == 200)
    until(lambda: process.said.count(" listening: ") == process.said.count(" listener-lost: ") + 1, timeout=20)
    assert callers.strange == []
    assert callers.longest < CALL_SECONDS + NOISE
    said = process.said
    assert said.count(" database-lost: ") == said.count(" database-back: ") == 1
    assert said.count(" listener-lost: ") <= 1
    assert "Traceback" not in said


def test_a_server_under_load_stops_in_time_while_its_database_is_silent(process: Process, proxy: SilentProxy) -> None:
    with calling(process.port) as callers:
        until(lambda: callers.statuses[200] > 50)
        proxy.silence(new_ones=True)
        began = time.monotonic()
        process.terminate()
        assert process.wait(SECONDS_TO_END + NOISE) == 0
        assert time.monotonic() - began < SECONDS_TO_END
    assert callers.strange == []
    assert "Exception in ASGI" not in process.said
    assert "Traceback" not in process.said


def test_a_second_signal_ends_a_server_with_a_silent_database_at_once(process: Process, proxy: SilentProxy) -> None:
    with calling(process.port) as callers:
        until(lambda: callers.statuses[200] > 50)
        proxy.silence(new_ones=True)
        process.terminate()
        until(lambda: " draining: " in process.said)
        began = time.monotonic()
        process.terminate()
        process.wait(SECONDS_TO_END)
        assert time.monotonic() - began < 1 + NOISE


def test_a_stopping_server_answers_an_unfinished_call_with_503_in_the_format_of_the_caller(
    process: Process, database: str, pool: ThreadPoolExecutor
) -> None:
    with Client(process.port) as client:
        ids = [
            client.call("awf.task/create-and-execute", {"definition": DEFINITION})["resource"]["id"] for _ in range(2)
        ]

    def cancel(id: str, kind: str) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=30)
        body = orjson.dumps({"method": "awf.task/cancel", "params": {"id": id}})
        connection.request("POST", "/rpc", body, {"content-type": kind})
        response = connection.getresponse()
        try:
            return response.status, response.headers["content-type"], response.read()
        finally:
            connection.close()

    with locked_rows(database, "live_tasks"):
        kinds = ["application/json", "text/yaml"]
        calls = [pool.submit(cancel, id, kind) for id, kind in zip(ids, kinds, strict=True)]
        until(lambda: process.said and _waiting(database) > 0)
        process.terminate()
        answers = [call.result(SECONDS_TO_END) for call in calls]
        assert process.wait(SECONDS_TO_END) == 0
    assert [(status, kind) for status, kind, _ in answers] == [(503, kind) for kind in kinds]
    assert all(b"unavailable" in text for _, _, text in answers)
    assert "Exception in ASGI" not in process.said


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells the workers that their parent died")
def test_workers_end_when_their_parent_is_killed_and_a_new_server_can_use_the_port(
    database: str, tmp_path: Path
) -> None:
    with serving(tmp_path, "--workers", "2", "--database-url", database) as process:
        with Client(process.port) as client:
            client.call("awf.definition/put", {"kind": "task", "name": DEFINITION})
        with calling(process.port) as callers:
            until(lambda: callers.statuses[200] > 50)
            orphans = workers(process.pid)
            with locked_rows(database, "live_tasks"):
                process.kill()
                until(lambda: not any(map(is_alive, orphans)), timeout=SECONDS_TO_END + NOISE)
            process.start()
            before = callers.statuses[200]
            until(lambda: callers.statuses[200] > before + 50, timeout=20)
    assert callers.strange == []
    assert "Exception in ASGI" not in process.said


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_server_answers_and_stops_in_time_when_its_own_postgres_is_frozen(open_folder: Path, tmp_path: Path) -> None:
    data = open_folder / "stopped" / "data"
    with serving(tmp_path, "--data-dir", str(data)) as process:
        with Client(process.port) as client:
            client.call("awf.definition/put", {"kind": "task", "name": DEFINITION})
        postgres = postgres_pid(data)
        for pid in (*descendants(postgres), postgres):
            os.kill(pid, signal.SIGSTOP)
        status, seconds = get(process, "/readyz")
        assert (status, seconds < READY_SECONDS + NOISE / 2) == (503, True)
        with calling(process.port) as callers:
            until(lambda: callers.statuses[503] > 20, timeout=30)
            began = time.monotonic()
            process.terminate()
            process.wait(SECONDS_TO_END + NOISE)
            assert time.monotonic() - began < SECONDS_TO_END
    until(lambda: not is_alive(postgres))
    assert callers.strange == []
    assert callers.longest < CALL_SECONDS + NOISE
    assert "Traceback" not in process.said


def _waiting(database: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        ).fetchone()
    return 0 if row is None else int(row[0])
