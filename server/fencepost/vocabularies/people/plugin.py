"""The people vocabulary: processes with steps for people and for workers, and task lists."""

from __future__ import annotations

from fencepost.domain.definition import TaskDefinition
from fencepost.domain.limits import LONGEST_MS
from fencepost.errors import kinds_of
from fencepost.vocabularies.people import errors
from fencepost.vocabularies.people.check import check_people
from fencepost.vocabularies.people.decider import decide
from fencepost.vocabularies.people.directory import Directory
from fencepost.vocabularies.people.lists import TaskLists
from fencepost.vocabularies.people.methods import people_methods
from fencepost.vocabularies.people.process import ProcessDefinition
from fencepost.vocabularies.people.statuses import MANUAL_TASK
from fencepost.vocabularies.people.store.directory import DirectoryStore
from fencepost.vocabularies.people.store.tasks import PeopleStore
from fencepost.vocabularies.people.tasks import PeopleTasks
from fencepost.vocabularies.plugin import Core, Running, Vocabulary

# The lease of a manual task is never renewed: a person may take any time.
_MANUAL = TaskDefinition(
    name=MANUAL_TASK, requested_to_start_timeout=LONGEST_MS, in_progress_timeout=LONGEST_MS, allowed_retry_count=0
)


def _start(core: Core) -> Running:
    engine = core.engine
    store = PeopleStore(core.database, core.clock, core.wakeups.publish)
    directory = Directory(DirectoryStore(core.database))
    lists = TaskLists(store, engine.workflows, engine.deciders, engine.definitions, directory)
    return Running(services=(lists, PeopleTasks(store, lists, directory), directory))


PEOPLE = Vocabulary(
    name="people",
    documents=(ProcessDefinition,),
    deciders=lambda settings: {ProcessDefinition.kind: decide},
    built_in=(_MANUAL,),
    not_polled=(MANUAL_TASK,),
    moved_by_id=(MANUAL_TASK,),
    errors=kinds_of(vars(errors)),
    methods=(people_methods,),
    checks=(check_people,),
    orphans=("people/delete_orphans",),
    start=_start,
)
