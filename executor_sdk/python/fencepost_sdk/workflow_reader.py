"""Reads workflows before a decision about them, over a connection of its own.

Reads that are asked for while a request is in flight leave together in the next request.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from fencepost_sdk.backoff import Backoff
from fencepost_sdk.encoding import encode_call
from fencepost_sdk.errors import RpcError
from fencepost_sdk.protocol import TRANSIENT, Answer
from fencepost_sdk.retrying_connection import RetryingConnection

STATUS = "awf.workflow/status"
PARTS = ("activities", "decisions")
REQUEST_SECONDS = 30.0
# The status of a workflow may be large: with many of them in one answer the first decision would wait for the last one.
MAX_READS = 20


class WorkflowReader:
    """The reads that deciders wait for, and the loop that sends them."""

    def __init__(self, connection: RetryingConnection[Answer]) -> None:
        self._connection = connection
        self._pending: list[tuple[bytes, asyncio.Future[Answer]]] = []
        self._wake = asyncio.Event()

    async def read(self, workflow: str, *, activities: bool) -> dict[str, Any]:
        """Return the status of a workflow with all its activities and decisions; raises RpcError when it is refused.

        Without `activities` the answer has neither activities nor decisions. A transient refusal is retried for ever.
        """
        params: dict[str, Any] = {"id": workflow, "include-activities?": activities, "include-decisions?": activities}
        status = page = await self._read_page(params)
        # A part that does not fit into one answer has a cursor for its next page.
        while cursors := {part: page[f"{part}-next"] for part in PARTS if page.get(f"{part}-next")}:
            params = {"id": workflow}
            for part in PARTS:
                params[f"include-{part}?"] = part in cursors
            page = await self._read_page(params | {f"{part}-after": cursor for part, cursor in cursors.items()})
            for part in cursors:
                status[part] = [*status[part], *page.get(part, [])]
        return status

    async def _read_page(self, params: dict[str, Any]) -> dict[str, Any]:
        call = encode_call(STATUS, params)
        backoff = Backoff()
        while True:
            answer = await self._answer(call)
            if answer.error is None:
                page: dict[str, Any] = msgspec.json.decode(answer.result)
                return page
            if answer.error.type not in TRANSIENT:
                raise answer.error.as_error()
            await asyncio.sleep(backoff.next())

    async def _answer(self, call: bytes) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._pending.append((call, future))
        self._wake.set()
        return await future

    async def run(self) -> None:
        """Send pending reads until canceled."""
        while True:
            await self._wake.wait()
            reads, self._pending = self._pending[:MAX_READS], self._pending[MAX_READS:]
            if not self._pending:
                self._wake.clear()
            # The future of a decision that lost its lease meanwhile is canceled.
            reads = [read for read in reads if not read[1].done()]
            if reads:
                await self._exchange(reads)

    async def _exchange(self, reads: list[tuple[bytes, asyncio.Future[Answer]]]) -> None:
        try:
            answers, _ = await self._connection.exchange([call for call, _ in reads], REQUEST_SECONDS)
        except RpcError as refused:
            for _, future in reads:
                if not future.done():
                    future.set_exception(refused)
            return
        for (_, future), answer in zip(reads, answers, strict=True):
            if not future.done():
                future.set_result(answer)
