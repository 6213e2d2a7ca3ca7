"""`fencepost_sdk.sql`: each driver enqueues in its own transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from fencepost_sdk import NotJson
from fencepost_sdk.sql import enqueue, enqueue_async, enqueue_many, enqueue_many_async
from tests.fixtures.servers import Server

Use = Callable[[str, bool], list[str]]
LATER = datetime(2090, 1, 2, 3, 4, 5, tzinfo=UTC)
MANY: list[Any] = [{"n": 1.0}, None, {"n": "é"}]
WITH: dict[str, Any] = {"label": "one", "execute_at": LATER, "settings": {"retryDelay": 5}}


def sqlalchemy_engine(conninfo: str) -> Any:
    return sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo))


def both(connection: Any) -> list[str]:
    one = enqueue(connection, "demo/resize", {"width": 320}, id="one", notify=True, **WITH)
    return [one, *enqueue_many(connection, "demo/resize", MANY, ids=["a", None, "c"], labels=["a", "b", None])]


async def both_async(connection: Any) -> list[str]:
    one = await enqueue_async(connection, "demo/resize", {"width": 320}, id="one", notify=True, **WITH)
    ids = ["a", None, "c"]
    many = await enqueue_many_async(connection, "demo/resize", MANY, ids=ids, labels=["a", "b", None])
    return [one, *many]


def with_psycopg(conninfo: str, commits: bool) -> list[str]:
    with psycopg.connect(conninfo) as connection:
        ids = both(connection)
        connection.commit() if commits else connection.rollback()
    return ids


def with_rows_as_dictionaries(conninfo: str, commits: bool) -> list[str]:
    with psycopg.connect(conninfo, row_factory=dict_row) as connection:
        ids = both(connection)
        connection.commit() if commits else connection.rollback()
    return ids


def with_sqlalchemy(conninfo: str, commits: bool) -> list[str]:
    with _disposed(sqlalchemy_engine(conninfo)) as engine, engine.connect() as connection:
        ids = both(connection)
        connection.commit() if commits else connection.rollback()
    return ids


def with_a_session(conninfo: str, commits: bool) -> list[str]:
    with _disposed(sqlalchemy_engine(conninfo)) as engine, Session(engine) as session:
        ids = both(session)
        session.commit() if commits else session.rollback()
    return ids


async def with_async_psycopg(conninfo: str, commits: bool) -> list[str]:
    async with await psycopg.AsyncConnection.connect(conninfo) as connection:
        ids = await both_async(connection)
        await (connection.commit() if commits else connection.rollback())
    return ids


async def with_asyncpg(conninfo: str, commits: bool) -> list[str]:
    where: dict[str, Any] = dict(conninfo_to_dict(conninfo))
    connection = await asyncpg.connect(
        host=where["host"], port=int(where.get("port", 5432)), user=where["user"], database=where["dbname"]
    )
    try:
        transaction = connection.transaction()
        await transaction.start()
        ids = await both_async(connection)
        await (transaction.commit() if commits else transaction.rollback())
    finally:
        await connection.close()
    return ids


async def with_an_async_session(conninfo: str, commits: bool) -> list[str]:
    where: dict[str, Any] = dict(conninfo_to_dict(conninfo))
    url = sqlalchemy.URL.create(
        "postgresql+asyncpg",
        username=where["user"],
        database=where["dbname"],
        query={"host": where["host"], "port": str(where.get("port", 5432))},
    )
    engine = create_async_engine(url)
    try:
        async with AsyncSession(engine) as session:
            ids = await both_async(session)
            await (session.commit() if commits else session.rollback())
    finally:
        await engine.dispose()
    return ids


@contextmanager
def _disposed(engine: Any) -> Iterator[Any]:
    try:
        yield engine
    finally:
        engine.dispose()


USES = [
    with_psycopg,
    with_rows_as_dictionaries,
    with_sqlalchemy,
    with_a_session,
    with_async_psycopg,
    with_asyncpg,
    with_an_async_session,
]


def used(use: Any, conninfo: str, *, commits: bool) -> list[str]:
    ids = use(conninfo, commits)
    return asyncio.run(ids) if asyncio.iscoroutine(ids) else ids


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_the_tasks_of_a_driver_exist_if_its_transaction_commits(server: Server, use: Any) -> None:
    server.define()
    assert len(used(use, server.conninfo, commits=False)) == 4
    assert server.query("select count(*) from fencepost.task_resources") == [(0,)]

    ids = used(use, server.conninfo, commits=True)
    one, *many = [server.task(id) for id in ids]
    assert [ids[0], ids[1], ids[3]] == ["one", "a", "c"]
    assert (one["params"], one["label"], one["status"]) == ({"width": 320}, "one", "waiting")
    assert datetime.fromisoformat(one["executeAt"]) == LATER
    assert [task.get("params") for task in many] == MANY
    assert [task.get("label") for task in many] == ["a", "b", None]


def test_values_that_cannot_be_sent_are_refused_before_a_statement(server: Server) -> None:
    server.define()
    with psycopg.connect(server.conninfo) as connection:
        with pytest.raises(NotJson):
            enqueue(connection, "demo/resize", {"width": float("nan")})
        with pytest.raises(ValueError, match="execute_at needs a timezone"):
            enqueue(connection, "demo/resize", execute_at=LATER.replace(tzinfo=None))
        assert enqueue_many(connection, "demo/resize", []) == []
        with pytest.raises(psycopg.errors.UndefinedObject):
            enqueue(connection, "demo/unknown")
