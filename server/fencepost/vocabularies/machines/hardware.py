"""Hardware records, and the identity of workers that follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Raw

from fencepost.domain.listing import Portion
from fencepost.errors import Refusal
from fencepost.vocabularies.machines.errors import HARDWARE_NOT_FOUND
from fencepost.vocabularies.machines.hardware_document import address_of, read_hardware
from fencepost.vocabularies.machines.hardware_store import HardwareRecord, HardwareStore


class HardwareRecords:
    """The hardware records of a database; each method raises Refusal for an invalid request."""

    def __init__(self, store: HardwareStore) -> None:
        self._store = store

    async def push(self, record: Raw, *, caller: str) -> HardwareRecord:
        """Store a record, replacing one with the same id; raise Refusal (`invalid-params`, `address-taken`)."""
        hardware = read_hardware(record)
        return await self._store.push(hardware.id, bytes(record), hardware.addresses, caller=caller)

    async def get(self, id: str) -> HardwareRecord:
        """Return a record; raise Refusal (`hardware-not-found`)."""
        return _required(await self._store.find(id), id)

    async def list(self, *, after: str | None, size: int) -> Portion[HardwareRecord]:
        """Return a page of records, ordered by id, after the id `after`."""
        return await self._store.list(after=after, size=size)

    async def delete(self, id: str) -> HardwareRecord:
        """Delete a record and return it; raise Refusal (`hardware-not-found`)."""
        return _required(await self._store.delete(id), id)

    async def worker_names(self, worker: str) -> set[str]:
        """Return all names of a worker in templates: its own, and the id and addresses of its hardware record."""
        return await self._store.worker_names(worker)

    async def worker_ids(self, workers: Iterable[str]) -> Mapping[str, str]:
        """Return the id of each worker, by its name in a template: the id of the record that has this address.

        An address without a record is its own id, in lower case; so is any other name, unchanged.
        """
        addresses = {worker: address_of(worker) for worker in workers}
        ids = await self._store.ids_by_address([*addresses.values()]) if addresses else {}
        return {worker: ids.get(address, address) for worker, address in addresses.items()}


def _required(found: HardwareRecord | None, id: str) -> HardwareRecord:
    if found is None:
        raise Refusal(HARDWARE_NOT_FOUND, field="id", id=id)
    return found
