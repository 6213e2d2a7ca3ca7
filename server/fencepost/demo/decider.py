"""The decider of the workflow `demo/import`: one task per file, then a task that checks all files.

It has no state, so that any executor can make the next decision.
"""

from __future__ import annotations

from typing import Any

import msgspec

from fencepost.demo.definition import CHECK, IMPORT
from fencepost_sdk import Activity, Event, Facts
from fencepost_sdk.actions import Action, complete, fail, schedule_task

# No file has this label, because file names have an ending.
CHECK_LABEL = "check"
# A decision has a limit; further tasks are started at the next event.
_MOST_FILES = 500


class File(msgspec.Struct):
    """A file to import: the label and the params of its task."""

    label: str
    params: dict[str, Any]


class ImportParams(msgspec.Struct):
    """The params of the workflow."""

    files: list[File]


def decide(workflow: Facts[ImportParams], event: Event) -> Action | list[Action] | None:
    """Import every file, check all of them, and complete; fail when one of these tasks fails."""
    files, activities = workflow.params.files, workflow.activities
    if missing := [file for file in files if file.label not in activities]:
        return [schedule_task(IMPORT, file.label, file.params) for file in missing[:_MOST_FILES]]
    imports = [activities[file.label] for file in files]
    if not all(one.done for one in imports):
        return None
    if failed := [f"{one.label} ({_reason(one)})" for one in imports if not one.succeeded]:
        return fail(f"{len(failed)} of {len(files)} tasks did not succeed: {', '.join(failed)}")
    check = activities.get(CHECK_LABEL)
    if check is None:
        imported = [{"name": one.label, "rows": one.result["imported-resources"], **one.params} for one in imports]
        return schedule_task(CHECK, CHECK_LABEL, {"files": imported})
    if not check.done:
        return None
    if not check.succeeded:
        return fail(_reason(check))
    return complete({"tasks": len(activities), "rows": check.result["rows"]})


def _reason(one: Activity) -> str:
    cause = one.error or one.reason or {}
    return str(cause.get("message") or f"the task was {one.outcome}")
