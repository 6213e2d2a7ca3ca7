"""Puts the parts together; vocabularies/wiring.py does so for theirs, and nobody else wires.

request  →  /rpc: rpc.Endpoint           →  engine  →  store
            else: Starlette with rest.*  →  engine  →  store
nobody   →  loops: reaper, scheduler, lookout, retain, vigil, errands; the feed; notifications
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from fencepost.clock import Clock, DatabaseClock
from fencepost.domain.builtin import CLEAN_UP, DECISION, REFUSED, RUN_RPC, RUN_SQL
from fencepost.domain.decider import Decide
from fencepost.domain.task import Task
from fencepost.engine.builtin.alone import Alone
from fencepost.engine.builtin.clean_up import clean_up
from fencepost.engine.builtin.refused import refused
from fencepost.engine.builtin.run_rpc import run_rpc
from fencepost.engine.builtin.run_sql import run_sql
from fencepost.engine.deciders import Deciders
from fencepost.engine.decisions import Decisions
from fencepost.engine.definitions import Definitions
from fencepost.engine.dispatcher import Dispatcher
from fencepost.engine.engine import Engine
from fencepost.engine.events import Events
from fencepost.engine.executions import Executions
from fencepost.engine.hands import Hands
from fencepost.engine.hints import Hints
from fencepost.engine.leases import Lease
from fencepost.engine.polls import Polls
from fencepost.engine.schedules import Schedules
from fencepost.engine.tasks import Tasks
from fencepost.engine.triggers import TriggerRules
from fencepost.engine.watch import Watch
from fencepost.engine.workflows import Workflows
from fencepost.loops.errands import Errands
from fencepost.loops.lookout import Lookout
from fencepost.loops.loop import Loop
from fencepost.loops.reaper import Reaper
from fencepost.loops.retain import Retain
from fencepost.loops.schedule import Scheduler
from fencepost.rest.health import Health
from fencepost.rest.site import site
from fencepost.rpc.dispatch import Dispatch
from fencepost.rpc.endpoint import Endpoint
from fencepost.rpc.methods import registry
from fencepost.settings import Settings
from fencepost.store.cleaning import CleaningStore
from fencepost.store.database import Database
from fencepost.store.deadlines import DeadlineStore
from fencepost.store.definitions import DefinitionStore
from fencepost.store.events import EventStore
from fencepost.store.hands import HandStore
from fencepost.store.limits import Limits
from fencepost.store.notifications import News, Notifications
from fencepost.store.partitions import PartitionStore
from fencepost.store.reader import Reader
from fencepost.store.reads import Reads
from fencepost.store.schedules import ScheduleStore
from fencepost.store.server import ServerStore
from fencepost.store.tasks import TaskStore
from fencepost.store.triggers import TriggerStore
from fencepost.store.workflows import WorkflowStore
from fencepost.telemetry import Event, emit
from fencepost.vocabularies.devices.reaper import Vigil
from fencepost.vocabularies.wiring import Core, deciders, vocabularies
from fencepost.wire.cut_off import CutOff
from fencepost.wire.door import Door

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


# Of a stopping server, for each of the few things that may wait for its database.
_STEP_SECONDS = 0.5


class App:
    """A server's parts, and the ASGI application over them; `start` it on the loop that serves it."""

    def __init__(self, settings: Settings, conninfo: str, clock: Clock, by_kind: Mapping[str, Decide]) -> None:
        most = settings.limits.answer_bytes
        reads = Reads(conninfo, connections=settings.read_connections, seconds=settings.read_seconds, answer_bytes=most)
        self.database = Database(conninfo, connections=settings.connections, reads=reads, answer_bytes=most)
        self._server, hints = ServerStore(self.database, clock), Hints()
        workflows = WorkflowStore(self.database, clock, waiting=settings.limits.waiting, on_hints=hints.follow)
        tasks = TaskStore(self.database, clock, workflows, waiting=settings.limits.waiting)
        definitions = Definitions(DefinitionStore(self.database, clock), hints)
        events = EventStore(self.database, clock, waiting=settings.limits.waiting, on_hints=hints.follow)
        triggers = TriggerRules(TriggerStore(self.database), definitions, most_bytes=settings.limits.body_bytes)
        self._dispatcher = Dispatcher(tasks, self._give_back)
        work, families = Tasks(tasks, workflows, definitions, hints), Workflows(workflows, definitions)
        executions = Executions(tasks, Decisions(workflows, tasks, definitions), definitions, hints)
        moves = HandStore(self.database, clock, waiting=settings.limits.waiting, on_hints=hints.follow)
        hands = Hands(moves, tasks, definitions, hints)
        inside, watch = Deciders(work, families, executions, hands, definitions, by_kind), Watch()
        core = Core(settings, self.database, clock, hints, work, families, definitions, hands, inside, watch)
        self.engine = Engine(
            work,
            families,
            executions,
            Polls(self._dispatcher, definitions, hints),
            definitions,
            Events(events, triggers, definitions),
            triggers,
            Schedules(ScheduleStore(self.database, clock, hints.follow), definitions, hints),
            hands,
            inside,
            watch,
            *vocabularies(core),
        )
        self._notifications = Notifications(conninfo, self._server)
        deadlines = DeadlineStore(self.database, clock, grace_seconds=settings.lease_grace_seconds)
        self.reaper = Reaper(deadlines, definitions, hints)
        self.retain = Retain(PartitionStore(self.database, clock), settings.retention)
        self.scheduler = Scheduler(self.engine.schedules)
        self._make_loops(tasks, hints)
        self._wire_hints(hints, definitions, tasks.limits)
        self._errands = self._work(self._open(settings), settings, clock)
        self._working = [Loop("errands", errands.run_once) for errands in self._errands]
        self._tasks: list[asyncio.Task[None]] = []
        self._hearing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hearing.set_result(None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["path"] == "/rpc":
            await self._rpc(scope, receive, send)
        else:
            await self._beside(scope, receive, send)

    @property
    def waiting_polls(self) -> int:
        """How many polls wait on this server."""
        return self._dispatcher.waiting

    @property
    def hanging_up(self) -> int:
        """How many clients have gone away while something may have been claimed for them."""
        return self._dispatcher.hanging_up

    async def start(self) -> None:
        """Begin everything that goes on by itself."""
        await self.reaper.prepare()
        # Before the first request: what comes earlier than its partition goes to the default one and stays there.
        await self.retain.prepare()
        await self.engine.definitions.put_built_in()
        loops = (self._reaping, self._scheduling, self._looking_out, self._retaining, *self._watching, *self._working)
        self._tasks = [asyncio.create_task(loop.run()) for loop in loops]
        self._hearing = asyncio.ensure_future(self._notifications.run())

    async def listening(self) -> None:
        """Return once this server hears the others."""
        await self._notifications.connected.wait()

    async def drain(self) -> None:
        """Take no more polls and answer those that wait."""
        emit(Event.DRAINING)
        self._health.draining = True
        self.engine.watch.close()
        for errands in self._errands:
            errands.stop_polling()
        await self._dispatcher.drain()
        await asyncio.gather(*(errands.drain() for errands in self._errands))

    async def stop(self) -> None:
        """End what goes on by itself and close the database connections; nothing is served any more."""
        self._notifications.close()
        for task in self._tasks:
            task.cancel()
        # Each in its time, however silent the database is.
        await _bounded(asyncio.gather(*self._tasks, self._hearing, return_exceptions=True))
        await _bounded(asyncio.gather(*(errands.abandon() for errands in self._errands)))
        await _bounded(self._notifications.flush())
        await _bounded(self.engine.definitions.checks.close())
        await self.database.close()

    async def _give_back(self, tasks: Sequence[Task], caller: str) -> None:
        leases = [Lease(task.id, UUID(task.exec_id), caller) for task in tasks]
        await self.engine.executions.release(leases, short=True, action="awf.engine/give-back")

    def _work(self, dispatch: Dispatch, settings: Settings, clock: Clock) -> Sequence[Errands]:
        """Return what works on the tasks that the server itself sees to."""
        inside = self.engine.deciders
        cleaning, alone = clean_up(CleaningStore(self.database, clock)), Alone()
        return (
            Errands(self.engine, RUN_RPC, run_rpc(dispatch.call), repeatable=False, alone=alone),
            Errands(self.engine, RUN_SQL, run_sql(_reader(settings)), repeatable=True, alone=alone),
            # One, since it would take the connections of those who wait for an answer.
            Errands(self.engine, CLEAN_UP, cleaning, repeatable=True, alone=alone, at_once=1),
            Errands(self.engine, REFUSED, refused, repeatable=True, alone=alone),
            Errands(self.engine, DECISION, inside.handle, repeatable=True, alone=alone, names=inside.names),
        )

    def _open(self, settings: Settings) -> Dispatch:
        """Make the doors through which requests come; return what runs the calls among them."""
        dispatch, door = Dispatch(registry(), self.engine, settings.limits), Door(settings)
        self._health = Health(self.database)
        self._rpc = Endpoint(dispatch, door, settings.limits)
        self._rest = site(self.engine, self._health, door, settings)
        self._beside = CutOff(self._rest)
        return dispatch

    def _watch_devices(self) -> Sequence[Loop]:
        """Return what looks after devices, and tells what becomes of their runs."""
        devices = self.engine.devices
        self.vigil = Vigil(devices.known)
        keeping, feeding = Loop("vigil", self.vigil.run_once), Loop("feed", devices.feed.run_once)
        devices.known.nudge, devices.feed.nudge = keeping.nudge, feeding.nudge
        return keeping, feeding

    def _make_loops(self, tasks: TaskStore, hints: Hints) -> None:
        self._watching = self._watch_devices()
        self._reaping = Loop("reaper", self.reaper.run_once)
        self._retaining = Loop("retain", self.retain.run_once)
        self._scheduling = Loop("scheduler", self.scheduler.run_once)
        self._looking_out = Loop("lookout", Lookout(tasks, self._dispatcher, hints).run_once)

    def _wire_hints(self, hints: Hints, definitions: Definitions, limits: Limits) -> None:
        watch = self.engine.watch
        hints.on_ready += [self._dispatcher.ready, self._notifications.ready, watch.nudge]
        hints.on_deadline += [self._reaping.nudge, watch.nudge]
        triggers = self.engine.triggers
        hints.on_definition += [definitions.forget, triggers.forget, limits.forget]
        hints.on_definition += [self._look_again, self._notifications.definition]

        def heard(news: News) -> None:
            for definition, count in news.ready.items():
                self._dispatcher.ready(definition, count)
            watch.nudge()
            for name in news.definitions:
                definitions.forget(name)
                triggers.forget(name)
                limits.forget()
                self._look_again()

        def connected() -> None:
            # Nobody heard what was said while the connection was away.
            definitions.forget_all()
            triggers.forget()
            limits.forget()
            self._look_again()
            self._reaping.nudge()
            self._looking_out.nudge()

        self._notifications.on_news = heard
        self._notifications.on_connected = connected

    def _look_again(self, _: str = "") -> None:
        """Let those who work on whatever is declared see what is."""
        for errands, loop in zip(self._errands, self._working, strict=True):
            errands.look_again()
            loop.nudge()
        # It may be a schedule, with a due time before all that are known here.
        self._scheduling.nudge()


async def _bounded(step: Awaitable[object]) -> None:
    """Wait for a step of the end, for a moment."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_STEP_SECONDS):
            await step


def build_app(
    settings: Settings, conninfo: str, clock: Clock | None = None, more: Mapping[str, Decide] | None = None
) -> App:
    """Wire a server over a migrated database; call it on the event loop that will serve it.

    `more` are deciders of documents that are none of ours to decide over, by their kind.
    """
    return App(settings, conninfo, clock or DatabaseClock(), {**deciders(settings), **(more or {})})


def _reader(settings: Settings) -> Reader | None:
    if settings.run_sql_url is None:
        return None
    seconds, most_bytes = settings.run_sql_timeout_seconds, settings.limits.body_bytes
    return Reader(settings.run_sql_url, seconds=seconds, most_bytes=most_bytes)
