"""kill -9 of the server during many runs: each run completes, and no device loses its task."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from tests.fixtures.processes import Client, Process, serving
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/outage-costs-nothing")

DEVICES = 12
KILLS = 3
# Reports between two kills.
PROGRESS = 15
STEPS = 4
PATIENCE = ("--device-window", "60", "--device-healthcheck", "0.5", "--device-silence", "30", "--lease-grace", "0.5")


@pytest.fixture
def process() -> Iterator[Process]:
    """A server on its own Postgres, in a folder that every user can read."""
    with tempfile.TemporaryDirectory(prefix="fencepost-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        with serving(Path(name), "--data-dir", f"{name}/data", *PATIENCE) as running:
            yield running


class Robots:
    """Devices that do the tasks of their channels and fail once each."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self.reports = 0

    def run(self, name: str) -> list[str]:
        """Do the announced tasks until `stop`, with a new channel after each break; return the tasks."""
        done: list[str] = []
        with Client(self._port) as client:
            while not self._stop.is_set():
                path = f"ws://127.0.0.1:{self._port}/api/devices/{name}/events"
                with contextlib.suppress(OSError, WebSocketException), connect(path) as channel:
                    self._listen(channel, client, done)
        return done

    def stop(self) -> None:
        """Stop the threads."""
        self._stop.set()

    def _listen(self, channel: ClientConnection, client: Client, done: list[str]) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                message = orjson.loads(channel.recv(timeout=0.2))
                if message["type"] == "HEALTHCHECK":
                    channel.send('{"type":"HEARTBEAT"}')
                if message["type"] == "TASK_REGISTERED" and message["task_id"] not in done:
                    done.append(message["task_id"])
                    self._work(client, message)

    def _work(self, client: Client, message: dict[str, Any]) -> None:
        task = {"id": message["task_id"]}
        client.call("awf.device/report", {**task, "report": "start"})
        if message["step"] == 3 and message["attempt"] == 1:
            client.call("awf.device/report", {**task, "report": "abort", "failPoint": {"corner": 3}})
        else:
            client.call("awf.device/report", {**task, "report": "complete", "result": {"by": task["id"]}})
        self.reports += 1


@pytest.mark.shows("devices/survives-crashes")
def test_every_run_completes_whenever_the_server_is_killed(process: Process) -> None:
    names = [f"r{number}" for number in range(DEVICES)]
    robots = Robots(process.port)
    with Client(process.port) as client, ThreadPoolExecutor(DEVICES) as pool:
        steps = [{"action": f"STEP_{number}"} for number in range(1, STEPS + 1)]
        client.call("awf.definition/put", {"kind": "device-workflow", "name": "load/patrol", "steps": steps})
        working = [pool.submit(robots.run, name) for name in names]
        try:
            for name in names:
                client.call("awf.device/run", {"workflow": "load/patrol", "device": name, "id": f"run-{name}"})
            for _ in range(KILLS):
                enough = robots.reports + PROGRESS
                until(lambda: robots.reports >= enough or any(one.done() for one in working), timeout=40)  # noqa: B023
                process.kill()
                process.start()
            live = {"filter": {"status": "in-progress"}, "limit": 1}
            until(lambda: not client.call("awf.workflow/list", live)["resources"], timeout=60)
        finally:
            robots.stop()
        done = {name: one.result(40) for name, one in zip(names, working, strict=True)}
        for name in names:
            check(client, name, done[name])
    assert "Traceback" not in process.said


def test_a_stopping_server_closes_its_channels(process: Process) -> None:
    base = f"127.0.0.1:{process.port}"
    request = urllib.request.urlopen(f"http://{base}/events/client", timeout=20)
    with connect(f"ws://{base}/devices/r2/events") as device, request as stream:
        assert stream.readline().startswith(b":")
        process.terminate()
        with contextlib.suppress(ConnectionClosed):
            assert {orjson.loads(message)["type"] for message in device} <= {"HEALTHCHECK"}
        assert device.close_code == 1012
        stream.read()
    assert process.wait(10) == 0
    assert "Traceback" not in process.said


def check(client: Client, name: str, done: list[str]) -> None:
    """Check that a run did each step once in each attempt, and that its device received each task."""
    run = client.call("awf.device/run-status", {"id": f"run-{name}"})["resource"]
    assert (run["status"], run["attempt"]) == ("COMPLETED", 2)
    places = [(task["attempt"], task["step"], task["status"]) for task in run["tasks"]]
    first = [(1, 1, "COMPLETED"), (1, 2, "COMPLETED"), (1, 3, "ABORTED")]
    assert places == [*first, *((2, step, "COMPLETED") for step in range(1, STEPS + 1))]
    assert run["tasks"][3]["payload"] == {"failPoint": {"corner": 3}}
    assert Counter(done) == Counter(task["id"] for task in run["tasks"])
