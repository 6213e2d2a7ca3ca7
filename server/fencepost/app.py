"""The composition root: builds every part of a server and hands each what it needs.

request   /rpc             rpc.Endpoint             engine, services of vocabularies   store
          everything else  http.site with routes    engine, services of vocabularies   store
no call   loops: reaper, scheduler, fallback poller, cleaners, the workers of built-in tasks, those of vocabularies
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, TypeVar

from fencepost.clock import Clock, DatabaseClock
from fencepost.domain.builtin import CLEAN_UP, DECISION, REFUSED, RUN_RPC, RUN_SQL
from fencepost.domain.decider import Decide
from fencepost.engine.announcements import Announcements
from fencepost.engine.builtin.clean_up import clean_up
from fencepost.engine.builtin.isolation import Isolation
from fencepost.engine.builtin.refused import refused
from fencepost.engine.builtin.run_rpc import run_rpc
from fencepost.engine.builtin.run_sql import run_sql
from fencepost.engine.bulk_creates import BulkCreates
from fencepost.engine.bulk_finishes import BulkFinishes
from fencepost.engine.change_feed import ChangeFeed
from fencepost.engine.context import Services
from fencepost.engine.deciders import Deciders
from fencepost.engine.decisions import Decisions
from fencepost.engine.definitions import Definitions
from fencepost.engine.dispatcher import Dispatcher
from fencepost.engine.ends import Ends
from fencepost.engine.engine import Engine
from fencepost.engine.events import Events
from fencepost.engine.executions import Executions
from fencepost.engine.polls import Polls
from fencepost.engine.schedules import Schedules
from fencepost.engine.tasks import Tasks
from fencepost.engine.transitions_by_id import TransitionsById
from fencepost.engine.triggers import TriggerRules
from fencepost.engine.waits import Waits, live_task, live_workflow
from fencepost.engine.wakeups import Wakeups
from fencepost.engine.workflows import Workflows
from fencepost.http.admission import Admission
from fencepost.http.guard import Guard
from fencepost.http.interrupted import InterruptedResponses
from fencepost.http.site import site
from fencepost.loops.background import Background
from fencepost.loops.end_finder import EndFinder
from fencepost.loops.fallback_poller import FallbackPoller
from fencepost.loops.internal_worker import InternalWorker
from fencepost.loops.loop import Loop
from fencepost.loops.partition_maintainer import PartitionMaintainer
from fencepost.loops.reaper import Reaper
from fencepost.loops.receipt_cleaner import ReceiptCleaner
from fencepost.loops.request_cleaner import RequestCleaner
from fencepost.loops.scheduler import Scheduler
from fencepost.routes.health import ApiDocument, Health
from fencepost.rpc.dispatch import Dispatch
from fencepost.rpc.endpoint import Endpoint
from fencepost.settings import Settings
from fencepost.store.cleaning import CleaningStore
from fencepost.store.database import Database
from fencepost.store.deadlines import DeadlineStore
from fencepost.store.definitions import DefinitionStore
from fencepost.store.ends import TaskEnds, WorkflowEnds
from fencepost.store.events import EventStore
from fencepost.store.notifications import Notifications
from fencepost.store.partitions import PartitionStore
from fencepost.store.reader import Reader
from fencepost.store.reads import Reads
from fencepost.store.schedules import ScheduleStore
from fencepost.store.server import ServerStore
from fencepost.store.tasks import TaskStore
from fencepost.store.transitions_by_id import TransitionStore
from fencepost.store.triggers import TriggerStore
from fencepost.store.workflows import WorkflowStore
from fencepost.telemetry import Event, emit
from fencepost.vocabularies.all import ALL
from fencepost.vocabularies.plugin import Core, Running, Vocabulary, documents_of, methods_of, routes_of

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
T = TypeVar("T")

# Limit of each step of a stop that may wait for the database.
_STEP_SECONDS = 0.5


def build_app(
    settings: Settings, conninfo: str, clock: Clock | None = None, vocabularies: Sequence[Vocabulary] = ALL
) -> App:
    """Return a server over a migrated database. Call it on the event loop that will serve it."""
    clock, limits = clock or DatabaseClock(), settings.limits
    documents = documents_of(vocabularies)

    # The database.
    reads = Reads(
        conninfo,
        connections=settings.read_connections,
        seconds=settings.read_seconds,
        answer_bytes=limits.answer_bytes,
    )
    database = Database(conninfo, connections=settings.connections, reads=reads, answer_bytes=limits.answer_bytes)
    notifications = Notifications(conninfo, ServerStore(database, clock))
    wakeups = Wakeups()

    workflow_store = WorkflowStore(database, clock, waiting=limits.waiting, on_wakeups=wakeups.publish)
    task_store = TaskStore(database, clock, workflow_store, waiting=limits.waiting)
    event_store = EventStore(database, clock, waiting=limits.waiting, on_wakeups=wakeups.publish)
    transition_store = TransitionStore(database, clock, waiting=limits.waiting, on_wakeups=wakeups.publish)

    # The use cases of the core.
    definitions = Definitions(DefinitionStore(database, clock, documents), wakeups, documents)
    tasks = Tasks(task_store, workflow_store, definitions, wakeups)
    workflows = Workflows(workflow_store, definitions, wakeups)
    executions = Executions(task_store, Decisions(workflow_store, task_store, definitions), definitions, wakeups)
    dispatcher = Dispatcher(task_store, executions.give_back, documents.built_in)
    task_store.hand_over = dispatcher.hand_over
    triggers = TriggerRules(TriggerStore(database), definitions, most_bytes=limits.body_bytes)
    transitions = TransitionsById(transition_store, task_store, definitions, wakeups)
    engine = Engine(
        tasks=tasks,
        bulk_creates=BulkCreates(task_store, tasks, definitions, wakeups),
        workflows=workflows,
        executions=executions,
        bulk_finishes=BulkFinishes(task_store, executions, definitions, wakeups),
        polls=Polls(dispatcher, definitions, wakeups),
        definitions=definitions,
        events=Events(event_store, triggers, definitions),
        triggers=triggers,
        schedules=Schedules(ScheduleStore(database, clock, wakeups.publish), definitions, wakeups),
        transitions=transitions,
        deciders=Deciders(tasks, workflows, executions, transitions, definitions, _deciders(vocabularies, settings)),
        changes=ChangeFeed(),
        task_waits=Waits(TaskEnds(database, clock), live_task, most=limits.waiting),
        workflow_waits=Waits(WorkflowEnds(database, workflow_store), live_workflow, most=limits.waiting),
    )

    # The vocabularies.
    core = Core(settings, database, clock, wakeups, engine)
    running = [vocabulary.start(core) for vocabulary in vocabularies]
    health = Health(database)
    of_vocabularies = (service for one in running for service in one.services)
    services = {type(service): service for service in (health, ApiDocument(), *of_vocabularies)}

    # HTTP.
    dispatch = Dispatch(methods_of(vocabularies, documents), engine, services, limits)
    admission = Admission(settings)
    rest = site(routes_of(vocabularies), engine, services, admission, limits)

    # The background work.
    reaper = Reaper(DeadlineStore(database, clock, grace_seconds=settings.lease_grace_seconds), definitions, wakeups)
    orphans = [name for vocabulary in vocabularies for name in vocabulary.orphans]
    partitions = PartitionMaintainer(PartitionStore(database, clock, orphans), settings.retention)
    scheduler = Scheduler(engine.schedules)
    reaping, maintaining = Loop("reaper", reaper.run_once), Loop("partition-maintainer", partitions.run_once)
    polling = Loop("fallback-poller", FallbackPoller(task_store, dispatcher, wakeups).run_once)
    cleaning = Loop("request-cleaner", RequestCleaner(task_store).run_once)
    waits = (engine.task_waits, engine.workflow_waits)
    ends = Ends(waits, tell_awaited=notifications.awaited, tell_ended=notifications.ended)
    finding = Loop("end-finder", EndFinder(waits, ends).run_once)
    ends.look = finding.nudge
    receipts = Loop("receipt-cleaner", ReceiptCleaner(task_store.receipts).run_once)
    background = Background(
        [reaping, polling, finding, maintaining, cleaning, receipts, *(loop for one in running for loop in one.loops)],
        _workers(engine, dispatch, settings, CleaningStore(database, clock)),
        scheduling=Loop("scheduler", scheduler.run_once),
    )

    # Changes, of this server and of others.
    def connected() -> None:
        reaping.nudge()
        polling.nudge()
        finding.nudge()

    announcements = Announcements(
        dispatcher,
        engine.changes,
        definitions,
        triggers,
        task_store.limits,
        ends,
        on_definition=background.definitions_changed,
        on_connected=connected,
    )
    wakeups.on_ready += [dispatcher.ready, notifications.ready, engine.changes.announce]
    wakeups.on_deadline += [reaping.nudge, engine.changes.announce]
    wakeups.on_ended, wakeups.is_awaited = ends.ended, ends.is_awaited
    wakeups.on_definition += [announcements.definition, notifications.definition]
    notifications.on_news, notifications.on_connected = announcements.heard, announcements.connected

    return App(
        engine=engine,
        services=services,
        database=database,
        notifications=notifications,
        dispatcher=dispatcher,
        health=health,
        rpc=Endpoint(dispatch, admission, limits),
        rest=rest,
        background=background,
        reaper=reaper,
        partitions=partitions,
        scheduler=scheduler,
        running=running,
    )


class App:
    """A server: an ASGI application, and what it does in the background. `start` it on the loop that serves it."""

    def __init__(
        self,
        *,
        engine: Engine,
        services: Services,
        database: Database,
        notifications: Notifications,
        dispatcher: Dispatcher,
        health: Health,
        rpc: Endpoint,
        rest: Guard,
        background: Background,
        reaper: Reaper,
        partitions: PartitionMaintainer,
        scheduler: Scheduler,
        running: Sequence[Running],
    ) -> None:
        self.engine = engine
        self.database = database
        self.rpc = rpc
        self.rest = rest
        self.background = background
        self.reaper = reaper
        self.partitions = partitions
        self.scheduler = scheduler
        self._services = services
        self._notifications = notifications
        self._dispatcher = dispatcher
        self._health = health
        self._rest = InterruptedResponses(rest)
        self._running = running
        self._hearing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hearing.set_result(None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["path"] == "/rpc":
            await self.rpc(scope, receive, send)
        else:
            await self._rest(scope, receive, send)

    def of(self, service: type[T]) -> T:
        """Return a service of a vocabulary."""
        found: T = self._services[service]
        return found

    @property
    def waiting_polls(self) -> int:
        """The number of polls that wait on this server."""
        return self._dispatcher.waiting

    @property
    def waiting_for_ends(self) -> int:
        """The number of callers that wait on this server for the end of a task or workflow."""
        return self.engine.task_waits.waiting + self.engine.workflow_waits.waiting

    @property
    def hanging_up(self) -> int:
        """The number of clients that went away while a claim for them was under way."""
        return self._dispatcher.hanging_up

    async def start(self) -> None:
        """Prepare the database and start the background work."""
        await self.reaper.prepare()
        # Before the first request: a row that comes earlier than its partition goes to the default one and stays there.
        await self.partitions.prepare()
        await self.engine.definitions.put_built_in()
        self.background.start()
        self._hearing = asyncio.ensure_future(self._notifications.run())

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve the ports of the vocabularies until the block ends; raise StartRefused if one cannot be had."""
        async with AsyncExitStack() as stack:
            for one in self._running:
                await stack.enter_async_context(one.serve())
            yield

    async def listening(self) -> None:
        """Return once this server hears the others."""
        await self._notifications.connected.wait()

    async def drain(self) -> None:
        """Take no more polls and answer those that wait."""
        emit(Event.DRAINING)
        self._health.draining = True
        self.engine.changes.close()
        for waits in (self.engine.task_waits, self.engine.workflow_waits):
            waits.close()
        self.background.stop_polling()
        await self._dispatcher.drain()
        await self.background.drain()

    async def stop(self) -> None:
        """Stop the background work and close the database connections; nothing is served any more."""
        self._notifications.close()
        # Each step in its time, however silent the database is.
        await _bounded(asyncio.gather(self.background.stop(), self._hearing, return_exceptions=True))
        await _bounded(self.background.abandon())
        await _bounded(self._notifications.flush())
        await _bounded(self.engine.definitions.checks.close())
        await self.database.close()


async def _bounded(step: Awaitable[object]) -> None:
    """Wait for a step of the stop, for a moment."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_STEP_SECONDS):
            await step


def _deciders(vocabularies: Sequence[Vocabulary], settings: Settings) -> Mapping[str, Decide]:
    return {kind: decide for one in vocabularies for kind, decide in one.deciders(settings).items()}


def _workers(
    engine: Engine, dispatch: Dispatch, settings: Settings, cleaning: CleaningStore
) -> Sequence[InternalWorker]:
    """Return the workers of the built-in tasks, and of the decisions that are made in this server."""
    deciders, isolation = engine.deciders, Isolation()
    return (
        InternalWorker(engine, RUN_RPC, run_rpc(dispatch.call), repeatable=False, isolation=isolation),
        InternalWorker(engine, RUN_SQL, run_sql(_reader(settings)), repeatable=True, isolation=isolation),
        # One at a time: it would take the connections of the calls that wait for an answer.
        InternalWorker(engine, CLEAN_UP, clean_up(cleaning), repeatable=True, isolation=isolation, at_once=1),
        InternalWorker(engine, REFUSED, refused, repeatable=True, isolation=isolation),
        InternalWorker(engine, DECISION, deciders.handle, repeatable=True, isolation=isolation, names=deciders.names),
    )


def _reader(settings: Settings) -> Reader | None:
    if settings.run_sql_url is None:
        return None
    return Reader(settings.run_sql_url, seconds=settings.run_sql_timeout_seconds, most_bytes=settings.limits.body_bytes)
