"""The use cases of the core, for the edges."""

from __future__ import annotations

from dataclasses import dataclass

from fencepost.domain.task import Task
from fencepost.engine.bulk_creates import BulkCreates
from fencepost.engine.bulk_finishes import BulkFinishes
from fencepost.engine.change_feed import ChangeFeed
from fencepost.engine.deciders import Deciders
from fencepost.engine.definitions import Definitions
from fencepost.engine.events import Events
from fencepost.engine.executions import Executions
from fencepost.engine.polls import Polls
from fencepost.engine.schedules import Schedules
from fencepost.engine.tasks import Tasks
from fencepost.engine.transitions_by_id import TransitionsById
from fencepost.engine.triggers import TriggerRules
from fencepost.engine.waits import Waits
from fencepost.engine.workflows import Workflows
from fencepost.store.workflows import Found


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """The use cases of the core, by noun."""

    tasks: Tasks
    bulk_creates: BulkCreates
    workflows: Workflows
    executions: Executions
    bulk_finishes: BulkFinishes
    polls: Polls
    definitions: Definitions
    events: Events
    triggers: TriggerRules
    schedules: Schedules
    transitions: TransitionsById
    deciders: Deciders
    changes: ChangeFeed
    task_waits: Waits[Task]
    workflow_waits: Waits[Found]
