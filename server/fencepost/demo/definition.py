"""The definitions of the demo: a task that imports a file, one that checks all files, and their workflow."""

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
                "resourceType": {
                    "type": "string",
                    "minLength": 1,
                    "description": "the type of rows without a resourceType",
                },
            },
        },
    },
}

_RESULT: dict[str, Any] = {
    "type": "object",
    "required": ["imported-resources"],
    "properties": {"imported-resources": {"type": "integer", "minimum": 0}},
}

# Short times, because attempts of the demo are short: the tasks of a killed executor time out after five seconds. A
# running worker sends three heartbeats in that time.
_TIMES: dict[str, Any] = {"inProgressTimeout": 5_000, "allowedRetryCount": 2, "retryDelay": 500}

DOCUMENTS: tuple[dict[str, Any], ...] = (
    {"kind": "task", "name": IMPORT, **_TIMES, "params": _PARAMS, "result": _RESULT},
    {"kind": "task", "name": CHECK, **_TIMES},
    {"kind": "workflow", "name": WORKFLOW, **_TIMES},
)
