"""The data of machine workflows: JSON that their workers share, in versions."""

from __future__ import annotations

import asyncio

from fencepost.engine.outcomes import TRIES, too_contended
from fencepost.errors import WORKFLOW_NOT_FOUND, Refusal
from fencepost.vocabularies.machines.metadata import MAX_METADATA_BYTES, bounded_metadata
from fencepost.vocabularies.machines.store import DataVersion, MachineStore


class WorkflowData:
    """Stores versions of workflow data; the newest `kept` versions are kept whole, older ones as metadata only."""

    def __init__(self, store: MachineStore, *, kept: int) -> None:
        self._store = store
        self._kept = kept

    async def put(self, id: str, metadata: bytes, data: bytes) -> int:
        """Store a new version, as two JSON texts, and return its number, counted from 1.

        Raises Refusal: `workflow-not-found`, `invalid-params` (metadata too long).
        """
        if len(metadata) > MAX_METADATA_BYTES:
            metadata = await asyncio.to_thread(bounded_metadata, metadata)
        for _ in range(TRIES):
            if await self._store.find(id) is None:
                raise Refusal(WORKFLOW_NOT_FOUND, field="id", id=id)
            version = await self._store.put_data(id, metadata, data, kept=self._kept)
            if version is not None:
                return version
        raise too_contended(f"workflow {id!r}")

    async def find(self, id: str, version: int) -> DataVersion | None:
        """Return a version, 0 for the newest; None if it does not exist."""
        return await self._store.find_data(id, version or None)
