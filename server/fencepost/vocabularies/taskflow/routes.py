"""`GET /taskflows/{taskflowId}/events`: the TASK, STAGE and TASKFLOW events of a flow, as server-sent events.

The stream ends with the flow. A request after its end, such as the automatic reconnect of a browser, is answered 204
until the flow is retried; the 204 stops the reconnects.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response

from fencepost.engine.context import Context
from fencepost.errors import Refusal, invalid_params
from fencepost.http.parameters import ID, Header
from fencepost.http.routes import EVENT_STREAM, Content, Routes
from fencepost.http.sse import Message, head_of_sse, sse
from fencepost.vocabularies.taskflow.errors import TASKFLOW_NOT_FOUND
from fencepost.vocabularies.taskflow.events import FlowEvents
from fencepost.vocabularies.taskflow.replay import Position, parse_position

taskflow_routes = Routes()

_LAST_EVENT_ID = Header("Last-Event-ID", "id of the last event received; the stream resumes after it")


@taskflow_routes.route(
    "GET",
    "/taskflows/{id}/events",
    parameters=(_LAST_EVENT_ID,),
    answer=Content({EVENT_STREAM: str}, "Server-sent events; the data of each is `{eventType, data}`."),
    errors=(TASKFLOW_NOT_FOUND,),
    also={204: "The flow has ended, and that was its last event."},
)
async def follow_taskflow(context: Context, request: Request) -> Response:
    """Stream the TASK, STAGE and TASKFLOW events of a flow until it has ended."""
    id, events = request.path_params["id"], context.of(FlowEvents)
    # A path may contain a NUL, which Postgres cannot compare.
    if not ID.fullmatch(id):
        raise Refusal(TASKFLOW_NOT_FOUND, id=id[:64])
    last = _LAST_EVENT_ID.read(request.headers)
    position = None if last is None else parse_position(last)
    if last is not None and position is None:
        raise invalid_params("Expected the id of an event of this stream", "Last-Event-ID")
    if not await events.is_behind(id, position):
        return Response(status_code=204)
    if request.method == "HEAD":
        return head_of_sse()
    return sse(context.engine.changes, _messages(events, id, position))


async def _messages(events: FlowEvents, id: str, position: Position | None) -> AsyncIterator[Message | None]:
    async for event in events.follow(id, position):
        yield None if event is None else Message(event.data, event.position, event.kind)
