"""Errors of the people vocabulary."""

from __future__ import annotations

from fencepost.errors import Kind

PEOPLE_TASK_NOT_FOUND = Kind("people-task-not-found", 404, "there is no people task {id!r}")
TASK_LIST_NOT_FOUND = Kind("task-list-not-found", 404, "there is no task list {code!r}")
PROCESS_STEP_NOT_FOUND = Kind("process-step-not-found", 404, "process {process!r} has no step {code!r}{hint}")
TASK_EVENT_NOT_FOUND = Kind("task-event-not-found", 404, "there is no {stream} event {event}")
NOT_A_MEMBER = Kind("not-a-member", 403, "{user!r} is not a member of team {team!r}")
PEOPLE_TASK_TAKEN = Kind(
    "people-task-taken", 409, "task {id!r} is {status} and {assignment}; only a pending task can be claimed"
)
PEOPLE_TASK_LOCKED = Kind("people-task-locked", 409, "task {id!r} is locked by {user!r}")
PEOPLE_TASK_COMPLETED = Kind("people-task-completed", 422, "task {id!r} is {status}")
PEOPLE_TASK_NOT_COMPLETED = Kind("people-task-not-completed", 422, "task {id!r} is {status}, not completed")
PEOPLE_TASK_AUTOMATIC = Kind("people-task-automatic", 422, "task {id!r} is automatic: only a worker can start it")
USER_NEEDED = Kind("user-needed", 422, "a task needs a user to be {status}")
NOT_EXACTLY_ONE = Kind("not-exactly-one", 422, "list {task_list!r} has {count} tasks of step {code!r}, not one")
TASK_REMOVAL = Kind("task-removal", 422, "tasks cannot be removed: the history of a workflow is kept")
TASKS_NOT_OVER = Kind("tasks-not-over", 422, "list {code!r} has {count} tasks that are neither completed nor canceled")
