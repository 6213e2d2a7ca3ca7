"""The OpenAPI paths of devices and their clients; vocabularies/devices/rest has the handlers.

Each path is also under `/api`, and the streams also speak WebSocket: docs/vocabularies/devices.md.
"""

from __future__ import annotations

from fencepost.openapi.parts import JSON, JSON_OR_YAML, Json, content, in_path, in_query, ref, refused

_OF_ALL = (400, 401, 403, 408, 415, 431, 500, 503)
_OF_BODIES = (*_OF_ALL, 413)
_TEXT = {"type": "string"}
_OBJECT = {"type": "object"}
_PAGE = [
    in_query("limit", {"type": "integer", "minimum": 0, "maximum": 1000, "default": 100}, "page size"),
    in_query("after", _TEXT, "`next` of the previous page"),
]
_RUN_BODY = {
    "type": "object",
    "properties": {
        "id": {
            "type": "string",
            "pattern": "^[A-Za-z0-9.-]{1,64}$",
            "description": "idempotency key: the id of the run",
        },
        "device": {
            "description": "device of the run, when the document names none; also spelled `deviceId` or `device_id`"
        },
        "payload": {**_OBJECT, "description": "members for the payload of the first step"},
    },
}
_SAID = {
    "result": {**_OBJECT, "description": "of `complete`"},
    "reason": {"type": "string", "maxLength": 10_000, "description": "of `reject`, `abort` and `fail`"},
    "failPoint": {"description": "of `abort` and `fail`: where the device wants to resume"},
}
_REPORT = {"type": "object", "description": "Other members are ignored.", "properties": _SAID}
_TASK_STATES = ["TASK_STARTED", "TASK_COMPLETED", "TASK_REJECTED", "TASK_ABORTED", "TASK_FAILED"]
_TASK_STATE = {
    "type": "object",
    "properties": {"type": {"enum": _TASK_STATES}, "task_id": _TEXT, **_SAID},
    "required": ["type", "task_id"],
}
_SETTINGS = ("registerWindowSeconds", "healthcheckSeconds", "silenceSeconds")


def paths() -> Json:
    """Return the paths."""
    id, name = in_path("id"), in_path("name")
    run, task, device, workflow = map(ref, ("DeviceRun", "DeviceTask", "DeviceResource", "DeviceWorkflowResource"))
    verb = {**in_path("verb"), "schema": {"enum": ["start", "complete", "reject", "abort", "fail"]}}
    since = in_query("since", {"type": "string", "format": "date-time"}, "replay events since this time")
    as_device = in_query("as", {"enum": ["device"]}, "the caller is the device: its open stream counts as a heartbeat")
    seconds = {"type": "object", "properties": {name: {"type": "number"} for name in _SETTINGS}}
    return {
        "/workflows": {
            "get": _read("listDeviceWorkflows", "List device workflows by name", _page("workflows", workflow), _PAGE)
        },
        "/workflows/{id}": {"get": _read("readDeviceWorkflow", "Read a device workflow", workflow, [id], 404)},
        "/workflows/{id}/runs": {
            "get": _read(
                "listDeviceRuns",
                "List the runs of a device workflow, the newest first",
                _page("runs", run),
                [id, *_PAGE],
                404,
            ),
            "post": _write("beginDeviceRun", "Begin a run", run, [id], _RUN_BODY, 404, 409, 422, status=201),
        },
        "/workflow-runs/{id}": {"get": _read("readDeviceRun", "Read a run with its tasks", run, [id], 404)},
        "/workflow-runs/{id}/stop": {"post": _write("stopDeviceRun", "Stop a run", run, [id], _OBJECT, 404, 409)},
        "/tasks/{id}": {"get": _read("readDeviceTask", "Read a task of a run", task, [id], 404)},
        "/tasks/{id}/{verb}": {
            "post": _write("reportOnTask", "Report about a task", task, [id, verb], _REPORT, 404, 409, 422)
        },
        "/task-state": {
            "post": _write("reportTaskState", "Report with a task_state message", task, [], _TASK_STATE, 404, 409, 422)
        },
        "/devices": {"get": _read("listDevices", "List devices by name", _page("devices", device), _PAGE)},
        "/devices/{name}": {
            "get": _read("readDevice", "Read a device", device, [name], 404),
            "put": _write("putDevice", "Register a device with any object", device, [name], _OBJECT),
        },
        "/devices/{name}/heartbeat": {
            "post": _write("seeDevice", "Send a heartbeat", device, [name], _OBJECT, 404),
        },
        "/server-settings": {
            "get": _read("readPatience", "Return the timeouts that a device can rely on", seconds, [])
        },
        "/devices/{name}/events": {
            "get": _stream("followDevice", "Stream the messages for a device", [name, as_device], 404)
        },
        "/events/client": {"get": _stream("followDevices", "Stream the events for clients", [since])},
    }


def _read(id: str, summary: str, schema: Json, parameters: list[Json], *further: int) -> Json:
    well = {"200": {"description": "The resource.", "content": content(schema, JSON)}}
    refusals = refused(*sorted((*_OF_ALL, *further)))
    return {"operationId": id, "summary": summary, "parameters": parameters, "responses": {**well, **refusals}}


def _write(
    id: str, summary: str, schema: Json, parameters: list[Json], body: Json, *further: int, status: int = 200
) -> Json:
    well = {str(status): {"description": "The resource after the call.", "content": content(schema, JSON)}}
    return {
        "operationId": id,
        "summary": summary,
        "parameters": parameters,
        "requestBody": {"required": False, "content": content(body, JSON_OR_YAML)},
        "responses": {**well, **refused(*sorted((*_OF_BODIES, *further)))},
    }


def _stream(id: str, summary: str, parameters: list[Json], *further: int) -> Json:
    events = {"description": "Server-sent events, JSON objects.", "content": {"text/event-stream": {"schema": _TEXT}}}
    refusals = refused(*sorted((*_OF_ALL, *further)))
    return {"operationId": id, "summary": summary, "parameters": parameters, "responses": {"200": events, **refusals}}


def _page(member: str, item: Json) -> Json:
    members = {member: {"type": "array", "items": item}, "next": {**_TEXT, "description": "`after` of the next page"}}
    return {"type": "object", "properties": members, "required": [member]}
