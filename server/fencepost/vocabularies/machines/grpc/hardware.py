# ruff: noqa: N802  # the methods are called as the published service calls them
"""The hardware service of the old package."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import orjson
from msgspec import Raw

from fencepost.vocabularies.machines.grpc.hardware_messages import fill_message, record_of
from fencepost.vocabularies.machines.grpc.json_text import LONGEST_HARDWARE, checked_json
from fencepost.vocabularies.machines.grpc.proto import hardware_2021_pb2
from fencepost.vocabularies.machines.grpc.status_codes import GrpcError, refuse, streaming_method, unary_method
from fencepost.vocabularies.machines.grpc.workers import CALLER, required
from fencepost.vocabularies.machines.hardware_document import address_of
from fencepost.vocabularies.machines.hardware_store import HardwareRecord
from fencepost.vocabularies.machines.workflows import MachineWorkflows

_MESSAGES: Any = hardware_2021_pb2
_PAGE = 200


class Hardware:
    """`github.com.tinkerbell.tink.protos.hardware.HardwareService`."""

    def __init__(self, workflows: MachineWorkflows) -> None:
        self._records = workflows.hardware

    @unary_method
    async def Push(self, request: Any, context: Any) -> Any:
        """Store a hardware record, replacing one with the same id."""
        if not request.data.id:
            refuse("id must be set to a UUID, got id: ")
        text = await checked_json(orjson.dumps(record_of(request.data)), "hardware", max_bytes=LONGEST_HARDWARE)
        await self._records.push(Raw(text), caller=CALLER)
        return _MESSAGES.Empty()

    @unary_method
    async def ByMAC(self, request: Any, context: Any) -> Any:
        """Return the record with a MAC address."""
        return await self._at(required(request.mac, "invalid mac"))

    @unary_method
    async def ByIP(self, request: Any, context: Any) -> Any:
        """Return the record with an IP address."""
        return await self._at(required(request.ip, "invalid ip"))

    @unary_method
    async def ByID(self, request: Any, context: Any) -> Any:
        """Return the record with an id."""
        return _message(await self._records.get(required(request.id, "invalid id")))

    @streaming_method
    async def All(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Yield all records, ordered by id."""
        after: str | None = None
        more = True
        while more:
            page, more = await self._records.list(after=after, size=_PAGE)
            for record in page:
                yield _message(record)
                after = record.id

    @streaming_method
    async def DeprecatedWatch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Refuse the call: changes are not streamed."""
        raise GrpcError(grpc.StatusCode.UNIMPLEMENTED, "changes are not streamed; poll ByID")
        yield  # pragma: no cover  # makes this an async generator

    @unary_method
    async def Delete(self, request: Any, context: Any) -> Any:
        """Delete a record."""
        await self._records.delete(required(request.id, "invalid id"))
        return _MESSAGES.Empty()

    async def _at(self, address: str) -> Any:
        ids = await self._records.worker_ids([address])
        id = ids[address]
        # `worker_ids` returns an address without a record unchanged.
        if id == address_of(address):
            raise GrpcError(grpc.StatusCode.NOT_FOUND, f"there is no hardware with the address {address[:100]!r}")
        return _message(await self._records.get(id))


def _message(record: HardwareRecord) -> Any:
    return fill_message(_MESSAGES.Hardware(), orjson.loads(record.record))
