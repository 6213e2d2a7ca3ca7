# ruff: noqa: N802  # the methods are called as the published service calls them
"""Records of machines, as clients of the old package push them and ask for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import orjson
from msgspec import Raw

from fencepost.engine.engine import Engine
from fencepost.vocabularies.machines.grpc.answers import Refused, answered, refuse, streamed
from fencepost.vocabularies.machines.grpc.proto import hardware_2021_pb2
from fencepost.vocabularies.machines.grpc.records import message_of, record_of
from fencepost.vocabularies.machines.grpc.texts import LONGEST_HARDWARE, json_text
from fencepost.vocabularies.machines.grpc.workers import CALLER, checked
from fencepost.vocabularies.machines.hardware_document import address_of
from fencepost.vocabularies.machines.hardware_store import HardwareRecord

_NAMES: Any = hardware_2021_pb2
_PAGE = 200


class Hardware:
    """The service of hardware."""

    def __init__(self, engine: Engine) -> None:
        self._records = engine.machines.hardware

    @answered
    async def Push(self, request: Any, context: Any) -> Any:
        """Keep the record of a machine, in the place of an older one."""
        if not request.data.id:
            refuse("id must be set to a UUID, got id: ")
        text = await json_text(orjson.dumps(record_of(request.data)), "hardware", most=LONGEST_HARDWARE)
        await self._records.push(Raw(text), caller=CALLER)
        return _NAMES.Empty()

    @answered
    async def ByMAC(self, request: Any, context: Any) -> Any:
        """Return the machine that has a MAC address."""
        return await self._at(checked(request.mac, "invalid mac"))

    @answered
    async def ByIP(self, request: Any, context: Any) -> Any:
        """Return the machine that has an IP address."""
        return await self._at(checked(request.ip, "invalid ip"))

    @answered
    async def ByID(self, request: Any, context: Any) -> Any:
        """Return the machine of an id."""
        return _message(await self._records.get(checked(request.id, "invalid id")))

    @streamed
    async def All(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Yield all machines, by their ids."""
        after: str | None = None
        more = True
        while more:
            page, more = await self._records.list(after=after, size=_PAGE)
            for record in page:
                yield _message(record)
                after = record.id

    @streamed
    async def DeprecatedWatch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Refuse: what is pushed is to be asked for."""
        raise Refused(grpc.StatusCode.UNIMPLEMENTED, "no pushes are streamed here; ask with ByID")
        yield  # pragma: no cover  # which makes it a stream

    @answered
    async def Delete(self, request: Any, context: Any) -> Any:
        """Forget a machine."""
        await self._records.delete(checked(request.id, "invalid id"))
        return _NAMES.Empty()

    async def _at(self, address: str) -> Any:
        ids = await self._records.ids([address])
        id = ids[address]
        # An address that leads to no record is returned as it is.
        if id == address_of(address):
            raise Refused(grpc.StatusCode.NOT_FOUND, f"there is no hardware with the address {address[:100]!r}")
        return _message(await self._records.get(id))


def _message(record: HardwareRecord) -> Any:
    return message_of(_NAMES.Hardware(), orjson.loads(record.record))
