"""Error kinds of device runs and reports."""

from __future__ import annotations

from fencepost.errors import Kind

DEVICE_NOT_FOUND = Kind("device-not-found", 404, "there is no device {name!r}")
RUN_NOT_FOUND = Kind("workflow-run-not-found", 404, "there is no workflow run {id!r}")
REPORT_REFUSED = Kind("report-refused", 409, "task {id!r} is {status}; {verb} needs a task that is {wanted}")
RUN_IS_OVER = Kind("workflow-run-is-over", 409, "workflow run {id!r} is {status}")
