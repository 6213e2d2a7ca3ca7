"""Looking at workflows before a decision about them, on a connection of its own, as rounds are: what is asked for while
a request is away goes out with the next one."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from fencepost_sdk.backoff import Backoff
from fencepost_sdk.calls import encode_call
from fencepost_sdk.errors import RpcError
from fencepost_sdk.protocol import TRANSIENT, Answer
from fencepost_sdk.retrying_connection import RetryingConnection

STATUS = "awf.workflow/status"
PARTS = ("activities", "decisions")
REQUEST_SECONDS = 30.0
# The status of a workflow may be large: many of them in one answer would make the first wait for the last.
MOST_LOOKS = 20


class Looks:
    """The questions of deciders, and the loop that answers them."""

    def __init__(self, connection: RetryingConnection[Answer]) -> None:
        self._connection = connection
        self._asked: list[tuple[bytes, asyncio.Future[Answer]]] = []
        self._wake = asyncio.Event()

    async def look(self, workflow: str, *, activities: bool) -> dict[str, Any]:
        """Return the status of a workflow, with all of its activities and decisions; raise RpcError."""
        asked: dict[str, Any] = {"id": workflow, "include-activities?": activities, "include-decisions?": activities}
        status = page = await self._page(asked)
        # A part that has more than fits into an answer says where to go on.
        while following := {part: page[f"{part}-next"] for part in PARTS if page.get(f"{part}-next")}:
            asked = {"id": workflow}
            for part in PARTS:
                asked[f"include-{part}?"] = part in following
            page = await self._page(asked | {f"{part}-after": place for part, place in following.items()})
            for part in following:
                status[part] = [*status[part], *page.get(part, [])]
        return status

    async def _page(self, asked: dict[str, Any]) -> dict[str, Any]:
        call = encode_call(STATUS, asked)
        backoff = Backoff()
        while True:
            answer = await self._ask(call)
            if answer.error is None:
                page: dict[str, Any] = msgspec.json.decode(answer.result)
                return page
            if answer.error.type not in TRANSIENT:
                raise answer.error.as_error()
            await asyncio.sleep(backoff.next())

    async def _ask(self, call: bytes) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked.append((call, future))
        self._wake.set()
        return await future

    async def run(self) -> None:
        """Answer until canceled."""
        while True:
            await self._wake.wait()
            asked, self._asked = self._asked[:MOST_LOOKS], self._asked[MOST_LOOKS:]
            if not self._asked:
                self._wake.clear()
            # A decision that was lost meanwhile needs no answer.
            asked = [one for one in asked if not one[1].done()]
            if asked:
                await self._exchange(asked)

    async def _exchange(self, asked: list[tuple[bytes, asyncio.Future[Answer]]]) -> None:
        try:
            answers, _ = await self._connection.exchange([call for call, _ in asked], REQUEST_SECONDS)
        except RpcError as refused:
            for _, future in asked:
                if not future.done():
                    future.set_exception(refused)
            return
        for (_, future), answer in zip(asked, answers, strict=True):
            if not future.done():
                future.set_result(answer)
