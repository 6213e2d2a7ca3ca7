"""Records of machines: kept, looked up, and who a worker is by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Raw

from fencepost.domain.listing import Portion
from fencepost.errors import Refusal
from fencepost.vocabularies.machines.errors import HARDWARE_NOT_FOUND
from fencepost.vocabularies.machines.hardware_document import address_of, read_hardware
from fencepost.vocabularies.machines.hardware_store import HardwareRecord, HardwareStore


class HardwareRecords:
    """The machines that a database knows."""

    def __init__(self, store: HardwareStore) -> None:
        self._store = store

    async def push(self, record: Raw, *, caller: str) -> HardwareRecord:
        """Keep the record of a machine, in the place of an older one; raise Refusal."""
        hardware = read_hardware(record)
        return await self._store.push(hardware.id, bytes(record), hardware.addresses, caller=caller)

    async def get(self, id: str) -> HardwareRecord:
        """Return the record of a machine; raise Refusal when there is none."""
        return _there(await self._store.find(id), id)

    async def list(self, *, after: str | None, size: int) -> Portion[HardwareRecord]:
        """Return records by id."""
        return await self._store.list(after=after, size=size)

    async def delete(self, id: str) -> HardwareRecord:
        """Forget a machine and return what was kept; raise Refusal when there is none."""
        return _there(await self._store.delete(id), id)

    async def worker_names(self, worker: str) -> set[str]:
        """Return the names under which a worker may stand in a template: its own, and all of its machine's."""
        return await self._store.worker_names(worker)

    async def ids(self, workers: Iterable[str]) -> Mapping[str, str]:
        """Return workers as they call themselves: an address that a machine is known by stands for its id.

        A MAC address that nothing is known by stands for itself in lower case.
        """
        addresses = {worker: address_of(worker) for worker in workers}
        ids = await self._store.ids_by_address([*addresses.values()]) if addresses else {}
        return {worker: ids.get(address, address) for worker, address in addresses.items()}


def _there(found: HardwareRecord | None, id: str) -> HardwareRecord:
    if found is None:
        raise Refusal(HARDWARE_NOT_FOUND, at="$.id", id=id)
    return found
