"""The core task under a people's task follows it: it is moved by hand, in the transaction of the events.

New tasks of a list are made here as decisions make them, with labels of their own: a line is taken up again by a new
core task, since what is done stays done.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import uuid4

import orjson

from fencepost.domain.transitions import LIVE
from fencepost.errors import invalid_params
from fencepost.store.batches import Hint
from fencepost.store.connection import Connection, fetch
from fencepost.store.hands import Verb, by_hand, move_locked
from fencepost.store.statements import statement
from fencepost.vocabularies.people.commands import moves
from fencepost.vocabularies.people.decider import label_of
from fencepost.vocabularies.people.store.acting import Acting
from fencepost.vocabularies.people.streams import Standing
from fencepost.vocabularies.people.task import PeopleTask

_HELD = ("requested", "in-progress")


class NewCore(NamedTuple):
    """A core task to make: of which definition, for which line and the how manieth time; `params` are JSON text."""

    workflow_seq: int
    task_list: str
    process: str
    line_number: int
    round: int
    definition: str
    version: int
    params: bytes
    settings: bytes | None
    digest: str
    caller: str


def move(
    connection: Connection, task: PeopleTask, acting: Acting, after: Standing, at: datetime
) -> tuple[Sequence[int], Sequence[Hint]]:
    """Move the core task to where a people's task will stand; return the numbers of all it had, the newest last."""
    ((seqs,),) = fetch(connection, statement("people/core_seqs_of_task"), {"seq": task.seq})
    core_seqs: list[int] = list(seqs)
    hints: list[Hint] = []
    for verb in moves(task, after):
        if verb == "again":
            seq, made = _again(connection, task, core_seqs, acting, at)
            core_seqs.append(seq)
            hints += made
        else:
            hints += _by_hand(connection, core_seqs[-1], verb, acting, at)
    return core_seqs, hints


def make(connection: Connection, new: NewCore, at: datetime | None) -> tuple[int, Sequence[Hint]]:
    """Make a core task behind the lock of its workflow; return its number, and who is to hear of it.

    A decision that is being made is made anew: it has not seen the task, and might end the list as if all were over.
    """
    settings = None if new.settings is None else orjson.Fragment(new.settings)
    call = {
        "call": 0,
        "workflow_seq": new.workflow_seq,
        "workflow_id": new.task_list,
        "label": label_of(new.line_number, new.round),
        "digest": new.digest,
        "definition": new.definition,
        "version": new.version,
        "params": orjson.Fragment(new.params),
        "execute_at": None,
        "settings": settings,
        "caller": new.caller,
    }
    params = {"calls": orjson.dumps([call]).decode(), "now": at}
    ((seq, definition, due_in, _),) = fetch(connection, statement("workflows/create_tasks"), params)
    return seq, [Hint(definition, due_in), *_decided_anew(connection, new, at)]


def _decided_anew(connection: Connection, new: NewCore, at: datetime | None) -> Sequence[Hint]:
    rows = fetch(connection, statement("workflows/find_decision"), {"id": new.task_list})
    if not rows:
        return ()
    ((id, _, _),) = rows
    done = move_locked(connection, [by_hand(id, "release", allowed=_HELD, caller=new.caller)], at)
    return [*done.hints, *(Hint(new.process, None) for _ in done.outcomes)]


def _again(
    connection: Connection, task: PeopleTask, core_seqs: Sequence[int], acting: Acting, at: datetime
) -> tuple[int, Sequence[Hint]]:
    ((_, definition, version, settings, *_),) = fetch(
        connection, statement("people/find_core_task"), {"seq": core_seqs[-1]}
    )
    new = NewCore(
        workflow_seq=task.workflow_seq,
        task_list=task.task_list,
        process=task.process,
        line_number=task.line_number,
        round=len(core_seqs) + 1,
        definition=definition,
        version=version,
        params=task.text,
        settings=settings,
        digest=str(uuid4()),
        caller=acting.caller,
    )
    return make(connection, new, at)


def _by_hand(connection: Connection, seq: int, verb: Verb, acting: Acting, at: datetime) -> Sequence[Hint]:
    ((id, definition, *_),) = fetch(connection, statement("people/find_core_task"), {"seq": seq})
    content = acting.result if verb == "success" else None
    call = by_hand(id, verb, allowed=LIVE, caller=acting.caller, worker=acting.user, content=content)
    done = move_locked(connection, [call], at)
    if not done.outcomes:
        raise invalid_params(f"{definition!r} wants a result that only a worker has", "$.status")
    return [*done.hints, Hint(definition, None)] if verb == "release" else done.hints
