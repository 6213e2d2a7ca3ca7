"""The statements of sql/queries/machines/hardware."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from psycopg import Rollback

from fencepost.clock import Clock
from fencepost.domain.listing import Portion
from fencepost.errors import Refusal
from fencepost.store.connection import Connection, fetch
from fencepost.store.database import Database
from fencepost.store.statements import statement
from fencepost.vocabularies.machines.errors import ADDRESS_TAKEN
from fencepost.vocabularies.machines.hardware_document import address_of


class HardwareRecord(NamedTuple):
    """A hardware record: its JSON text, and the time of the last push."""

    id: str
    record: bytes
    pushed_at: str


class HardwareStore:
    """Stores hardware records and the addresses in them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def push(self, id: str, record: bytes, addresses: Sequence[str], *, caller: str) -> HardwareRecord:
        """Store a record, or raise Refusal (`address-taken`) if another record has one of its addresses."""
        params = {"id": id, "record": record.decode(), "caller": caller, "now": self._clock.now()}

        def job(connection: Connection) -> HardwareRecord | Refusal:
            refusal: Refusal | None = None
            with connection.transaction() as transaction:
                (row,) = fetch(connection, statement("machines/hardware/push"), params)
                taken = fetch(
                    connection, statement("machines/hardware/set_addresses"), {"id": id, "addresses": list(addresses)}
                )
                if taken:
                    address, holder = taken[0]
                    refusal = Refusal(ADDRESS_TAKEN, field="hardware.network.interfaces", address=address, id=holder)
                    raise Rollback(transaction)
            return refusal or HardwareRecord._make(row)

        stored = await self._database.run(job)
        if isinstance(stored, Refusal):
            raise stored
        return stored

    async def find(self, id: str) -> HardwareRecord | None:
        """Return a record, or None."""
        rows = await self._database.fetch(statement("machines/hardware/find"), {"id": id})
        return HardwareRecord._make(rows[0]) if rows else None

    async def list(self, *, after: str | None, size: int) -> Portion[HardwareRecord]:
        """Return a page of records, ordered by id, after the id `after`."""
        page = await self._database.reads.page(statement("machines/hardware/list"), {"after": after}, size=size)
        return Portion([HardwareRecord._make(row) for row in page.items], page.more)

    async def delete(self, id: str) -> HardwareRecord | None:
        """Delete a record and return it, or None."""
        rows = await self._database.fetch(statement("machines/hardware/delete"), {"id": id})
        return HardwareRecord._make(rows[0]) if rows else None

    async def worker_names(self, worker: str) -> set[str]:
        """Return all names of a worker in templates: its own, and the id and addresses of its record."""
        params = {"worker": worker, "address": address_of(worker)}
        return {name for (name,) in await self._database.fetch(statement("machines/hardware/worker_names"), params)}

    async def ids_by_address(self, addresses: Sequence[str]) -> Mapping[str, str]:
        """Return the ids of the records that have these addresses, by address."""
        return dict(
            await self._database.fetch(statement("machines/hardware/ids_by_address"), {"addresses": list(addresses)})
        )
