"""The OpenAPI path of the event stream of a flow; vocabularies/taskflow/streams.py has its handler."""

from __future__ import annotations

from fencepost.openapi.parts import Json, in_path, refused

_REFUSALS = (400, 401, 403, 404, 408, 415, 431, 500, 503)
_TEXT = {"type": "string"}


def paths() -> Json:
    """Return the path of the stream."""
    return {
        "/taskflows/{id}/events": {
            "get": {
                "operationId": "followTaskflow",
                "summary": "Stream the TASK, STAGE and TASKFLOW events of a flow until it has ended",
                "parameters": [
                    in_path("id"),
                    {
                        "name": "Last-Event-ID",
                        "in": "header",
                        "description": "id of the last event received; the stream resumes after it",
                        "schema": _TEXT,
                    },
                ],
                "responses": {
                    "200": {
                        "description": "Server-sent events; the data of each is `{eventType, data}`.",
                        "content": {"text/event-stream": {"schema": _TEXT}},
                    },
                    "204": {"description": "The flow has ended, and that was its last event."},
                    **refused(*_REFUSALS),
                },
            }
        }
    }
