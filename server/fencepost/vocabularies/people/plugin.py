"""People: processes whose steps people and jobs work on, in task lists."""

from __future__ import annotations

from fencepost.domain.definition import TaskDefinition
from fencepost.domain.limits import LONGEST_MS
from fencepost.errors import kinds_of
from fencepost.vocabularies.people import errors
from fencepost.vocabularies.people.check import check_people
from fencepost.vocabularies.people.decider import decide
from fencepost.vocabularies.people.lists import TaskLists
from fencepost.vocabularies.people.methods import people_methods
from fencepost.vocabularies.people.process import ProcessDefinition
from fencepost.vocabularies.people.registers import Registers
from fencepost.vocabularies.people.statuses import BY_HAND
from fencepost.vocabularies.people.store.registers import RegisterStore
from fencepost.vocabularies.people.store.tasks import PeopleStore
from fencepost.vocabularies.people.tasks import PeopleTasks
from fencepost.vocabularies.plugin import Core, Running, Vocabulary

# Nobody renews a lease of such a task: a person takes as long as it takes.
_MANUAL = TaskDefinition(
    name=BY_HAND, requested_to_start_timeout=LONGEST_MS, in_progress_timeout=LONGEST_MS, allowed_retry_count=0
)


def _start(core: Core) -> Running:
    engine = core.engine
    store = PeopleStore(core.database, core.clock, core.hints.follow)
    registers = Registers(RegisterStore(core.database))
    lists = TaskLists(store, engine.workflows, engine.deciders, engine.definitions, registers)
    return Running(services=(lists, PeopleTasks(store, lists, registers), registers))


PEOPLE = Vocabulary(
    name="people",
    documents=(ProcessDefinition,),
    deciders=lambda settings: {ProcessDefinition.kind: decide},
    built_in=(_MANUAL,),
    not_polled=(BY_HAND,),
    moved_by_id=(BY_HAND,),
    errors=kinds_of(vars(errors)),
    methods=(people_methods,),
    checks=(check_people,),
    start=_start,
)
