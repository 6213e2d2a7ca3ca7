"""What the workflow `demo/import` does: a task a file, and when all of them went well one that checks them.

It is a function of what has happened: no state of its own, so that any executor may decide about the next event.
"""

from __future__ import annotations

from typing import Any

import msgspec

from fencepost.demo.definition import CHECK, IMPORT
from fencepost_sdk import Activity, Event, Facts
from fencepost_sdk.actions import Action, complete, fail, schedule_task

# No file has it: their names have an ending.
CHECK_LABEL = "check"
# A decision has a limit; what does not fit is begun at the next event.
_MOST_FILES = 500


class File(msgspec.Struct):
    """A file to import: the label of its task, and the params of that."""

    label: str
    params: dict[str, Any]


class Wanted(msgspec.Struct):
    """The params of the workflow."""

    files: list[File]


def decide(workflow: Facts[Wanted], event: Event) -> Action | list[Action] | None:
    """Import every file, check them all, and complete with what was done; fail when one of these did."""
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
        told = [{"name": one.label, "rows": one.result["imported-resources"], **one.params} for one in imports]
        return schedule_task(CHECK, CHECK_LABEL, {"files": told})
    if not check.done:
        return None
    if not check.succeeded:
        return fail(_reason(check))
    return complete({"tasks": len(activities), "rows": check.result["rows"]})


def _reason(one: Activity) -> str:
    told = one.error or one.reason or {}
    return str(told.get("message") or f"the task was {one.outcome}")
