"""Diagnosis of a call about an execution that changed no row: a repetition, a refusal, or a race.

The statement that changes a task has its guard in the `where`. Only when it changes no row, this module reads the task
to find the reason; it never changes anything.
"""

from __future__ import annotations

from typing import Literal

import orjson

from fencepost.domain.builtin import TIMERS
from fencepost.domain.payload import canonical, same_payload
from fencepost.domain.task import Task
from fencepost.errors import (
    EXEC_ID_MISMATCH,
    FINISHED_OTHERWISE,
    TASK_HAS_BEEN_DONE,
    TASK_NOT_FOUND,
    TASK_NOT_IN_PROGRESS,
    TASK_NOT_REQUESTED,
    Refusal,
    invalid_params,
)
from fencepost.store.tasks import Attempt, TaskStore

Verb = Literal["start", "success", "fail", "release", "notify"]

_BEGINNINGS = ("awf.task/start", "awf.task/poll", "awf.task/long-poll")
_ENDINGS = ("awf.task/success", "awf.task/fail", "awf.task/release")
_CONTENT = {"awf.task/success": "result", "awf.task/fail": "error"}


async def diagnose(store: TaskStore, verb: Verb, id: str, exec_id: str, content: bytes | None = None) -> Task | None:
    """Return the task as the first call left it if this one is a repetition; None if the call may be tried again.

    Raises Refusal: `task-not-found`, `exec-id-mismatch`, `task-has-been-done`, or the state that the call needs.
    """
    task = await store.find(id)
    if task is None:
        return await _by_receipt(store, verb, id, exec_id, content)
    # After the task was read: a repetition that commits in between is found here, and explains why the task is done.
    if verb != "notify":
        attempt = await store.find_attempt(id, exec_id, _BEGINNINGS if verb == "start" else _ENDINGS)
        if attempt is not None:
            return _repeated(attempt, verb, id, exec_id, content)
    if task.exec_id != exec_id:
        raise Refusal(EXEC_ID_MISMATCH, field="execId", id=id, exec_id=exec_id)
    if task.status == "done":
        raise _over(verb, id, task)
    if verb == "start" and task.status != "requested":
        raise Refusal(TASK_NOT_REQUESTED, field="id", id=id, status=task.status)
    if verb in ("success", "fail", "notify") and task.status != "in-progress":
        raise Refusal(TASK_NOT_IN_PROGRESS, field="id", id=id, status=task.status)
    if verb in ("notify", "release") and task.definition in TIMERS:
        raise invalid_params(f"{task.definition} has no worker: it ends by itself, or is canceled", "id")
    return None


async def _by_receipt(store: TaskStore, verb: Verb, id: str, exec_id: str, content: bytes | None) -> Task:
    """Return a task that was not kept, as far as its receipt knows it, when this call repeats its end; else refuse."""
    receipt = await store.receipts.find(id, exec_id, content)
    if receipt is None:
        raise Refusal(TASK_NOT_FOUND, field="id", id=id)
    task = receipt.task(id, exec_id, content)
    if receipt.action == f"awf.task/{verb}" and receipt.is_same:
        return task
    raise _over(verb, id, task)


def _repeated(attempt: Attempt, verb: Verb, id: str, exec_id: str, content: bytes | None) -> Task:
    if verb == "start":
        return attempt.task
    if attempt.action == f"awf.task/{verb}" and same_payload(_content(attempt), content):
        return attempt.task
    if attempt.task.status == "done":
        raise _over(verb, id, attempt.task)
    raise Refusal(EXEC_ID_MISMATCH, field="execId", id=id, exec_id=exec_id)


def _over(verb: Verb, id: str, task: Task) -> Refusal:
    kind = FINISHED_OTHERWISE if verb in ("success", "fail") else TASK_HAS_BEEN_DONE
    return Refusal(kind, field="id", id=id, outcome=task.outcome)


def _content(attempt: Attempt) -> bytes | None:
    member = _CONTENT.get(attempt.action)
    params = None if attempt.content is None else orjson.loads(attempt.content)
    content = params.get(member) if isinstance(params, dict) and member else None
    return None if content is None else canonical(content)
