"""`awf.task/clean-up-activities`: deletes done tasks and workflows by rule, in batches.

Each batch is one transaction, so the next run continues after the last batch of a run that died. Each batch begins only
while the task is in progress, so that a canceled clean-up stops.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

import msgspec

from fencepost.domain.history import age_text
from fencepost.engine.builtin.execution import BuiltinExecution, Handler, read_params
from fencepost.store.cleaning import CleaningStore, Old

# Workflows of one batch.
_TREES = 100


class _Policy(msgspec.Struct, frozen=True):
    unit: Literal["minute", "hour", "day", "week", "month", "year"]
    value: int


class _Rule(msgspec.Struct, frozen=True, rename="camel"):
    retention_policy: _Policy
    include_definitions: list[str] | None = None
    exclude_definitions: list[str] | None = None


class _Params(msgspec.Struct, frozen=True):
    rules: list[_Rule]


def clean_up(store: CleaningStore) -> Handler:
    """Return the handler; its result counts the deletions of this run, not those of an earlier, interrupted one."""

    async def handle(execution: BuiltinExecution) -> bytes:
        now = await store.now()
        deleted = Counter(AidboxTask=0, AidboxTaskLog=0, AidboxWorkflow=0)
        for rule in read_params(execution.params, _Params).rules:
            age = age_text(rule.retention_policy.unit, rule.retention_policy.value)
            old = Old(age, now, rule.include_definitions, rule.exclude_definitions)
            await _delete_workflows(store, execution, old, deleted)
            await _delete_tasks(store, execution, old, deleted)
        return msgspec.json.encode({"deletedRowsCount": deleted})

    return handle


async def _delete_tasks(store: CleaningStore, execution: BuiltinExecution, old: Old, deleted: Counter[str]) -> None:
    after: int | None = 0
    while after is not None:
        await execution.check()
        after, tasks, entries = await store.delete_tasks(old, after=after)
        deleted.update(AidboxTask=tasks, AidboxTaskLog=entries)


async def _delete_workflows(store: CleaningStore, execution: BuiltinExecution, old: Old, deleted: Counter[str]) -> None:
    after: int | None = 0
    while after is not None:
        await execution.check()
        after, seqs = await store.find_workflows(old, after=after)
        for first in range(0, len(seqs), _TREES):
            await _delete_trees(store, execution, seqs[first : first + _TREES], deleted)


async def _delete_trees(
    store: CleaningStore, execution: BuiltinExecution, workflows: list[int], deleted: Counter[str]
) -> None:
    """Delete workflows, listed children first: their tasks, their labels, then the workflows themselves."""
    tasks = 1
    while tasks:
        await execution.check()
        tasks, entries = await store.delete_activities(workflows)
        deleted.update(AidboxTask=tasks, AidboxTaskLog=entries)
    while await store.delete_labels(workflows):
        await execution.check()
    deleted.update(AidboxWorkflow=await store.delete_workflows(workflows))
