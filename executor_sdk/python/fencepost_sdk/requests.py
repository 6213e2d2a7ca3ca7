"""The requests of a client without their I/O, shared by `Client` and `AsyncClient`.

A request is a generator. It yields a `Post` to send or a `Pause` to wait, gets the Reply sent or the ConnectionFailed
thrown in, and returns its result. The caller that runs it either blocks or awaits.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar, overload

import msgspec

from fencepost_sdk.backoff import Backoff
from fencepost_sdk.definitions import OwnSettings, own_settings
from fencepost_sdk.encoding import encode_batch, encode_call
from fencepost_sdk.errors import ConnectionFailed, RpcError, TaskCanceled, TaskFailed
from fencepost_sdk.payloads import encode
from fencepost_sdk.protocol import CREATE, Page, Status, Task, decode_answer, decode_answers, decode_fault, timestamp
from fencepost_sdk.transport import Reply

Decoded = TypeVar("Decoded")
# Statuses after which a client repeats any request. They do not include 500, unlike those of a worker: a call that is
# not idempotent may have been carried out, and the caller of a client can handle the error.
TRANSIENT_STATUSES = frozenset({408, 425, 429, 502, 503, 504})
# Calls that the server answers soon, so that they do not hold up the others of a shared request.
JOINING = frozenset(
    {CREATE, "awf.task/status", "awf.task/cancel", "awf.task/retry", "awf.workflow/signal", "awf.workflow/status"}
)
# How long the server waits for an end in one request, in seconds: some proxies cut a request after thirty.
WAIT_SECONDS = 25.0
# Longest pause between two polls for a result where the server does not wait, in seconds.
MAX_POLL_INTERVAL = 1.0


class Post(NamedTuple):
    """Send this body; the answer is a Reply. With `joins` it is one call that may share a request with others.

    With `waits` the server may take long to answer. The answer may be None then: it was not sent, since others wait.
    """

    body: bytes
    joins: bool = False
    waits: bool = False


class Pause(NamedTuple):
    """Wait so many seconds."""

    seconds: float


class HasOutcome(Protocol):
    """A task or a workflow."""

    status: str
    outcome: str | None


Result = TypeVar("Result")
Awaited = TypeVar("Awaited", bound=HasOutcome)
Request = Generator[Post | Pause, Reply | None, Result]


class HasResource(Protocol[Awaited]):
    """The result of a call that returns a task or a workflow."""

    resource: Awaited


class Resource(msgspec.Struct):
    """The result of a call that returns one task."""

    resource: Task


@overload
def send_with_retries(
    body: bytes, patience: float, *, repeatable: bool, joins: bool = False
) -> Request[tuple[Reply, bool]]: ...
@overload
def send_with_retries(
    body: bytes, patience: float, *, repeatable: bool, waits: bool
) -> Request[tuple[Reply, bool] | None]: ...
def send_with_retries(
    body: bytes, patience: float, *, repeatable: bool, joins: bool = False, waits: bool = False
) -> Request[tuple[Reply, bool] | None]:
    """Return the reply, and whether an earlier one was lost; raises ConnectionFailed after `patience` seconds.

    After a lost reply the request is sent again only if it is `repeatable`; after a transient status always. None for a
    request that `waits` and was not sent.
    """
    backoff = Backoff()
    give_up = time.monotonic() + patience
    repeated = False
    while True:
        try:
            reply = yield Post(body, joins, waits)
        except ConnectionFailed as failure:
            if not repeatable:
                raise
            repeated = True
            delay = 0.0 if failure.reused and not backoff.failures else backoff.next()
            backoff.failures = max(backoff.failures, 1)
            last = failure
        else:
            if reply is None:
                return None
            if reply.status not in TRANSIENT_STATUSES:
                return reply, repeated
            delay = backoff.next(reply.retry_after)
            last = ConnectionFailed(str(decode_fault(reply.body, reply.status).as_error(reply.status)))
        if time.monotonic() + delay > give_up:
            raise last
        yield Pause(delay)


def call(method: str, params: Any, result_type: type[Decoded], patience: float) -> Request[Decoded]:
    """Make one call and decode its result; raises RpcError when it is refused."""
    body = encode_call(method, {} if params is None else params)
    repeatable = is_repeatable(method, params)
    reply, repeated = yield from send_with_retries(
        body, patience, repeatable=repeatable, joins=repeatable and method in JOINING
    )
    return _decoded(reply, repeated, result_type)


def _decoded(reply: Reply, repeated: bool, result_type: type[Decoded]) -> Decoded:
    """Return the result of one call; raises RpcError."""
    try:
        answer = decode_answer(reply.body)
        if answer.error is None and reply.status == 200:
            return msgspec.json.decode(answer.result, type=result_type)
    except ValueError as error:
        if reply.status == 200:
            raise ConnectionFailed(f"the answer is not from a Fencepost server: {error}") from error
    raise decode_fault(reply.body, reply.status).as_error(reply.status, repeated=repeated)


def batch(calls: Sequence[tuple[str, Any]], patience: float) -> Request[list[Any]]:
    """Make several calls in one request; the result of a refused one is its RpcError."""
    if not calls:
        return []
    body = encode_batch(
        encode_call(method, {} if params is None else params, f"$[{index}].params")
        for index, (method, params) in enumerate(calls)
    )
    repeatable = all(is_repeatable(method, params) for method, params in calls)
    reply, repeated = yield from send_with_retries(body, patience, repeatable=repeatable)
    if reply.status != 200:
        raise decode_fault(reply.body, reply.status).as_error(reply.status, repeated=repeated)
    try:
        answers = decode_answers(reply.body, len(calls))
    except ValueError as error:
        raise ConnectionFailed(f"the answer is not from a Fencepost server: {error}") from error
    return [
        msgspec.json.decode(answer.result) if answer.error is None else answer.error.as_error(repeated=repeated)
        for answer in answers
    ]


def is_repeatable(method: str, params: Any) -> bool:
    """Return whether a call is idempotent, so that it can be sent again after a lost reply."""
    fields = params if isinstance(params, Mapping) else msgspec.to_builtins(params or {})
    if method.endswith("/create-and-execute"):
        return "id" in fields
    if method == "awf.workflow/signal":
        return "signal-id" in fields
    if method in ("awf.task/poll", "awf.task/long-poll"):
        return "requestId" in fields
    return True


def create(
    definition: str,
    params: Any,
    *,
    id: str | None,
    label: str | None,
    execute_at: datetime | str | None,
    settings: OwnSettings | None = None,
    patience: float,
) -> Request[Task]:
    """Create a task. Without an `id` the client makes one up, so that a repetition creates no second task."""
    request = create_params(definition, params, id=id, label=label, execute_at=execute_at)
    if settings is not None:
        request["settings"] = own_settings(settings)
    return (yield from call(CREATE, request, Resource, patience)).resource


def create_params(
    definition: str, params: Any, *, id: str | None, label: str | None, execute_at: datetime | str | None
) -> dict[str, Any]:
    """Return the params of a create call, with an id."""
    request: dict[str, Any] = {"id": id or str(uuid.uuid4()), "definition": definition}
    if params is not None:
        # Encoded once, so that every repetition has the same content.
        request["params"] = msgspec.Raw(encode(params, "$.params"))
    if label is not None:
        request["label"] = label
    if execute_at is not None:
        request["executeAt"] = timestamp(execute_at)
    return request


def status(id: str, *, include_log: bool, include_settings: bool, patience: float) -> Request[Status]:
    """Return the status of a task."""
    params = {"id": id, "include-log?": include_log, "include-settings?": include_settings}
    return (yield from call("awf.task/status", params, Status, patience))


def cancel(id: str, patience: float) -> Request[Task]:
    """Cancel a task; succeeds when an earlier attempt of this call, with a lost reply, has canceled it."""
    try:
        return (yield from call("awf.task/cancel", {"id": id}, Resource, patience)).resource
    except RpcError as error:
        if error.repeated:
            task = (yield from call("awf.task/status", {"id": id}, Status, patience)).task
            if task.outcome == "canceled":
                return task
        raise


def retry(id: str, patience: float) -> Request[Task]:
    """Retry a task; succeeds when an earlier attempt of this call, with a lost reply, has made it ready."""
    try:
        return (yield from call("awf.task/retry", {"id": id}, Resource, patience)).resource
    except RpcError as error:
        if error.repeated:
            task = (yield from call("awf.task/status", {"id": id}, Status, patience)).task
            if task.status != "done" or task.outcome == "succeeded":
                return task
        raise


def list_page(params: Mapping[str, Any], patience: float) -> Request[Page]:
    """Return one page of tasks."""
    return (yield from call("awf.task/list", params, Page, patience))


def list_params(
    definitions: Sequence[str] | None,
    exclude: Sequence[str] | None,
    status: str | Sequence[str] | None,
    outcome: str | Sequence[str] | None,
    ilike: str | None,
    sort: Mapping[str, str] | None,
    limit: int,
    after: str | None,
) -> dict[str, Any]:
    """Return the params of a list call."""
    filters = {
        "includeDefinitions": definitions,
        "excludeDefinitions": exclude,
        "status": status,
        "outcome": outcome,
        "ilike": ilike,
    }
    params: dict[str, Any] = {"limit": limit, "filter": {name: one for name, one in filters.items() if one is not None}}
    if sort is not None:
        params["sort"] = sort
    if after is not None:
        params["after"] = after
    return params


def result(id: str, timeout: float | None, patience: float) -> Request[Any]:
    """Wait until a task is done, and return its result."""
    task = yield from wait_for_outcome("task", id, Resource, timeout, patience)
    match task.outcome:
        case "failed":
            raise TaskFailed(task.error, reason=task.outcome_reason)
        case "canceled":
            raise TaskCanceled(f"task {id} was canceled")
    return task.result


def wait_for_outcome(
    noun: str, id: str, result_type: type[HasResource[Awaited]], timeout: float | None, patience: float
) -> Request[Awaited]:
    """Return a task or workflow (`noun`) with an outcome; raises TimeoutError after `timeout` seconds.

    The server waits. Where it cannot, the client asks at growing intervals: a server of an older version, one that
    stops, and an async client in which too many others wait.
    """
    give_up = None if timeout is None else time.monotonic() + timeout
    pause, waits = 0.02, True
    while True:
        left = WAIT_SECONDS if give_up is None else give_up - time.monotonic()
        seconds = min(max(left, 0.0), WAIT_SECONDS) if waits else 0.0
        begun = time.monotonic()
        fetched = None
        if seconds > 0:
            try:
                fetched = yield from _waited(noun, id, result_type, seconds, patience)
            except RpcError as error:
                if error.type != "method-not-found":
                    raise
                waits = False
        if fetched is None:
            fetched = (yield from call(f"awf.{noun}/status", {"id": id}, result_type, patience)).resource
        if fetched.outcome is not None:
            return fetched
        left = MAX_POLL_INTERVAL if give_up is None else give_up - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"{noun} {id} is {fetched.status}, not done after {timeout:g} s")
        if time.monotonic() - begun < seconds / 2 or not seconds:
            yield Pause(min(pause, left))
            pause = min(pause * 1.5, MAX_POLL_INTERVAL)


def _waited(
    noun: str, id: str, result_type: type[HasResource[Awaited]], seconds: float, patience: float
) -> Request[Awaited | None]:
    """Let the server wait; return what it answers, or None if the request was not sent."""
    params = {"id": id, "timeout": max(int(seconds * 1000), 1)}
    body = encode_call(f"awf.{noun}/wait-for", params)
    # The patience begins when the wait should have ended.
    answered = yield from send_with_retries(body, seconds + patience, repeatable=True, waits=True)
    return None if answered is None else _decoded(*answered, result_type).resource


def define(document: Mapping[str, Any], patience: float) -> Request[dict[str, Any]]:
    """Put a definition."""
    answer = yield from call("awf.definition/put", document, dict[str, dict[str, Any]], patience)
    return answer["resource"]
