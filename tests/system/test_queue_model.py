"""Random calls to the HTTP API and to a model of the queue: both agree after every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, ClassVar

import psycopg
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fencepost.clock import FrozenClock
from tests.fixtures.models import run_model
from tests.fixtures.protocols import PROTOCOLS, Protocol, speaking
from tests.fixtures.servers import FEW_CONNECTIONS, Server
from tests.fixtures.waiting import until
from tests.system import queue_calls as calls
from tests.system.queue_model import Model
from tests.system.queue_tasks import Task, Terms, check_replay, seen

pytestmark = pytest.mark.shows("guarantees/no-stuck-task", "guarantees/log-is-state")


@st.composite
def terms_of_all_kinds(draw: st.DrawFn) -> Terms:
    requested, in_progress, delay = (draw(st.sampled_from(some)) for some in ([5, 10], [4, 20], [1, 30]))
    limit = draw(st.none() | st.integers(1, 2))
    path = draw(st.sampled_from([(), ("params", "a"), ("params", "a", "b")])) if limit else ()
    times = [timedelta(seconds=seconds) for seconds in (requested, in_progress, delay)]
    return Terms(0, times[0], times[1], draw(st.integers(0, 2)), times[2], limit, path)


_numbers = count(1)


class Queue(RuleBasedStateMachine):
    """One example: two definitions, on the server and the clock that all examples share."""

    server: ClassVar[Server]
    clock: ClassVar[FrozenClock]
    database: ClassVar[psycopg.Connection[Any]]

    def __init__(self) -> None:
        super().__init__()
        now = self.clock.now()
        assert now is not None
        self.model = Model(now)
        prefix = f"model/{next(_numbers)}"
        self.definitions = [f"{prefix}-a", f"{prefix}-b"]
        seconds = [timedelta(seconds=number) for number in range(31)]
        self._define(self.definitions[0], Terms(0, seconds[10], seconds[20], 1, seconds[5]))
        self._define(self.definitions[1], Terms(0, seconds[5], seconds[4], 0, seconds[30], 2, ("params", "a")))

    # Calls, one by one and together

    @rule(spec=calls.creates)
    def create(self, spec: calls.Create) -> None:
        self._one(spec)

    @precondition(lambda self: self.model.tasks)
    @rule(spec=calls.creates_again)
    def create_again(self, spec: calls.Create) -> None:
        self._one(spec)

    @rule(spec=calls.creates_many)
    def create_many(self, spec: calls.CreateMany) -> None:
        self._one(spec)

    @rule(spec=calls.polls)
    def poll(self, spec: calls.Poll) -> None:
        self._one(spec)

    @precondition(lambda self: self.model.executions)
    @rule(spec=calls.says)
    def say(self, spec: calls.Say) -> None:
        self._one(spec)

    @precondition(lambda self: self.model.executions)
    @rule(spec=calls.says_late)
    def say_late(self, spec: calls.Say) -> None:
        self._one(spec)

    @precondition(lambda self: self.model.executions)
    @rule(spec=calls.ends_many)
    def end_many(self, spec: calls.EndMany) -> None:
        self._one(spec)

    @precondition(lambda self: self.model.tasks)
    @rule(spec=calls.abouts)
    def cancel_or_retry(self, spec: calls.About) -> None:
        self._one(spec)

    @rule(
        specs=st.lists(
            calls.creates
            | calls.creates_again
            | calls.creates_many
            | calls.polls
            | calls.says
            | calls.says_late
            | calls.ends_many
            | calls.abouts,
            min_size=2,
            max_size=8,
        )
    )
    def several_in_one_array(self, specs: list[calls.Spec]) -> None:
        self._array([spec.call(self.model, self.definitions) for spec in specs])

    @precondition(lambda self: self.model.executions)
    @rule(spec=calls.says, times=st.integers(2, 4))
    def the_same_again_in_one_array(self, spec: calls.Say, times: int) -> None:
        self._array([spec.call(self.model, self.definitions)] * times)

    @rule(number=calls.PICK, terms=terms_of_all_kinds())
    def change_a_definition(self, number: int, terms: Terms) -> None:
        self._define(calls.pick(self.definitions, number), terms)

    @rule(milliseconds=st.sampled_from([1, 999, 1000, 4000, 10_000, 60_000]))
    def time_passes(self, milliseconds: int) -> None:
        self.clock.advance(timedelta(milliseconds=milliseconds))
        until(self._nothing_is_due)
        self.model.advance(timedelta(milliseconds=milliseconds), self._retry_at)

    def _retry_at(self, task: Task) -> datetime:
        return datetime.fromisoformat(self.server.task(task.id)["executeAt"])

    def _one(self, spec: calls.Spec) -> None:
        method, params = spec.call(self.model, self.definitions)
        status, answer = self.server.post({"method": method, "params": params})
        self.model.answer(method, params, status, answer)

    def _array(self, array: Sequence[calls.Call]) -> None:
        status, answers = self.server.post([{"method": method, "params": params} for method, params in array])
        assert status == 200
        for (method, params), answer in zip(array, answers, strict=True):
            self.model.answer(method, params, None, answer)

    def _define(self, name: str, terms: Terms) -> None:
        times = {
            "requestedToStartTimeout": terms.requested,
            "inProgressTimeout": terms.in_progress,
            "retryDelay": terms.delay,
        }
        members: dict[str, Any] = {member: round(time.total_seconds() * 1000) for member, time in times.items()}
        if terms.limit is not None:
            members["concurrencyLimit"] = terms.limit
        if terms.path:
            members["concurrencyPath"] = list(terms.path)
        version = self.server.define(name, allowedRetryCount=terms.retries, **members)["version"]
        now = self.model.terms.get(name)
        said = replace(terms, version=version)
        assert said == now or version == (now.version + 1 if now else 1)
        self.model.terms[name] = said

    def _nothing_is_due(self) -> bool:
        self.server.reap()
        due = "select exists (select from fencepost.live_tasks where deadline_at <= %s)"
        return self.database.execute(due, (self.clock.now(),)).fetchone() == (False,)

    # After every step

    @invariant()
    def every_task_is_as_the_model_says(self) -> None:
        ids = list(self.model.tasks)
        if not ids:
            return
        _, answers = self.server.post(
            [{"method": "awf.task/status", "params": {"id": id, "include-log?": True}} for id in ids]
        )
        for task, answer in zip(self.model.tasks.values(), answers, strict=True):
            resource, log = answer["result"]["resource"], answer["result"]["log"]
            assert seen(resource) == task.view()
            assert [(entry["action"], entry.get("status-before"), entry["status-after"]) for entry in log] == task.log
            check_replay(resource, log)

    @invariant()
    def no_task_is_lost_or_lives_twice(self) -> None:
        rows = self.database.execute(
            "select id, count(*) from fencepost.task_resources where definition = any(%s) group by id",
            (self.definitions,),
        ).fetchall()
        assert sorted(rows) == sorted((id, 1) for id in self.model.tasks)

    @invariant()
    def every_execution_is_of_one_task(self) -> None:
        live = [task.exec_id for task in self.model.tasks.values() if task.exec_id is not None]
        assert len(live) == len(set(live))
        assert all(self.model.executions[exec_id].task.exec_id == exec_id for exec_id in live)


@pytest.mark.timeout(600)  # passes in seconds; hypothesis needs minutes to shrink a failure
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_queue_answers_random_calls_as_its_model_does(
    database: str, clock: FrozenClock, protocol: Protocol
) -> None:
    settings = replace(FEW_CONNECTIONS, lease_grace_seconds=0)
    with (
        speaking(protocol, database, settings, clock=clock) as server,
        psycopg.connect(server.conninfo, autocommit=True) as connection,
    ):
        here = {"server": server, "clock": clock, "database": connection}
        run_model(type("Queue", (Queue,), here), examples=20, steps=40)
