"""The run: every contestant once per round, each round starting with another one, with checks after each.

Rounds are interleaved because the speed of the machine changes: compared values were measured within minutes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg

from bench.contestant import Drained, Manner
from bench.contestants.fencepost_worker import STEPS
from bench.lane import Lane, LaneFailed
from bench.loads.idle import idle_polls
from bench.loads.preload import preload
from bench.loads.single import CONNECTIONS, DEFINITION, missing, single_calls
from bench.meter import Cost, Meter
from bench.plan import OURS, SINGLE, Plan
from bench.postgres import Postgres, dead_tuples
from bench.samples import Samples

_WARM_UP = 500
_IDLE = "fencepost:idle"
# More than a server can finish in a second, so that no poll is empty.
_MOST_SINGLE_TASKS = 5000


class Race:
    """One run of a plan; `samples` has the results, `tell` is called with messages about the progress."""

    def __init__(self, plan: Plan, postgres: Postgres, tell: Callable[[str], None]) -> None:
        self._plan = plan
        self._postgres = postgres
        self._tell = tell
        self._lanes: dict[str, Lane] = {}
        self._dsn: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._left: dict[str, int] = {}
        self._snapshot: psycopg.Connection[Any] | None = None
        self._snapshot_since = 0.0
        self.samples = Samples()

    def run(self) -> None:
        """Run all rounds; a contestant that fails is removed with a note."""
        try:
            for name in self._plan.contestants:
                self._guard(name, partial(self._prepare, name))
            for number in range(self._plan.rounds):
                names = list(self._lanes)
                first = number * max(1, len(names) // self._plan.rounds) % max(1, len(names))
                for name in names[first:] + names[:first]:
                    self._tell(f"round {number + 1} of {self._plan.rounds}: {name}")
                    self._guard(name, partial(self._measure, name))
            self._count_dead_tuples()
            if self._plan.takes_part(OURS, "idle") and OURS in self._lanes:
                self._tell(f"{self._plan.idle_polls} idle polls")
                self._guard(_IDLE, self._idle)
        finally:
            if self._snapshot is not None:
                self._snapshot.close()
            for lane in self._lanes.values():
                lane.stop()

    def _guard(self, name: str, step: Callable[[], None]) -> None:
        try:
            step()
        except (LaneFailed, psycopg.Error) as failed:
            self.samples.note(name, f"{name}: {failed}" if isinstance(failed, psycopg.Error) else str(failed))
            self._tell(str(failed))
            if (lane := self._lanes.pop(name, None)) is not None:
                lane.stop()

    def _prepare(self, name: str) -> None:
        self._tell(f"preparing {name}")
        lane = self._lanes[name] = self._lane(name)
        if (reason := lane.ask("available")) is not None:
            raise LaneFailed(f"{name}: {reason}")
        self._dsn[name] = self._postgres.new_database(name)
        lane.ask("prepare", self._dsn[name])
        manner = self.samples.manners[name] = Manner(**lane.ask("manner"))
        self.samples.note(name, f"{name}: {manner.settings}")
        if self._plan.takes_part(name, "drain"):
            self._warm_up(name, lane)

    def _lane(self, name: str) -> Lane:
        return Lane(name, self._plan.ours if name.startswith(OURS) else None, patience=self._plan.patience)

    def _warm_up(self, name: str, lane: Lane) -> None:
        """Run a contestant once, and set its number of tasks from its rate."""
        if name.endswith(":loaded"):
            preload(lane, self._dsn[name], finished=self._plan.finished, waiting=self._plan.waiting)
            self._left[name] = lane.ask("left")
            self.samples.note(name, f"{name}: {self._plan.finished} finished, {self._left[name]} ready before")
        if name.endswith(":snapshot"):
            self._snapshot = psycopg.connect(self._dsn[name])
            self._snapshot.execute("set transaction isolation level repeatable read")
            self._snapshot.execute("select count(*) from pg_class")
            self._snapshot_since = time.monotonic()
        if name.endswith(":workflows"):
            self._counts[name] = self._plan.flows * STEPS
            return
        count = min(_WARM_UP, self._plan.count)
        lane.ask("create", count)
        drained = self._checked(name, count, lane.drain(count))
        self._check_history(name)
        rate = drained.handled / drained.seconds
        self._counts[name] = max(100, min(self._plan.count, int(rate * self._plan.most_seconds) // 100 * 100))

    def _check_history(self, name: str) -> None:
        """Check after the first drain that finished tasks are kept, or not, as the contestant says."""
        manner = self.samples.manners[name]
        if manner.finished and not name.endswith(":loaded"):
            with psycopg.connect(self._dsn[name], autocommit=True) as connection:
                row = connection.execute(manner.finished.encode()).fetchone()
            kept = min(_WARM_UP, self._plan.count) if manner.history == "kept" else 0
            if row is None or row[0] != kept:
                raise LaneFailed(f"{name}: expected {kept} finished tasks in its tables, and found {row}")

    def _measure(self, name: str) -> None:
        lane = self._lanes[name]
        if self._plan.takes_part(name, "create") or self._plan.takes_part(name, "drain"):
            self._queue(name, lane)
        if self._plan.takes_part(name, "latency"):
            for seconds in lane.ask("latency", self._plan.latencies):
                self.samples.add("latency", name, {"ms": seconds * 1000})
        if self._plan.takes_part(name, "single"):
            self._single(name, lane)
        if self._plan.takes_part(name, "in-flight"):
            meter = self._meter(lane)
            seconds = lane.ask("create_in_flight", self._plan.in_flight)
            self.samples.add("in-flight", name, _per_task(self._plan.in_flight, seconds, meter.stop()))

    def _queue(self, name: str, lane: Lane) -> None:
        count = self._counts[name]
        meter = self._meter(lane)
        seconds = lane.ask("create", count)
        cost = meter.stop()
        # A workflow creates its tasks itself, during the drain.
        has_flows = name.endswith(":workflows")
        if not has_flows:
            self.samples.add("create", name, _per_task(count, seconds, cost))
        begun, meter = cost, self._meter(lane)
        drained = lane.drain(count)
        cost = meter.stop()
        self._checked(name, count, drained)
        sample = _per_task(drained.handled + drained.decided, drained.seconds, cost)
        self.samples.add("drain", name, {**sample, "batch": drained.handled / drained.calls})
        if has_flows:
            spent = sum(part.cpu[group] for part in (begun, cost) for group in ("postgres", "all"))
            self.samples.add("steps", name, {"us": spent / drained.handled * 1e6})

    def _checked(self, name: str, created: int, drained: Drained) -> Drained:
        """Return the result of a drain; raises LaneFailed unless each task was done once, in calls of its kind."""
        left = self._left.get(name, 0) + created - drained.handled
        if drained.handled != drained.tasks or drained.left != left or drained.handled < created:
            raise LaneFailed(f"{name}: not exactly once: created {created}, expected {left} left, and got {drained}")
        batch = self.samples.manners[name].batch
        if not math.ceil(drained.handled / batch) <= drained.calls <= math.ceil(drained.handled / min(batch, 2)):
            raise LaneFailed(f"{name}: handler calls of up to {batch} tasks do not fit {drained}")
        self._left[name] = left
        return drained

    def _single(self, name: str, lane: Lane) -> None:
        if (reason := missing()) is not None:
            self.samples.note("single", f"single calls: {reason}")
            return
        before = 0
        if name == SINGLE:
            lane.ask("create", self._plan.single_seconds * _MOST_SINGLE_TASKS, DEFINITION)
            before = lane.ask("left", DEFINITION)
        meter = self._meter(lane)
        counted = single_calls(lane.ask("url"), self._plan.single_seconds)
        calls = counted["polls"] + counted["started"] + counted["succeeded"]
        if not calls:
            raise LaneFailed(f"{name}: no single call was answered: {counted}")
        self.samples.add("single", name, {**counted, **_per_task(calls, counted["seconds"], meter.stop())})
        if name == SINGLE:
            # Calls in flight at the end of the load may have finished tasks without a read answer.
            done = before - lane.ask("left", DEFINITION)
            if not counted["succeeded"] <= done <= counted["succeeded"] + CONNECTIONS or counted["wrong"]:
                raise LaneFailed(f"{name}: {done} tasks are done after {counted}")

    def _idle(self) -> None:
        lane = self._lanes[_IDLE] = self._lane(OURS)
        dsn = self._postgres.new_database(_IDLE)
        lane.ask("prepare", dsn)
        cost = idle_polls(self._postgres, lane, _IDLE, count=self._plan.idle_polls, seconds=self._plan.idle_seconds)
        if cost["ended"]:
            raise LaneFailed(f"{_IDLE}: {cost['ended']:.0f} of the polls were answered or cut")
        self.samples.add("idle", OURS, cost)

    def _count_dead_tuples(self) -> None:
        """Count the dead tuples that the rounds left, while the snapshot is still held."""
        for name, dsn in self._dsn.items():
            if name in self._lanes and self._plan.takes_part(name, "drain"):
                self.samples.add("dead", name, {"tuples": dead_tuples(dsn)})
        if self._snapshot is not None:
            held = time.monotonic() - self._snapshot_since
            self.samples.note("snapshot", f"fencepost:snapshot: a transaction held its snapshot for {held:.0f} s")

    def _meter(self, lane: Lane) -> Meter:
        servers = lane.ask("servers")
        return Meter(self._postgres.observer, {"postgres": [self._postgres.pid], "all": [lane.pid], "server": servers})


def _per_task(count: int, seconds: float, cost: Cost) -> dict[str, float]:
    micros = {group: spent / count * 1e6 for group, spent in cost.cpu.items()}
    return {
        "count": count,
        "rate": count / seconds,
        "postgres_us": micros["postgres"],
        "server_us": micros["server"],
        "client_us": micros["all"] - micros["server"],
        "wal_bytes": cost.wal_bytes / count,
        "commits": cost.commits / count,
    }
