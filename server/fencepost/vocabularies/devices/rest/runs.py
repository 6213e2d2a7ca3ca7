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

from starlette.requests import Request
from starlette.responses import Response

from fencepost.errors import NOT_FOUND, Refusal
from fencepost.http.queries import number, refuse_unknown
from fencepost.resources.cursors import read_position, write_position
from fencepost.settings import Limits
from fencepost.vocabularies.devices.document import parse_run_body
from fencepost.vocabularies.devices.reports import parse_report, parse_task_state
from fencepost.vocabularies.devices.resources import device_run, device_task, device_workflow
from fencepost.vocabularies.devices.rest.bodies import json_response, read_json_body
from fencepost.vocabularies.devices.runs import Runs
from fencepost.vocabularies.devices.statuses import Verb

_VERBS = get_args(Verb)
_MOST = 1000
_DEFAULT = 100


class RunCalls:
    """The handlers."""

    def __init__(self, runs: Runs, limits: Limits) -> None:
        self._runs = runs
        self._limits = limits

    async def begin(self, request: Request) -> Response:
        """Answer `POST /workflows/{id}/runs`."""
        body = parse_run_body(await read_json_body(request, self._limits))
        run = await self._runs.begin(request.path_params["id"], body.params, id=body.id, caller=request.state.caller)
        return json_response(device_run(run), 201)

    async def workflows(self, request: Request) -> Response:
        """Answer `GET /workflows`."""
        size, after = self._page_params(request)
        found, more = await self._runs.workflows(after=after, size=size)
        page = [device_workflow(one) for one in found]
        return json_response({"workflows": page, **({"next": page[-1].id} if more and page else {})})

    async def workflow(self, request: Request) -> Response:
        """Answer `GET /workflows/{id}`."""
        return json_response(device_workflow(await self._runs.workflow(request.path_params["id"])))

    async def page(self, request: Request) -> Response:
        """Answer `GET /workflows/{id}/runs`."""
        size, after = self._page_params(request)
        position = read_position(after, "after")
        runs, following = await self._runs.list(request.path_params["id"], position=position, size=max(size, 1))
        page = [device_run(run, whole=False) for run in runs[:size]]
        return json_response({"runs": page, **({"next": write_position(following)} if following and page else {})})

    async def run(self, request: Request) -> Response:
        """Answer `GET /workflow-runs/{id}`."""
        return json_response(device_run(await self._runs.get(request.path_params["id"], read_only=True)))

    async def stop(self, request: Request) -> Response:
        """Answer `POST /workflow-runs/{id}/stop`."""
        await read_json_body(request, self._limits)
        return json_response(device_run(await self._runs.stop(request.path_params["id"], caller=request.state.caller)))

    async def task(self, request: Request) -> Response:
        """Answer `GET /tasks/{id}`."""
        return json_response(device_task(await self._runs.task(request.path_params["id"])))

    async def report(self, request: Request) -> Response:
        """Answer `POST /tasks/{id}/start` and its like."""
        verb = request.path_params["verb"]
        if verb not in _VERBS:
            raise Refusal(NOT_FOUND, path=request.scope["path"][:200])
        report = parse_report(verb, await read_json_body(request, self._limits))
        task = await self._runs.report(request.path_params["id"], report, caller=request.state.caller)
        return json_response(device_task(task))

    async def task_state(self, request: Request) -> Response:
        """Answer `POST /task-state`."""
        id, report = parse_task_state(await read_json_body(request, self._limits))
        return json_response(device_task(await self._runs.report(id, report, caller=request.state.caller)))

    def _page_params(self, request: Request) -> tuple[int, str | None]:
        query = request.query_params
        refuse_unknown(query, {"limit", "after"})
        return number(query, "limit", _DEFAULT, _MOST), query.get("after")
