"""The relay of an outbox: creates the tasks that an application enqueued in its own database.

`python -m fencepost_sdk.relay --install DATABASE` makes the outbox, `python -m fencepost_sdk.relay DATABASE` relays it
(docs/transactions.md). A row of the outbox is deleted only after the server has acknowledged its task. A relay that
dies in between sends the row again, with the same id, and the server answers with the task that exists.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from fencepost_sdk.async_client import AsyncClient
from fencepost_sdk.backoff import Backoff
from fencepost_sdk.errors import ConnectionFailed, FencepostError, RpcError
from fencepost_sdk.payloads import encode

logger = logging.getLogger("fencepost_sdk")

INSTALL = Path(__file__).with_name("relay.sql")
# Rows of one transaction. Their params are in the memory of the relay together.
BATCH = 500
# An application that does not notify waits at most this long.
LOOK_SECONDS = 1.0
# The transaction of a batch stays open while the server is not reached.
PATIENCE_SECONDS = 5.0

# Concurrent relays take different rows.
_TAKE = """
select seq, id, definition, params, label, execute_at, settings
from fencepost.outbox where due_at <= statement_timestamp()
order by due_at, seq limit %s for update skip locked
"""
_DELETE = "delete from fencepost.outbox where seq = any(%s)"
_POSTPONE = """
update fencepost.outbox as o
set attempts = o.attempts + 1, error = r.error,
    due_at = statement_timestamp() + least(2 ^ least(o.attempts, 20), 600) * interval '1 s'
from unnest(%s::bigint[], %s::text[]) as u (seq, text) cross join lateral (select u.text::jsonb) as r (error)
where o.seq = u.seq
"""


async def relay(database: str, client: AsyncClient) -> None:
    """Relay the outbox of a database, a conninfo or URL of Postgres, until the coroutine is cancelled.

    Waits while the database or the server cannot be reached. Raises psycopg.Error for a database without an outbox, and
    ConnectionFailed for a server that can never be reached, such as one with an untrusted certificate.
    """
    backoff = Backoff(0.5)
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
                await connection.execute("listen fencepost_outbox")
                while True:
                    taken = await relay_batch(connection, client)
                    if backoff.failures:
                        logger.info("the relay works again")
                        backoff = Backoff(0.5)
                    if taken < BATCH:
                        async for _ in connection.notifies(timeout=LOOK_SECONDS, stop_after=1):
                            pass
        except (psycopg.OperationalError, ConnectionFailed, RpcError) as error:
            if isinstance(error, ConnectionFailed) and error.permanent:
                raise
            if not backoff.failures:
                logger.warning("the relay waits: %s", error)
            await asyncio.sleep(backoff.next())


async def relay_batch(connection: psycopg.AsyncConnection[Any], client: AsyncClient) -> int:
    """Create the tasks of up to `BATCH` due rows, in one transaction; return the number of rows.

    A refused row stays, with the error, and is due again after 1 s, doubled each time up to 10 minutes. When the server
    did not look at some rows, they stay as they are and the reason is raised after the commit: ConnectionFailed, or
    RpcError for credentials that the server does not know. Raises psycopg.Error.
    """
    async with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        rows = await (await cursor.execute(_TAKE, [BATCH])).fetchall()
        faults = await asyncio.gather(*(_fault(client, row) for row in rows))
        created = [row["seq"] for row, fault in zip(rows, faults, strict=True) if fault is None]
        failed = [(row, fault) for row, fault in zip(rows, faults, strict=True) if fault is not None]
        refused = [(row, fault) for row, fault in failed if not _is_unseen(fault)]
        for row, fault in refused:
            logger.error("the outbox keeps task %s of %s: %s", row["id"], row["definition"], fault)
        await cursor.execute(_DELETE, [created])
        await cursor.execute(_POSTPONE, [[row["seq"] for row, _ in refused], [_text(fault) for _, fault in refused]])
    for _, fault in failed:
        if _is_unseen(fault):
            raise fault
    return len(rows)


async def _fault(client: AsyncClient, row: Mapping[str, Any]) -> FencepostError | None:
    """Create the task of a row; return the error instead of raising it, since each row has its own."""
    params = {name: row[name] for name in ("definition", "id", "params", "label", "settings") if row[name] is not None}
    if row["execute_at"] is not None:
        params["executeAt"] = row["execute_at"].isoformat()
    try:
        await client.call("awf.task/create-and-execute", params)
    except FencepostError as error:
        return error
    return None


def _is_unseen(fault: FencepostError) -> bool:
    """Return whether an error says nothing about the row."""
    return isinstance(fault, ConnectionFailed) or (isinstance(fault, RpcError) and fault.status == 401)


def _text(fault: FencepostError) -> str:
    members = {"type": getattr(fault, "type", None), "path": getattr(fault, "path", None), "message": str(fault)}
    return encode({name: value for name, value in members.items() if value is not None}).decode()


async def _run(database: str, url: str | None) -> None:
    running = asyncio.current_task()
    assert running is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        # A batch that is cut off is rolled back, and sent again by the next relay.
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    async with AsyncClient(url, patience=PATIENCE_SECONDS) as client:
        with suppress(asyncio.CancelledError):
            await relay(database, client)


def main(arguments: Sequence[str] | None = None) -> None:
    """Install an outbox, or relay it until SIGTERM or SIGINT; exit with 2 and one line when neither is possible."""
    parser = argparse.ArgumentParser(prog="python -m fencepost_sdk.relay", description=main.__doc__)
    parser.add_argument("database", help="conninfo or URL of the application's database")
    parser.add_argument("--url", help="URL of a Fencepost server; by default FENCEPOST_URL")
    parser.add_argument("--install", action="store_true", help="create the outbox, if it does not exist, and exit")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        if options.install:
            with psycopg.connect(options.database) as connection:
                connection.execute(INSTALL.read_bytes())
        else:
            asyncio.run(_run(options.database, options.url))
    except (psycopg.Error, FencepostError) as error:
        # Postgres adds the place in the script, which says nothing to the caller.
        parser.exit(2, f"fencepost: {str(error).partition(chr(10))[0]}\n")


if __name__ == "__main__":
    main()
