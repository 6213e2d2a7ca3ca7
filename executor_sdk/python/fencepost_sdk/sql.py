"""Create tasks inside a database transaction of the application, on the database that the servers use.

A connection is one of psycopg, psycopg2, SQLAlchemy (a Connection or a Session) or asyncpg; this module needs none of
them. The task exists if and only if the transaction of the connection commits. Errors are those of the driver
(docs/transactions.md lists the SQLSTATEs), and NotJson before anything is sent.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fencepost_sdk.payloads import encode

# Every value is text for every driver: none has to know a type, and JSON keeps its text.
_STATEMENT = (
    "select fencepost.enqueue_many(cast({definition} as text),"
    " array(select value from json_array_elements(cast(cast({params} as text) as json)) as p (value)),"
    " ids => (select array_agg(value) from json_array_elements_text(cast(cast({ids} as text) as json)) as i (value)),"
    " labels => (select array_agg(value)"
    " from json_array_elements_text(cast(cast({labels} as text) as json)) as l (value)),"
    " execute_at => cast(cast({execute_at} as text) as timestamptz),"
    " settings => cast(cast({settings} as text) as jsonb),"
    " unchecked => cast({unchecked} as boolean), notify => cast({notify} as boolean)) as ids"
)
_NAMES = re.findall(r"{(\w+)}", _STATEMENT)


def enqueue(
    connection: Any,
    definition: str,
    params: Any = None,
    *,
    id: str | None = None,
    label: str | None = None,
    execute_at: datetime | None = None,
    settings: Mapping[str, Any] | None = None,
    unchecked: bool = False,
    notify: bool = False,
) -> str:
    """Create a task in the transaction of a synchronous connection, and return its id.

    `params` is an object of JSON types, `execute_at` has a timezone, and `settings` are as in `Client.create`.
    `unchecked` accepts a definition with a schema of its params, which SQL cannot check. `notify` wakes servers at the
    commit; without it they find the task within about a second.
    """
    options: dict[str, Any] = {"ids": [id], "labels": [label], "execute_at": execute_at, "settings": settings}
    return enqueue_many(connection, definition, [params], **options, unchecked=unchecked, notify=notify)[0]


def enqueue_many(
    connection: Any,
    definition: str,
    params: Sequence[Any],
    *,
    ids: Sequence[str | None] | None = None,
    labels: Sequence[str | None] | None = None,
    execute_at: datetime | None = None,
    settings: Mapping[str, Any] | None = None,
    unchecked: bool = False,
    notify: bool = False,
) -> list[str]:
    """Create tasks of one definition as `enqueue` does; return their ids in the order of the params."""
    values = _values(definition, params, ids, labels, execute_at, settings, unchecked, notify)
    if _is_of(connection, "sqlalchemy"):
        return list(connection.execute(*_for_sqlalchemy(values)).scalar_one())
    cursor = connection.cursor()
    try:
        cursor.execute(_statement("%({})s"), values)
        return _ids(cursor.fetchone())
    finally:
        cursor.close()


async def enqueue_async(
    connection: Any,
    definition: str,
    params: Any = None,
    *,
    id: str | None = None,
    label: str | None = None,
    execute_at: datetime | None = None,
    settings: Mapping[str, Any] | None = None,
    unchecked: bool = False,
    notify: bool = False,
) -> str:
    """Create a task as `enqueue` does, with an asynchronous connection."""
    options: dict[str, Any] = {"ids": [id], "labels": [label], "execute_at": execute_at, "settings": settings}
    created = await enqueue_many_async(connection, definition, [params], **options, unchecked=unchecked, notify=notify)
    return created[0]


async def enqueue_many_async(
    connection: Any,
    definition: str,
    params: Sequence[Any],
    *,
    ids: Sequence[str | None] | None = None,
    labels: Sequence[str | None] | None = None,
    execute_at: datetime | None = None,
    settings: Mapping[str, Any] | None = None,
    unchecked: bool = False,
    notify: bool = False,
) -> list[str]:
    """Create tasks as `enqueue_many` does, with an asynchronous connection."""
    values = _values(definition, params, ids, labels, execute_at, settings, unchecked, notify)
    if _is_of(connection, "sqlalchemy"):
        return list((await connection.execute(*_for_sqlalchemy(values))).scalar_one())
    if _is_of(connection, "asyncpg"):
        numbered = _STATEMENT.format(**{name: f"${place}" for place, name in enumerate(_NAMES, 1)})
        return list(await connection.fetchval(numbered, *(values[name] for name in _NAMES)))
    async with connection.cursor() as cursor:
        await cursor.execute(_statement("%({})s"), values)
        return _ids(await cursor.fetchone())


def _values(
    definition: str,
    params: Sequence[Any],
    ids: Sequence[str | None] | None,
    labels: Sequence[str | None] | None,
    execute_at: datetime | None,
    settings: Mapping[str, Any] | None,
    unchecked: bool,
    notify: bool,
) -> dict[str, Any]:
    if execute_at is not None and execute_at.tzinfo is None:
        raise ValueError("execute_at needs a timezone")
    return {
        "definition": definition,
        "params": "[" + ",".join(_text(one, "$.params") for one in params) + "]",
        "ids": None if ids is None else _text(ids, "$.ids"),
        "labels": None if labels is None else _text(labels, "$.labels"),
        "execute_at": None if execute_at is None else execute_at.isoformat(),
        "settings": None if settings is None else _text(settings, "$.settings"),
        "unchecked": unchecked,
        "notify": notify,
    }


def _statement(form: str) -> str:
    return _STATEMENT.format(**{name: form.format(name) for name in _NAMES})


def _for_sqlalchemy(values: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    return importlib.import_module("sqlalchemy").text(_statement(":{}")), values


def _is_of(connection: Any, package: str) -> bool:
    """Return whether a connection is one of a package, or of a class that derives from it."""
    return any(one.__module__.partition(".")[0] == package for one in inspect.getmro(type(connection)))


def _ids(row: Any) -> list[str]:
    """Return the only column of a row, whatever factory made it."""
    (ids,) = row.values() if isinstance(row, Mapping) else row
    return list(ids)


def _text(value: Any, path: str) -> str:
    return encode(value, path).decode()
