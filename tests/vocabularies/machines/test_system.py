"""Whole provisionings: workers of both generations in processes, with kills of a worker or of the server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.fixtures.machines import template_of, worker_client
from tests.fixtures.processes import Client, Process, free_port, serving
from tests.fixtures.waiting import until

ACTIONS = template_of(("a", ["wipe", "write"]), ("b", ["join", "check"]))
eras = pytest.mark.parametrize("era", ["2021", "2023"])

WORKER = "tests.vocabularies.machines.machine_worker"


class Lab:
    """A server and workers in processes of their own, and a folder where the workers note their actions."""

    def __init__(self, process: Process, client: Client, grpc_port: int, folder: Path, era: str) -> None:
        self.process = process
        self.folder = folder
        self.era = era
        self._grpc_port = grpc_port
        self._client = client
        self._workers: list[subprocess.Popen[bytes]] = []
        document = {"kind": "machine-template", "name": "demo/provision", "template": ACTIONS}
        self._client.call("awf.definition/put", document)

    def create(self, id: str) -> None:
        self._client.call("awf.machine/create", {"definition": "demo/provision", "id": id})

    def worker(self, name: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        command = [
            sys.executable,
            "-m",
            "tests.vocabularies.machines.machine_worker",
            str(self._grpc_port),
            name,
            self.era,
        ]
        worker = subprocess.Popen([*command, str(self.folder)])
        self._workers.append(worker)
        return worker

    def hold(self, action: str) -> None:
        (self.folder / f"hold-{action}").touch()

    def release(self, action: str) -> None:
        (self.folder / f"hold-{action}").unlink()

    def notes(self, file: str) -> list[str]:
        """Return the actions that workers began, or ran."""
        path = self.folder / file
        return path.read_text().split() if path.exists() else []

    def until_began(self, action: str, times: int = 1) -> None:
        until(lambda: self.notes("began").count(action) == times, timeout=30)

    def until_state(self, id: str, state: str) -> None:
        until(lambda: self.state(id) == state, timeout=30)

    def state(self, id: str) -> str:
        return str(self._client.call("awf.machine/status", {"id": id})["resource"]["state"])

    def events(self, id: str) -> list[tuple[str, str]]:
        """Return the reports that had an effect."""
        events = self._client.call("awf.machine/events", {"id": id})["events"]
        return [(event["action"], event["state"].removeprefix("STATE_")) for event in events if event["changed"]]

    def data(self, id: str) -> Any:
        machine = worker_client(self._grpc_port, is_old=True)
        return orjson.loads(machine.get("GetWorkflowData", workflow_id=id).data)

    def stop(self) -> None:
        (self.folder / "stop").touch()
        for worker in self._workers:
            worker.kill()
            worker.wait()


@contextmanager
def lab(database: str, folder: Path, era: str) -> Iterator[Lab]:
    port = free_port()
    arguments = ["--database-url", database, "--grpc-port", str(port), "--lease-grace", "0"]
    with serving(folder, *arguments) as process, Client(process.port) as client:
        opened = Lab(process, client, port, folder, era)
        try:
            yield opened
        finally:
            opened.stop()


def running_and_success(*actions: str) -> list[tuple[str, str]]:
    return [(action, state) for action in actions for state in ("RUNNING", "SUCCESS")]


@pytest.mark.shows("machines/handover", "machines/resume-position", "machines/data-around-actions")
@eras
def test_a_workflow_is_handed_over_between_two_workers(database: str, tmp_path: Path, era: str) -> None:
    with lab(database, tmp_path, era) as one:
        one.worker("b")
        one.worker("a")
        one.create("w")
        one.until_state("w", "STATE_SUCCESS")
        assert one.notes("ran") == ["wipe", "write", "join", "check"]
        assert one.events("w") == running_and_success("wipe", "write", "join", "check")
        if era == "2021":
            # A worker sends the data after the report that ends the workflow.
            until(lambda: one.data("w") == {"ran": ["wipe", "write", "join", "check"]})


@pytest.mark.shows("machines/resumed-running")
@eras
def test_a_killed_worker_runs_its_action_again_after_a_restart(database: str, tmp_path: Path, era: str) -> None:
    with lab(database, tmp_path, era) as one:
        one.hold("wipe")
        one.create("w")
        first = one.worker("a")
        one.until_began("wipe")
        first.kill()
        first.wait()
        one.worker("a")
        one.until_began("wipe", times=2)
        one.release("wipe")
        one.worker("b")
        one.until_state("w", "STATE_SUCCESS")
        assert one.notes("ran") == ["wipe", "write", "join", "check"]
        # A worker that resumed reports only the ends of its following actions.
        changed = [
            ("wipe", "RUNNING"),
            ("wipe", "SUCCESS"),
            ("write", "SUCCESS"),
            *running_and_success("join", "check"),
        ]
        assert one.events("w") == changed


@pytest.mark.shows("machines/errors-repeated")
@eras
def test_a_server_killed_during_an_action_loses_nothing(database: str, tmp_path: Path, era: str) -> None:
    with lab(database, tmp_path, era) as one:
        one.hold("write")
        one.create("w")
        worker = one.worker("a")
        one.until_began("write")
        one.process.kill()
        one.release("write")
        if era == "2021":
            # Its report fails, so the worker exits; its supervisor starts it again.
            assert worker.wait(30) == 1
        one.process.start()
        if era == "2021":
            one.worker("a")
        one.worker("b")
        one.until_state("w", "STATE_SUCCESS")
        assert one.events("w")[-5:] == [("write", "SUCCESS"), *running_and_success("join", "check")]


@pytest.mark.shows("machines/resume-position", "machines/after-failure")
@eras
def test_a_failed_action_ends_only_its_own_workflow(database: str, tmp_path: Path, era: str) -> None:
    with lab(database, tmp_path, era) as one:
        (tmp_path / "fail-wipe").touch()
        one.create("w")
        worker = one.worker("a")
        one.until_state("w", "STATE_FAILED")
        assert one.events("w") == [("wipe", "RUNNING"), ("wipe", "FAILED")]
        (tmp_path / "fail-wipe").unlink()
        if era == "2021":
            assert worker.wait(30) == 0
            one.worker("a")
        one.worker("b")
        one.create("x")
        one.until_state("x", "STATE_SUCCESS")
        assert one.state("w") == "STATE_FAILED"


def test_the_grpc_port_is_shared_by_the_processes_of_one_server(database: str, tmp_path: Path) -> None:
    port = free_port()
    arguments = ["--database-url", database, "--grpc-port", str(port), "--workers", "2"]
    with serving(tmp_path, *arguments):
        document = {"kind": "machine-template", "name": "demo/provision", "template": ACTIONS}
        (folder := tmp_path / "other").mkdir()
        for number in range(6):
            machine = worker_client(port, is_old=True)
            machine.template("CreateTemplate", name=f"hello-{number}", data=document["template"])
            assert len(list(machine.template("ListTemplates"))) == number + 1
        command = [sys.executable, "-m", "fencepost", "serve", "--port", "0", *arguments[:4]]
        second = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 2
        assert f"cannot listen on 127.0.0.1:{port} for --grpc-port" in second.stderr


def test_the_example_provisions_a_machine(database: str, tmp_path: Path) -> None:
    port = free_port()
    script = Path(__file__).resolve().parents[3] / "examples" / "machines" / "provision.sh"
    with serving(tmp_path, "--database-url", database, "--grpc-port", str(port)) as process:
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "FENCEPOST_URL": f"http://127.0.0.1:{process.port}",
            "MACHINES": f"127.0.0.1:{port}",
        }
        done = subprocess.run([script], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    expected = ["wiping /dev/nvme0n1", "writing /dev/nvme0n1p1", "port of 52:54:00:12:34:56 is open"]
    assert [line for line in done.stdout.splitlines() if line in expected] == expected
    assert "rack-8  example/provision  succeeded" in done.stdout
