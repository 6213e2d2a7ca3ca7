"""Calls for many tasks as the single calls that they stand for."""

from __future__ import annotations

from collections.abc import Sequence

from tests.system.queue_tasks import Params

# The arrays of a call for many tasks, by the member of a single call.
_COLUMNS = {
    "id": "ids",
    "execId": "execIds",
    "label": "labels",
    "params": "params",
    "result": "results",
    "error": "errors",
}


def columns_of(calls: Sequence[Params]) -> Params:
    """Return the arrays of a call for many tasks, from the params of single calls."""
    used = {name: column for name, column in _COLUMNS.items() if any(name in params for params in calls)}
    return {column: [params.get(name) for params in calls] for name, column in used.items()}


def calls_in(params: Params) -> list[Params]:
    """Return the params of the single calls in a call for many tasks; such a call has short answers."""
    columns = {name: params[column] for name, column in _COLUMNS.items() if column in params}
    shared: Params = {name: params[name] for name in ("definition", "executeAt") if name in params}
    return [
        {
            **shared,
            **{name: value for name, value in zip(columns, row, strict=True) if value is not None},
            "include-resource?": False,
        }
        for row in zip(*columns.values(), strict=True)
    ]
