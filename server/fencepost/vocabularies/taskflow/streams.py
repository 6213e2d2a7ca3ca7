"""`GET /taskflows/{taskflowId}/events`: the TASK, STAGE and TASKFLOW events of a flow, as server-sent events.

The stream ends with the flow. A request after its end, such as the automatic reconnect of a browser, is answered 204
until the flow is retried; the 204 stops the reconnects.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response

from fencepost.engine.change_feed import ChangeFeed
from fencepost.errors import Refusal, invalid_params
from fencepost.http.queries import ID
from fencepost.http.sse import Message, head_of_sse, sse
from fencepost.vocabularies.taskflow.errors import TASKFLOW_NOT_FOUND
from fencepost.vocabularies.taskflow.events import FlowEvents
from fencepost.vocabularies.taskflow.replay import Position, parse_position


class TaskflowStreams:
    """The handler of the streams."""

    def __init__(self, events: FlowEvents, changes: ChangeFeed) -> None:
        self._events = events
        self._changes = changes

    async def events(self, request: Request) -> Response:
        """Answer `GET /taskflows/{taskflowId}/events`; `Last-Event-ID` is the event to resume after."""
        id = request.path_params["id"]
        # A path may contain a NUL, which Postgres cannot compare.
        if not ID.fullmatch(id):
            raise Refusal(TASKFLOW_NOT_FOUND, id=id[:64])
        last = request.headers.get("last-event-id")
        position = None if not last else parse_position(last)
        if last and position is None:
            raise invalid_params("Expected the id of an event of this stream", "$.Last-Event-ID")
        if not await self._events.is_behind(id, position):
            return Response(status_code=204)
        if request.method == "HEAD":
            return head_of_sse()
        return sse(self._changes, self._messages(id, position))

    async def _messages(self, id: str, position: Position | None) -> AsyncIterator[Message | None]:
        async for event in self._events.follow(id, position):
            yield None if event is None else Message(event.data, event.position, event.kind)
