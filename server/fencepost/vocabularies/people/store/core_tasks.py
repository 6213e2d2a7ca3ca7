"""Core tasks of people tasks: they are created and changed in the transaction of the command.

A core task that is done stays done: a people task that is reopened gets another one, with a label of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import uuid4

from fencepost.domain.task import Task
from fencepost.domain.transitions import LIVE
from fencepost.errors import invalid_params
from fencepost.store.batches import Wakeup
from fencepost.store.calls import as_json, number, raw
from fencepost.store.connection import Connection, fetch
from fencepost.store.decisions import CreateActivity
from fencepost.store.rows import RESOURCE
from fencepost.store.statements import statement
from fencepost.store.transitions_by_id import TransitionCall, apply_locked
from fencepost.vocabularies.people.commands import Actor, CoreTransition
from fencepost.vocabularies.people.decider import label_of
from fencepost.vocabularies.people.task import PeopleTask

_LEASED = ("requested", "in-progress")


class NewCoreTask(NamedTuple):
    """A core task to create; `params` and `settings` are JSON text.

    `generation` counts the core tasks of a line, from 1.
    """

    workflow_seq: int
    task_list: str
    process: str
    line_number: int
    generation: int
    definition: str
    version: int
    params: bytes
    settings: bytes | None
    digest: str
    caller: str


class MovedCoreTask(NamedTuple):
    """The newest core task after its transitions; `new_seqs` are the numbers of those that were created."""

    new_seqs: Sequence[int]
    exec_id: str | None
    version: int
    wakeups: Sequence[Wakeup]


def apply_transitions(
    connection: Connection,
    task: PeopleTask,
    transitions: Sequence[CoreTransition],
    actor: Actor,
    at: datetime,
    result: bytes | None,
) -> MovedCoreTask:
    """Apply transitions to the newest core task of a task; `result` is JSON text for `success`.

    Raises Refusal (`invalid-params`) for a success where the definition has a result schema: only workers report those.
    """
    seq, id, exec_id, version = task.core.seq, task.core.id, task.core.exec_id, task.core.version
    new_seqs: list[int] = []
    wakeups: list[Wakeup] = []
    for transition in transitions:
        if transition == "recreate":
            seq, made = _recreate(connection, task, seq, actor, at)
            ((id, _, _, _, exec_id, version),) = fetch(connection, statement("people/find_core_task"), {"seq": seq})
            new_seqs.append(seq)
            wakeups += made
            continue
        content = result if transition == "success" else None
        call = TransitionCall(
            id=id, verb=transition, allowed=LIVE, caller=actor.caller, worker=actor.user, content=content
        )
        done = apply_locked(connection, [call], at)
        if not done.outcomes:
            ((_, definition, *_),) = fetch(connection, statement("people/find_core_task"), {"seq": seq})
            raise invalid_params(f"{definition!r} wants a result that only a worker has", "status")
        core = _core_task(done.outcomes[0])
        exec_id, version = core.exec_id, core.version
        wakeups += done.wakeups
        if transition == "release":
            wakeups.append(Wakeup(core.definition, None))
    return MovedCoreTask(new_seqs, exec_id, version, wakeups)


def make_core_task(connection: Connection, new: NewCoreTask, at: datetime | None) -> tuple[int, Sequence[Wakeup]]:
    """Create a core task behind the lock of its workflow; return its number and the wake-ups to publish.

    A decision under way is released: it has not seen the new task, and might complete the list.
    """
    call = CreateActivity(
        workflow_seq=new.workflow_seq,
        workflow_id=new.task_list,
        label=label_of(new.line_number, new.generation),
        digest=new.digest,
        definition=new.definition,
        version=new.version,
        params=raw(new.params),
        execute_at=None,
        settings=raw(new.settings),
        caller=new.caller,
    )
    params = {"calls": as_json(number([call])), "now": at}
    ((seq, definition, due_in, _),) = fetch(connection, statement("workflows/create_tasks"), params)
    return seq, [Wakeup(definition, due_in), *_release_decision(connection, new, at)]


def _release_decision(connection: Connection, new: NewCoreTask, at: datetime | None) -> Sequence[Wakeup]:
    rows = fetch(connection, statement("workflows/find_decision"), {"id": new.task_list})
    if not rows:
        return ()
    ((id, _, _),) = rows
    done = apply_locked(connection, [TransitionCall(id=id, verb="release", allowed=_LEASED, caller=new.caller)], at)
    return [*done.wakeups, *(Wakeup(new.process, None) for _ in done.outcomes)]


def _recreate(
    connection: Connection, task: PeopleTask, seq: int, actor: Actor, at: datetime
) -> tuple[int, Sequence[Wakeup]]:
    ((_, definition, version, settings, *_),) = fetch(connection, statement("people/find_core_task"), {"seq": seq})
    new = NewCoreTask(
        workflow_seq=task.workflow_seq,
        task_list=task.task_list,
        process=task.process,
        line_number=task.line_number,
        generation=task.core.generation + 1,
        definition=definition,
        version=version,
        params=task.params,
        settings=settings,
        digest=str(uuid4()),
        caller=actor.caller,
    )
    return make_core_task(connection, new, at)


def _core_task(outcome: tuple[object, ...] | Exception) -> Task:
    if isinstance(outcome, Exception):
        raise outcome
    return Task._make(outcome[RESOURCE])
