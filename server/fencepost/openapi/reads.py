"""The plain reads in the OpenAPI document; the handlers are in routes/, and a test compares both."""

from __future__ import annotations

from collections.abc import Sequence

from fencepost.domain.transitions import OUTCOMES, STATUSES
from fencepost.domain.workflow import STATUSES as WORKFLOW_STATUSES
from fencepost.openapi.parts import JSON, Json, content, in_path, in_query, ref, refused

_OF_ALL = (400, 401, 403, 408, 415, 431, 500, 503)
_TEXT = {"type": "string"}


def paths() -> Json:
    """Return the path items of the reads."""
    return {
        "/AidboxTask": {"get": _read("searchTasks", "Search tasks, newest first", "Tasks", _of_search(STATUSES))},
        "/AidboxTask/{id}": {"get": _read("readTask", "Read one task", "AidboxTask", [in_path("id")], 404)},
        "/AidboxTaskLog": {
            "get": _read("readTaskLog", "Read the log of a task, oldest first", "TaskLogs", _of_log(), 404)
        },
        "/AidboxWorkflow": {
            "get": _read(
                "searchWorkflows", "Search workflows, newest first", "Workflows", _of_search(WORKFLOW_STATUSES)
            )
        },
        "/AidboxWorkflow/{id}": {
            "get": _read("readWorkflow", "Read one workflow", "AidboxWorkflow", [in_path("id")], 404)
        },
        "/healthz": {"get": _probe("live", "Liveness: the process is running")},
        "/readyz": {
            "get": _probe(
                "ready",
                "Readiness: the server accepts work",
                "The database cannot be reached, or the server is draining.",
            )
        },
        "/openapi.yaml": {
            "get": {
                "operationId": "openapi",
                "summary": "Return this document",
                "security": [],
                "responses": {"200": {"description": "The document.", "content": {"application/yaml": {}}}},
            }
        },
    }


def schemas() -> Json:
    """Return the schemas of search results."""
    return {
        "Tasks": _page("AidboxTask"),
        "TaskLogs": _page("AidboxTaskLog"),
        "Workflows": _page("AidboxWorkflow"),
    }


def _of_search(statuses: Sequence[str]) -> list[Json]:
    return [
        _size(100),
        in_query("_after", _TEXT, "cursor of the page, from `link` of the previous page"),
        _words("_id", _TEXT, "one of these ids"),
        *(_words(name, {"enum": list(statuses)}, "with one of these statuses") for name in (".status", "status")),
        *(_words(name, {"enum": list(OUTCOMES)}, "with one of these outcomes") for name in (".outcome", "outcome")),
        _words("definition", _TEXT, "of one of these definitions"),
        _words("definition-not", _TEXT, "of none of these definitions"),
    ]


def _of_log() -> list[Json]:
    return [
        {
            **in_query(
                "subject",
                _TEXT,
                "id of a task, with or without `AidboxTask/`, or of a workflow with `AidboxWorkflow/`",
            ),
            "required": True,
        },
        _size(1000),
        in_query(
            "_after",
            {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
            "`versionId` of the last entry of the previous page",
        ),
    ]


def _read(id: str, summary: str, schema: str, parameters: list[Json], *further: int) -> Json:
    return {
        "operationId": id,
        "summary": summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": "The result of the search.", "content": content(ref(schema), JSON)},
            **refused(*sorted((*_OF_ALL, *further))),
        },
    }


def _probe(id: str, summary: str, unavailable: str | None = None) -> Json:
    schema = {"type": "object", "properties": {"status": {"const": "ok"}}, "required": ["status"]}
    well = {"200": {"description": "It does.", "content": content(schema, JSON)}}
    ill = {} if unavailable is None else {"503": {"description": unavailable}}
    return {"operationId": id, "summary": summary, "security": [], "responses": {**well, **ill}}


def _page(resource: str) -> Json:
    link = {"relation": {"const": "next"}, "url": _TEXT}
    members = {
        "resourceType": {"const": "Bundle"},
        "type": {"const": "searchset"},
        "total": {"type": "integer", "description": "number of results on all pages"},
        "entry": {"type": "array", "items": {"type": "object", "properties": {"resource": ref(resource)}}},
        "link": {"type": "array", "items": {"type": "object", "properties": link}},
    }
    return {"type": "object", "properties": members, "required": ["resourceType", "type", "total", "entry"]}


def _size(default: int) -> Json:
    return in_query("_count", {"type": "integer", "minimum": 0, "maximum": 1000, "default": default}, "page size")


def _words(name: str, schema: Json, description: str) -> Json:
    """Return a query parameter with several values, separated by commas."""
    several = {"type": "array", "items": schema, "minItems": 1}
    return {**in_query(name, several, description), "style": "form", "explode": False}
