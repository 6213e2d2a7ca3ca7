"""Routes of device workflows, their runs and tasks.

POST /workflows/{id}/runs                              begin a run
GET  /workflows  /workflows/{id}  /workflows/{id}/runs
GET  /workflow-runs/{id}                               a run with its tasks
POST /workflow-runs/{id}/stop
GET  /tasks/{id}
POST /tasks/{id}/start|complete|reject|abort|fail      report of a device
POST /task-state                                       report as a `task_state` message
"""

from __future__ import annotations

from typing import get_args

from msgspec import UNSET
from starlette.requests import Request

from fencepost.engine.context import Context
from fencepost.errors import (
    DEFINITION_NOT_FOUND,
    KEY_TAKEN,
    READ_TOO_LONG,
    TASK_HAS_A_LIMIT,
    TASK_NOT_FOUND,
    WORKFLOW_EXISTS,
    Verbatim,
)
from fencepost.http.parameters import Number, Text
from fencepost.http.routes import Routes
from fencepost.resources.cursors import read_position, write_position
from fencepost.resources.values import JsonObject
from fencepost.vocabularies.devices.document import DeviceRunBody
from fencepost.vocabularies.devices.errors import REPORT_REFUSED, RUN_IS_OVER, RUN_NOT_FOUND
from fencepost.vocabularies.devices.reports import DeviceReport, DeviceTaskState, parse_report, parse_task_state
from fencepost.vocabularies.devices.resources import (
    DeviceRun,
    DeviceRunPage,
    DeviceTask,
    DeviceWorkflowPage,
    DeviceWorkflowResource,
    device_run,
    device_task,
    device_workflow,
)
from fencepost.vocabularies.devices.runs import Runs
from fencepost.vocabularies.devices.statuses import Verb

run_routes = Routes(also_below="/api")

LIMIT = Number("limit", "page size", default=100, most=1000)
AFTER = Text("after", "`next` of the previous page")
_REPORT_ERRORS = (TASK_NOT_FOUND, REPORT_REFUSED, TASK_HAS_A_LIMIT)


@run_routes.route("GET", "/workflows", parameters=(LIMIT, AFTER))
async def list_device_workflows(context: Context, request: Request) -> DeviceWorkflowPage:
    """List device workflows by name."""
    query = request.query_params
    size = LIMIT.read(query)
    found, more = await context.of(Runs).workflows(after=AFTER.read(query), size=size)
    page = [device_workflow(one) for one in found]
    return DeviceWorkflowPage(page, page[-1].id if more and page else UNSET)


# The paths of runs come first: names of workflows contain slashes.
@run_routes.route(
    "POST",
    "/workflows/{id:path}/runs",
    status=201,
    errors=(DEFINITION_NOT_FOUND, KEY_TAKEN, WORKFLOW_EXISTS),
)
async def begin_device_run(context: Context, request: Request, body: DeviceRunBody) -> DeviceRun:
    """Begin a run."""
    workflow = request.path_params["id"]
    return device_run(await context.of(Runs).begin(workflow, body.params, id=body.id, caller=context.caller))


@run_routes.route(
    "GET", "/workflows/{id:path}/runs", parameters=(LIMIT, AFTER), errors=(DEFINITION_NOT_FOUND, READ_TOO_LONG)
)
async def list_device_runs(context: Context, request: Request) -> DeviceRunPage:
    """List the runs of a device workflow, the newest first."""
    query = request.query_params
    size = LIMIT.read(query)
    position = read_position(AFTER.read(query), Verbatim("after"))
    runs, following = await context.of(Runs).list(request.path_params["id"], position=position, size=max(size, 1))
    page = [device_run(run, whole=False) for run in runs[:size]]
    return DeviceRunPage(page, write_position(following) if following and page else UNSET)


@run_routes.route("GET", "/workflows/{id:path}", errors=(DEFINITION_NOT_FOUND,))
async def read_device_workflow(context: Context, request: Request) -> DeviceWorkflowResource:
    """Read a device workflow."""
    return device_workflow(await context.of(Runs).workflow(request.path_params["id"]))


@run_routes.route("GET", "/workflow-runs/{id}", errors=(RUN_NOT_FOUND, READ_TOO_LONG))
async def read_device_run(context: Context, request: Request) -> DeviceRun:
    """Read a run with its tasks."""
    return device_run(await context.of(Runs).get(request.path_params["id"], read_only=True))


@run_routes.route("POST", "/workflow-runs/{id}/stop", body=JsonObject, errors=(RUN_NOT_FOUND, RUN_IS_OVER))
async def stop_device_run(context: Context, request: Request, _: bytes) -> DeviceRun:
    """Stop a run."""
    return device_run(await context.of(Runs).stop(request.path_params["id"], caller=context.caller))


@run_routes.route("GET", "/tasks/{id}", errors=(TASK_NOT_FOUND,))
async def read_device_task(context: Context, request: Request) -> DeviceTask:
    """Read a task of a run."""
    return device_task(await context.of(Runs).task(request.path_params["id"]))


@run_routes.route(
    "POST", "/tasks/{id}/{verb}", choices={"verb": get_args(Verb)}, body=DeviceReport, errors=_REPORT_ERRORS
)
async def report_on_task(context: Context, request: Request, body: bytes) -> DeviceTask:
    """Report about a task."""
    report = parse_report(request.path_params["verb"], body)
    return device_task(await context.of(Runs).report(request.path_params["id"], report, caller=context.caller))


@run_routes.route("POST", "/task-state", body=DeviceTaskState, errors=_REPORT_ERRORS)
async def report_task_state(context: Context, _: Request, body: bytes) -> DeviceTask:
    """Report with a task_state message."""
    id, report = parse_task_state(body)
    return device_task(await context.of(Runs).report(id, report, caller=context.caller))
