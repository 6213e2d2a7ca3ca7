"""Error kinds of Taskflow methods."""

from __future__ import annotations

from fencepost.errors import Kind

TASKFLOW_NOT_FOUND = Kind("taskflow-not-found", 404, "there is no taskflow {id!r}")
TASKFLOW_NOT_DONE = Kind(
    "taskflow-not-done", 422, "taskflow {id!r} is {status}; only one that has ended can be retried"
)
TASKFLOW_HAS_BEEN_DONE = Kind("taskflow-has-been-done", 422, "taskflow {id!r} has ended already: {status}")
NOTHING_TO_RETRY = Kind(
    "nothing-to-retry", 422, "taskflow {id!r} has nothing to retry: tasks that succeeded are not repeated"
)
PARENT_IS_OVER = Kind("parent-is-over", 422, "task {task!r} of taskflow {id!r} is not being executed")
TEMPLATE_NOT_FOUND = Kind("template-not-found", 404, "there is no template {id!r}")
