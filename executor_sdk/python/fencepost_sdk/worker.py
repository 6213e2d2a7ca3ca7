"""The worker, which runs functions for the tasks and workflows of a server."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar, Unpack

from fencepost_sdk.batches import BatchHandler, batch_size
from fencepost_sdk.deciders import Decider
from fencepost_sdk.definitions import Settings, WorkflowSettings, task_document, workflow_document
from fencepost_sdk.handlers import Handler
from fencepost_sdk.process import run_loop, stop_on_signals
from fencepost_sdk.session import Session, WorkerConfig
from fencepost_sdk.transport import Endpoint

Function = TypeVar("Function", bound=Callable[..., Any])


class Worker:
    """Runs handlers for the tasks of a server, up to `concurrency` at once.

    `url` defaults to the variable FENCEPOST_URL, then to http://127.0.0.1:8080. `client` is `id:secret` or a bearer
    token and defaults to FENCEPOST_CLIENT. `name` is shown with the tasks that it runs; by default it is the host and
    process id. `drain_timeout` is how long a graceful stop waits for running handlers before it releases their tasks.
    `prefetch` is the number of tasks that it claims ahead, so that short handlers need not wait for the next poll. No
    other worker gets prefetched tasks. A graceful stop releases them, and a crash costs each of them an attempt.

        worker = Worker("http://127.0.0.1:8080", concurrency=10)

        @worker.task("demo/greet", declare=True)
        async def greet(params: dict) -> dict:
            return {"greeting": f"Hello, {params['name']}"}

        worker.run()
    """

    def __init__(
        self,
        url: str | None = None,
        client: str | None = None,
        concurrency: int = 10,
        name: str | None = None,
        *,
        prefetch: int = 0,
        drain_timeout: timedelta = timedelta(seconds=20),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        if prefetch < 0:
            raise ValueError(f"prefetch must not be negative: {prefetch}")
        self._endpoint = Endpoint(url, client, tls)
        self._concurrency = concurrency
        self._prefetch = prefetch
        self._drain_timeout = drain_timeout
        self._handlers: dict[str, Handler] = {}
        self._documents: dict[str, dict[str, Any]] = {}
        self._session: Session | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._stopped = False
        self.name = name or f"{socket.gethostname()}-{os.getpid()}"

    def task(self, name: str, *, declare: bool = False, **settings: Unpack[Settings]) -> Callable[[Function], Function]:
        """Register a function as the handler of the tasks of definition `name`; returns the function unchanged.

        The function is `async def`, or `def`, which runs in a thread. It takes the params, a Context, both or neither.
        Params are decoded into the type of their annotation (dataclass, TypedDict, msgspec Struct, pydantic model,
        dict); if they do not fit, the task fails with an error that names the field. The return value, an object or
        None, is the result. Any exception, including KeyboardInterrupt, fails the attempt and nothing else.

        With any setting, or with `declare`, the worker puts the definition when it starts. The settings are the
        timedeltas `requested_to_start_timeout`, `in_progress_timeout`, `retry_delay` and `attempt_timeout` (which ends
        an attempt in spite of heartbeats), `allowed_retry_count`, `concurrency_limit` (tasks in progress among all
        workers), `concurrency_path` (which makes that a limit per value at a path, such as `["params", "customer"]`),
        and the schemas `params`, `result` and `error` (JSON Schema or a type). Otherwise the definition must exist.

        Raises TypeError for a function or a setting that cannot be used, and ValueError if `name` has a handler.

            @worker.task("demo/resize", in_progress_timeout=timedelta(minutes=2), allowed_retry_count=2)
            async def resize(params: dict, ctx: Context) -> dict:
                ctx.progress(1, 1)
                return {"width": params["width"] // 2}
        """
        self._check_free(name)

        def register(function: Function) -> Function:
            self._handlers[name] = Handler(name, function)
            if settings or declare:
                self._documents[name] = task_document(name, settings)
            return function

        return register

    def batch(
        self, name: str, *, size: int, declare: bool = False, **settings: Unpack[Settings]
    ) -> Callable[[Function], Function]:
        """Register a function that handles up to `size` tasks of definition `name` a call; returns it unchanged.

        The function is `async def`, or `def`, which runs in a thread. It takes a list of params, such as `list[Row]`, a
        list of contexts (`list[Context]`), or both, with an item for each task. A task whose params do not fit fails by
        itself before the call. The function returns a list with the outcome of each task, in the same order: a result
        or, for a task that failed, an exception. With None all tasks succeed without a result. An exception that it
        raises fails all tasks of the call.

        A call gets the tasks that wait, and does not wait for more. Each task has its own lease and counts as one of
        the worker's `concurrency`; all of them keep their slots until the call has ended. When a task is canceled or
        its lease is lost, `cancelled` of its context is set, and its outcome is dropped; an async function is canceled
        when this is so for all tasks of the call. The settings and `declare` are those of `task`.

        Raises TypeError and ValueError like `task`, and ValueError if `size` is above `concurrency`.

            @worker.batch("demo/index", size=10, declare=True)
            async def index(pages: list[dict]) -> list[dict | Exception]:
                return [
                    {"words": len(page["text"].split())} if "text" in page else TaskFailed({"type": "no-text"})
                    for page in pages
                ]
        """
        self._check_free(name)
        size = batch_size(name, size, self._concurrency)

        def register(function: Function) -> Function:
            self._handlers[name] = BatchHandler(name, function, size)
            if settings or declare:
                self._documents[name] = task_document(name, settings)
            return function

        return register

    def workflow(
        self, name: str, *, declare: bool = False, activities: bool = True, **settings: Unpack[WorkflowSettings]
    ) -> Callable[[Function], Function]:
        """Register a function as the decider of the workflows of definition `name`; returns the function unchanged.

        The function is `decide(workflow: Facts, event: Event)`, `async def` or `def`. It returns an action (see
        `fencepost_sdk.actions`), a list of actions, or None to wait for the next event. It may be called more than once
        for an event, but its actions are carried out once; so it should depend on its arguments alone. An exception
        fails the decision, which is retried up to `allowed_retry_count` times; then the workflow fails.

        The settings and `declare` are those of `task`, for the decisions. With `activities=False` the facts have only
        the id of the workflow, which saves a request per decision.

            @worker.workflow("demo/thumbnails", declare=True)
            def decide(workflow: Facts, event: Event):
                if event.kind == "init":
                    return actions.schedule_task("demo/resize", "small", workflow.params)
                return actions.complete({"small": event.outcome})
        """
        self._check_free(name)

        def register(function: Function) -> Function:
            self._handlers[name] = Decider(name, function, activities=activities)
            if settings or declare:
                self._documents[name] = workflow_document(name, settings)
            return function

        return register

    def _check_free(self, name: str) -> None:
        if name in self._handlers:
            raise ValueError(f"{name} already has a handler: {self._handlers[name].function!r}")

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, which starts the drain; a second signal stops at once.

        Raises RpcError when the server refuses this worker from the start, such as for a wrong secret or an invalid
        definition, and ConnectionFailed when no retry can succeed, such as for an untrusted certificate.

            if __name__ == "__main__":
                worker.run()
        """
        with stop_on_signals(self.stop, self._drain_timeout.total_seconds()):
            run_loop(self.serve())

    async def serve(self) -> None:
        """Work in the running event loop until `stop`, then drain and return; raises the errors of `run`.

        Canceling it stops at once: running tasks return to the queue when their leases time out.

            serving = asyncio.create_task(worker.serve())
            ...
            worker.stop()
            await serving
        """
        if not self._handlers:
            raise ValueError(
                "this worker has no handler; give it one with @worker.task, @worker.batch or @worker.workflow"
            )
        config = WorkerConfig(
            self._endpoint,
            self.name,
            self._handlers,
            list(self._documents.values()),
            self._concurrency,
            self._prefetch,
            self._drain_timeout.total_seconds(),
        )
        with self._lock:
            if self._session is not None:
                raise RuntimeError("this worker is already running")
            self._loop = asyncio.get_running_loop()
            self._session = Session(config)
            if self._stopped:
                self._session.stop()
        try:
            await self._session.run()
        finally:
            with self._lock:
                self._session = self._loop = None
                self._stopped = False

    def stop(self, *, at_once: bool = False) -> None:
        """Start the drain; with `at_once` release running tasks instead of waiting for them. Works from any thread.

        asyncio.get_running_loop().call_later(60, worker.stop)
        """
        # Without the lock, because a signal handler may run this while its own thread holds it: a session that starts
        # meanwhile sees the flag.
        self._stopped = True
        loop, session = self._loop, self._session
        if loop is not None and session is not None:
            loop.call_soon_threadsafe(lambda: session.stop(at_once=at_once))
