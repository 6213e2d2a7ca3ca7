"""`aidbox.task/run-sql`: one read-only query, on a connection of its own."""

from __future__ import annotations

import msgspec

from fencepost.domain.query import numbered
from fencepost.engine.builtin.execution import BuiltinExecution, Handler
from fencepost.errors import RUN_SQL_OFF, Refusal
from fencepost.store.reader import Reader


class _Params(msgspec.Struct, frozen=True):
    sql: str | list[msgspec.Raw]


def run_sql(reader: Reader | None) -> Handler:
    """Return the handler; without a reader every task fails (`run-sql-off`)."""

    async def handle(execution: BuiltinExecution) -> bytes:
        if reader is None:
            raise Refusal(RUN_SQL_OFF)
        asked = msgspec.json.decode(execution.params, type=_Params).sql
        if isinstance(asked, str):
            text, args = asked, []
        else:
            text, *args = (msgspec.json.decode(member) for member in asked)
        rows = await reader.rows(numbered(text, len(args)), args)
        return b'{"rows":[' + b",".join(rows) + b"]}"

    return handle
