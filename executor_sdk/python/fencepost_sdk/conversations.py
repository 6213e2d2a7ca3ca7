"""What a client says and expects, without saying it: shared by `Client` and `AsyncClient`.

A conversation is a generator. It yields what it needs, a request to `Post` or a `Pause` to make, is sent the Reply or
thrown the ConnectionFailed, and returns the result. Whoever drives it decides whether that blocks or is awaited.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import msgspec

from fencepost_sdk.backoff import Backoff
from fencepost_sdk.calls import encode_batch, encode_call
from fencepost_sdk.definitions import OwnSettings, own_settings
from fencepost_sdk.errors import ConnectionFailed, RpcError, TaskCanceled, TaskFailed
from fencepost_sdk.payloads import encode
from fencepost_sdk.protocol import Page, Status, Task, decode_answer, decode_answers, decode_fault, timestamp
from fencepost_sdk.transport import Reply

Read = TypeVar("Read")
PASSING = frozenset({408, 425, 429, 502, 503, 504})
LONGEST_LOOK = 1.0


class Post(NamedTuple):
    """Send this body, get the Reply."""

    body: bytes


class Pause(NamedTuple):
    """Wait this long."""

    seconds: float


class HasOutcome(Protocol):
    """What is looked at until it is done."""

    status: str
    outcome: str | None


Said = TypeVar("Said")
Ends = TypeVar("Ends", bound=HasOutcome)
Conversation = Generator[Post | Pause, Reply | None, Said]


class Resource(msgspec.Struct):
    """The result of every call about one task."""

    resource: Task


def deliver(body: bytes, patience: float, *, repeatable: bool) -> Conversation[tuple[Reply, bool]]:
    """Return the reply, and whether an earlier one was lost; raise ConnectionFailed once `patience` is used up.

    What may have been served is sent again only when it is `repeatable`; what was turned away always.
    """
    backoff = Backoff()
    give_up = time.monotonic() + patience
    repeated = False
    while True:
        try:
            reply = cast(Reply, (yield Post(body)))
        except ConnectionFailed as failure:
            if not repeatable:
                raise
            repeated = True
            delay = 0.0 if failure.kept and not backoff.failures else backoff.next()
            backoff.failures = max(backoff.failures, 1)
            last = failure
        else:
            if reply.status not in PASSING:
                return reply, repeated
            delay = backoff.next(reply.retry_after)
            last = ConnectionFailed(str(decode_fault(reply.body, reply.status).as_error(reply.status)))
        if time.monotonic() + delay > give_up:
            raise last
        yield Pause(delay)


def call(method: str, params: Any, read: type[Read], patience: float) -> Conversation[Read]:
    """Make one call and read its result."""
    body = encode_call(method, {} if params is None else params)
    reply, repeated = yield from deliver(body, patience, repeatable=is_repeatable(method, params))
    try:
        answer = decode_answer(reply.body)
        if answer.error is None and reply.status == 200:
            return msgspec.json.decode(answer.result, type=read)
    except ValueError as error:
        if reply.status == 200:
            raise ConnectionFailed(f"the answer is not one of Fencepost's: {error}") from error
    raise decode_fault(reply.body, reply.status).as_error(reply.status, repeated=repeated)


def batch(calls: Sequence[tuple[str, Any]], patience: float) -> Conversation[list[Any]]:
    """Make several calls in one request; a refused one gives its RpcError in place of a result."""
    if not calls:
        return []
    body = encode_batch(
        encode_call(method, {} if params is None else params, f"$[{place}].params")
        for place, (method, params) in enumerate(calls)
    )
    repeatable = all(is_repeatable(method, params) for method, params in calls)
    reply, repeated = yield from deliver(body, patience, repeatable=repeatable)
    if reply.status != 200:
        raise decode_fault(reply.body, reply.status).as_error(reply.status, repeated=repeated)
    try:
        answers = decode_answers(reply.body, len(calls))
    except ValueError as error:
        raise ConnectionFailed(f"the answer is not one of Fencepost's: {error}") from error
    return [
        msgspec.json.decode(answer.result) if answer.error is None else answer.error.as_error(repeated=repeated)
        for answer in answers
    ]


def is_repeatable(method: str, params: Any) -> bool:
    """Tell whether a call that may have been served can be sent again without doing it twice."""
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
) -> Conversation[Task]:
    """Create a task, under an id of our own if need be: the server takes a repeated one for the same task."""
    asked = wish(definition, params, id=id, label=label, execute_at=execute_at)
    if settings is not None:
        asked["settings"] = own_settings(settings)
    return (yield from call("awf.task/create-and-execute", asked, Resource, patience)).resource


def wish(
    definition: str, params: Any, *, id: str | None, label: str | None, execute_at: datetime | str | None
) -> dict[str, Any]:
    """Return the params of a create, with an id."""
    asked: dict[str, Any] = {"id": id or str(uuid.uuid4()), "definition": definition}
    if params is not None:
        # Written once: what msgspec can write, such as a Struct, shall be the same in every repetition.
        asked["params"] = msgspec.Raw(encode(params, "$.params"))
    if label is not None:
        asked["label"] = label
    if execute_at is not None:
        asked["executeAt"] = timestamp(execute_at)
    return asked


def status(id: str, *, include_log: bool, include_settings: bool, patience: float) -> Conversation[Status]:
    """Look at a task."""
    asked = {"id": id, "include-log?": include_log, "include-settings?": include_settings}
    return (yield from call("awf.task/status", asked, Status, patience))


def cancel(id: str, patience: float) -> Conversation[Task]:
    """Cancel a task; when our own lost call has done it already, that is a success."""
    try:
        return (yield from call("awf.task/cancel", {"id": id}, Resource, patience)).resource
    except RpcError as error:
        if error.repeated:
            task = (yield from call("awf.task/status", {"id": id}, Status, patience)).task
            if task.outcome == "canceled":
                return task
        raise


def retry(id: str, patience: float) -> Conversation[Task]:
    """Run a task again; when our own lost call has begun that already, that is a success."""
    try:
        return (yield from call("awf.task/retry", {"id": id}, Resource, patience)).resource
    except RpcError as error:
        if error.repeated:
            task = (yield from call("awf.task/status", {"id": id}, Status, patience)).task
            if task.status != "done" or task.outcome == "succeeded":
                return task
        raise


def listing(asked: Mapping[str, Any], patience: float) -> Conversation[Page]:
    """List one page of tasks."""
    return (yield from call("awf.task/list", asked, Page, patience))


def page_asked(
    definitions: Sequence[str] | None,
    exclude: Sequence[str] | None,
    status: str | Sequence[str] | None,
    outcome: str | Sequence[str] | None,
    ilike: str | None,
    sort: Mapping[str, str] | None,
    limit: int,
    after: str | None,
) -> dict[str, Any]:
    """Return the params of a list."""
    wanted = {
        "includeDefinitions": definitions,
        "excludeDefinitions": exclude,
        "status": status,
        "outcome": outcome,
        "ilike": ilike,
    }
    asked: dict[str, Any] = {"limit": limit, "filter": {name: one for name, one in wanted.items() if one is not None}}
    if sort is not None:
        asked["sort"] = sort
    if after is not None:
        asked["after"] = after
    return asked


def result(id: str, timeout: float | None, patience: float) -> Conversation[Any]:
    """Look at a task, more and more seldom, until it is done."""

    def look() -> Conversation[Task]:
        return (yield from call("awf.task/status", {"id": id}, Status, patience)).task

    task = yield from settle(look, f"task {id}", timeout)
    match task.outcome:
        case "failed":
            raise TaskFailed(task.error, reason=task.outcome_reason)
        case "canceled":
            raise TaskCanceled(f"task {id} was canceled")
    return task.result


def settle(look: Callable[[], Conversation[Ends]], name: str, timeout: float | None) -> Conversation[Ends]:
    """Look more and more seldom until what is looked at has an outcome; raise TimeoutError."""
    give_up = None if timeout is None else time.monotonic() + timeout
    pause = 0.02
    while True:
        seen = yield from look()
        if seen.outcome is not None:
            return seen
        left = LONGEST_LOOK if give_up is None else give_up - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"{name} is {seen.status}, not done after {timeout:g} s")
        yield Pause(min(pause, left))
        pause = min(pause * 1.5, LONGEST_LOOK)


def define(document: Mapping[str, Any], patience: float) -> Conversation[dict[str, Any]]:
    """Put a definition."""
    answer = yield from call("awf.definition/put", document, dict[str, dict[str, Any]], patience)
    return answer["resource"]
