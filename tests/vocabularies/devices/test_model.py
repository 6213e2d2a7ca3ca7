"""Device runs under random requests, reports, cancels and time, on two servers.

A model knows what must come of each.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from fencepost.clock import FrozenClock
from fencepost.settings import DeviceSettings, Settings
from fencepost.vocabularies.devices.reaper import DeviceReaper
from tests.fixtures.devices import Fleet, socket_to
from tests.fixtures.models import run_model
from tests.fixtures.servers import Server, running_server

pytestmark = pytest.mark.shows("guarantees/one-run-per-device")

T = TypeVar("T")
RETRIES, STEPS, WINDOW, SILENCE = 1, 2, 10, 15
DEVICES = ("r1", "r2")
LEADS = {
    ("PENDING", "start"): "IN_PROGRESS",
    ("IN_PROGRESS", "complete"): "COMPLETED",
    ("PENDING", "reject"): "REJECTED",
    ("PENDING", "abort"): "ABORTED",
    ("PENDING", "fail"): "ABORTED",
    ("IN_PROGRESS", "abort"): "ABORTED",
    ("IN_PROGRESS", "fail"): "ABORTED",
}
WORDS = {"start": "IN_PROGRESS", "complete": "COMPLETED", "reject": "REJECTED", "abort": "ABORTED", "fail": "ABORTED"}


@dataclass
class Task:
    """A task in the model."""

    id: str
    attempt: int
    step: int
    number: int
    status: str = "PENDING"
    payload: dict[str, Any] = field(default_factory=dict)
    age: float = 0

    @property
    def is_retry(self) -> bool:
        """Return whether an earlier try of the step or attempt of the run failed."""
        return self.number > 1 or (self.attempt > 1 and self.step == 1)


@dataclass
class Run:
    """A run in the model."""

    id: str
    device: str
    tasks: list[Task]
    status: str = "RUNNING"

    @property
    def live(self) -> Task | None:
        """The live task."""
        return None if self.over else self.tasks[-1]

    @property
    def over(self) -> bool:
        """Return whether the run has ended."""
        return self.status in ("COMPLETED", "FAILED", "ABORTED")

    def after(self, status: str, fail_point: object) -> Task | None:
        """Record the end of the live task; return the task that begins next."""
        task = self.tasks[-1]
        task.status = status
        if status == "COMPLETED":
            if task.step == STEPS:
                self.status = "COMPLETED"
                return None
            return Task("", task.attempt, task.step + 1, 1)
        if fail_point is not None and task.attempt <= RETRIES:
            return Task("", task.attempt + 1, 1, 1, payload={"failPoint": fail_point})
        if fail_point is None and task.number <= RETRIES:
            return Task("", task.attempt, task.step, task.number + 1, payload=task.payload)
        self.status = "FAILED"
        return None


class Patrols(RuleBasedStateMachine):
    """Clients and devices of two servers on one database."""

    clock = FrozenClock()
    servers: tuple[Server, Server]

    @initialize()
    def declare(self) -> None:
        self.turn = itertools.cycle(self.servers)
        steps = [{"action": f"STEP_{number}"} for number in range(STEPS)]
        self.fleets = {server.url: Fleet(server, steps=steps) for server in self.servers}
        self.runs: list[Run] = []
        # Seconds since the last heartbeat of each watched device.
        self.silent: dict[str, float] = {}
        for workflow in self.servers[0].rpc("awf.workflow/list", {"filter": {"status": "in-progress"}})["resources"]:
            self.servers[0].rpc("awf.workflow/cancel", {"id": workflow["id"]})
        self.servers[0].query("delete from fencepost.devices")

    @property
    def fleet(self) -> Fleet:
        """The devices, alternately through one of the two servers."""
        return self.fleets[next(self.turn).url]

    @rule(device=st.sampled_from(DEVICES))
    def begin(self, device: str) -> None:
        status, answer = self.fleet.send("POST", "/workflows/demo/patrol/runs", {"device": device})
        busy = [run for run in self.runs if run.device == device and not run.over]
        assert status == (409 if busy else 201)
        if busy:
            assert busy[0].id in answer["error"]["message"]
        else:
            self.runs.append(Run(answer["id"], device, [Task(answer["currentTaskId"], 1, 1, 1)]))

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), verb=st.sampled_from(sorted(WORDS)), point=st.sampled_from([None, None, 1, "a", [1]]))
    def report(self, data: st.DataObject, verb: str, point: object) -> None:
        run = data.draw(st.sampled_from(self.runs[-3:]))
        # Mostly the live task, sometimes an earlier one.
        task = run.tasks[-1] if data.draw(st.integers(0, 4)) else data.draw(st.sampled_from(run.tasks))
        body = {"failPoint": point} if point is not None else {}
        status, answer = self.fleet.send("POST", f"/tasks/{task.id}/{verb}", body)
        if task.status == WORDS[verb]:
            assert (status, answer["status"]) == (200, task.status)
        elif (task.status, verb) not in LEADS:
            assert (status, answer["error"]["type"]) == (409, "report-refused")
            return
        else:
            assert (status, answer["status"]) == (200, LEADS[task.status, verb])
            self.moved(run, answer["status"], point if verb in ("abort", "fail") else None)
        if run.device in self.silent:
            self.silent[run.device] = 0

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.runs[-3:]))
        status, _ = self.fleet.send("POST", f"/workflow-runs/{run.id}/stop")
        assert status == (409 if run.status in ("COMPLETED", "FAILED") else 200)
        self.aborted(run)

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def cancel_task(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.runs[-3:]))
        if run.live is not None:
            self.fleet.server.rpc("awf.task/cancel", {"id": run.live.id})
            self.settle(run)
            self.aborted(run)

    @rule(device=st.sampled_from(DEVICES))
    def connect(self, device: str) -> None:
        with socket_to(self.fleet.server, f"/devices/{device}/events") as channel:
            run = next((run for run in self.runs if run.device == device and not run.over), None)
            if run is not None and run.tasks[-1].status == "PENDING":
                assert channel.next("TASK_REGISTERED")["task_id"] == run.tasks[-1].id
        self.silent[device] = 0

    @rule(seconds=st.sampled_from([1, 4, 9, 16]))
    def pass_time(self, seconds: int) -> None:
        lost = [device for device, silence in self.silent.items() if silence + seconds >= SILENCE]
        late = [run for run in self.runs if run.live and run.live.age + seconds >= WINDOW]
        late = [run for run in late if run.tasks[-1].status == "PENDING"]
        if {run.device for run in late} & set(lost):
            return  # which of the two comes first is the servers' affair
        self.clock.advance(timedelta(seconds=seconds))
        for run in self.runs:
            if run.live is not None:
                run.live.age += seconds
        self.silent = {device: silence + seconds for device, silence in self.silent.items()}
        server = self.fleet.server
        server.reap()
        self.expire(late)
        for device in lost:
            del self.silent[device]
        server.run(server.app.of(DeviceReaper).run_once())
        self.expire([run for run in self.runs if run.device in lost])

    def expire(self, runs: list[Run]) -> None:
        """Record that the server has aborted the live tasks of these runs."""
        for run in runs:
            if run.live is not None:
                self.settle(run)
                self.moved(run, "ABORTED", None)

    def moved(self, run: Run, status: str, fail_point: object) -> None:
        """Record a new status of the live task and the action that follows."""
        if status == "IN_PROGRESS":
            run.tasks[-1].status = status
            return
        following = run.after(status, fail_point)
        if following is not None:
            following.id = self.fleet.run(run.id)["tasks"][-1]["id"]
            run.tasks.append(following)

    def aborted(self, run: Run) -> None:
        """Record the stop of a run."""
        if run.live is not None:
            run.live.status = "ABORTED"
            run.status = "ABORTED"

    def settle(self, run: Run) -> None:
        server = self.fleet.server
        server.run(server.app.engine.deciders.run_pending_decisions(run.id))

    @invariant()
    def everything_stands_as_the_model_says(self) -> None:
        for known in self.runs[-3:]:
            run = self.fleet.run(known.id)
            newest = known.tasks[-1]
            status = known.status
            if not known.over and newest.status == "PENDING" and newest.is_retry:
                status = "RETRYING"
            assert run["status"] == status
            members = ("id", "attempt", "step", "status", "payload")
            found = [tuple(task[name] for name in members) for task in run["tasks"]]
            assert found == [tuple(getattr(task, name) for name in members) for task in known.tasks]

    @invariant()
    def a_device_has_one_live_run_and_that_has_one_live_task(self) -> None:
        live = Counter(run.device for run in self.runs if not run.over)
        assert all(count == 1 for count in live.values())
        tasks = self.servers[0].query(
            "select definition, count(*) from fencepost.live_tasks where definition like 'device/%' group by definition"
        )
        assert {name.removeprefix("device/"): count for name, count in tasks} == dict(live)


@pytest.fixture
def patient() -> Settings:
    return Settings(lease_grace_seconds=0, devices=DeviceSettings(retries=RETRIES))


@pytest.mark.shows("devices/model")
def test_runs_agree_with_the_model(database: str, patient: Settings) -> None:
    clock = FrozenClock()
    with running_server(database, clock, patient) as one, running_server(database, clock, patient) as other:
        for server in (one, other):
            # Each start of a server extends the deadlines that were due before.
            server.run(server.app.of(DeviceReaper).run_once())
        Patrols.clock, Patrols.servers = clock, (one, other)
        run_model(Patrols, examples=25, steps=40)
