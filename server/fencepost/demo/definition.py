"""What the demo declares: the task that imports a file, the one that checks them all, and the workflow of both."""

from __future__ import annotations

from typing import Any

IMPORT = "aidbox.bulk/import-resource-task"
CHECK = "demo/check"
WORKFLOW = "demo/import"

_PARAMS: dict[str, Any] = {
    "type": "object",
    "required": ["contentEncoding", "input"],
    "properties": {
        "type": {"enum": ["aidbox", "fhir"], "description": "the format of the resources; stored as they are"},
        "contentEncoding": {"enum": ["gzip", "plain"]},
        "input": {
            "type": "object",
            "required": ["url", "resourceType"],
            "properties": {
                "url": {"type": "string", "pattern": "^(file|https?)://", "description": "a file of NDJSON"},
                "resourceType": {"type": "string", "minLength": 1, "description": "of the rows that name none"},
            },
        },
    },
}

_RESULT: dict[str, Any] = {
    "type": "object",
    "required": ["imported-resources"],
    "properties": {"imported-resources": {"type": "integer", "minimum": 0}},
}

# Short times, because the demo's attempts are short and somebody watches: a killed executor is missed after five
# seconds. A worker that lives sends heartbeats three times as often.
_TIMES: dict[str, Any] = {"inProgressTimeout": 5_000, "allowedRetryCount": 2, "retryDelay": 500}

DOCUMENTS: tuple[dict[str, Any], ...] = (
    {"kind": "task", "name": IMPORT, **_TIMES, "params": _PARAMS, "result": _RESULT},
    {"kind": "task", "name": CHECK, **_TIMES},
    {"kind": "workflow", "name": WORKFLOW, **_TIMES},
)
