"""A search reads a part of all tasks at a time, reports its position, and continues from there."""

from __future__ import annotations

import asyncio
from typing import Literal

import psycopg
import pytest

from fencepost.domain.listing import Direction, Filter
from fencepost.store.database import Database
from fencepost.store.search import Found, Search, of_tasks

TASKS = 5000
RARE = (17, 2500, 4999)
_FILL = """
insert into fencepost.done_tasks
    (seq, id, definition, definition_version, params, requester, created_by, created_at, version, action, done_by,
     status_before, outcome, retry_count, done_at)
select
    n, 'task-' || n, 'demo/kind', 1,
    json_build_object('n', n, 'word', case when n = any(%s) then 'rare' else 'usual' end),
    '{}', 'test', timestamptz '2026-01-01' + n * interval '1 second', 2, 'x', 'test', 'ready', 'canceled', 0,
    timestamptz '2026-01-01' + (n + 10) * interval '1 second'
from generate_series(1, %s) as n
"""


@pytest.fixture
def filled(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(_FILL, (list(RARE), TASKS))
    return database


def pages(conninfo: str, wanted: Filter, direction: Direction, *, seconds: float, size: int = 2) -> list[Found]:
    async def read() -> list[Found]:
        database = Database(conninfo, connections=1)
        found: list[Found] = []
        try:
            while not found or found[-1].position is not None:
                position = found[-1].position if found else None
                search = Search(database, of_tasks, wanted, seconds=seconds)
                found.append(await search.page("created_at", direction, position, size))
            return found
        finally:
            await database.close()

    return asyncio.run(read())


def ids(found: list[Found]) -> list[str]:
    return [row[1] for page in found for row in page.rows]


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("seconds", [0, 60])
def test_the_pages_of_a_search_hold_each_match_once_for_any_time_limit(
    filled: str, direction: Direction, seconds: float
) -> None:
    found = pages(filled, Filter(pattern="%rare%"), direction, seconds=seconds)

    assert ids(found) == [f"task-{n}" for n in (RARE if direction == "asc" else reversed(RARE))]
    assert len(found) == (2 if seconds else 5), "in no time, a page looks at a thousand numbers"


def test_a_search_page_that_ran_out_of_time_says_how_far_it_searched(filled: str) -> None:
    first, *_, last = pages(filled, Filter(pattern="%rare%"), "desc", seconds=0)

    assert [row[1] for row in first.rows] == ["task-4999"]
    assert first.searched_to == "2026-01-01T01:06:41.000000Z", "of the 4,001st, which is the last that was looked at"
    assert last.searched_to is None


def test_a_search_that_fills_its_page_stops(filled: str) -> None:
    first, *_ = pages(filled, Filter(pattern="%usual%"), "desc", seconds=60, size=1500)

    assert [first.rows[0][1], first.rows[-1][1]] == ["task-5000", f"task-{TASKS - 1500}"]
    assert first.searched_to is None


@pytest.mark.parametrize(("seconds", "total"), [(0, None), (60, 3)])
def test_a_count_that_takes_too_long_is_left_out(filled: str, seconds: float, total: Literal[3] | None) -> None:
    async def count() -> int | None:
        database = Database(filled, connections=1)
        try:
            return await Search(database, of_tasks, Filter(pattern="%rare%"), seconds=seconds).count()
        finally:
            await database.close()

    assert asyncio.run(count()) == total
