"""`awf.event/*` and `awf.trigger/*`: publishing events, and the starts of triggers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.definition import Name
from fencepost.domain.event import Event, EventId, read_event, read_resource
from fencepost.engine.context import Context
from fencepost.engine.outcomes import Outcomes
from fencepost.errors import invalid_params
from fencepost.resources.definitions import definition_resource
from fencepost.resources.events import PublishResult, TriggerStatusResult, publish_result, trigger_status_result
from fencepost.resources.values import JsonObject
from fencepost.rpc.methods.definition import DefinitionsResult, ListParams
from fencepost.rpc.registry import Registry

event_methods = Registry()


class PublishParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event: a resource that was saved, or a CloudEvent 1.0."""

    resource: JsonObject | UnsetType = UNSET
    event: Annotated[JsonObject, Meta(description="with `specversion`, `id`, `source` and `type`")] | UnsetType = UNSET
    id: (
        Annotated[EventId, Meta(description="id of the event with a resource, for deduplication; by default a UUID")]
        | None
    ) = None

    def __post_init__(self) -> None:
        """Raise Refusal unless there is exactly one of the two, and it is valid."""
        self.read()

    def read(self) -> Event:
        """Return the event; raise Refusal (`invalid-params`)."""
        if self.resource is UNSET and self.event is not UNSET:
            if self.id is not None:
                raise invalid_params("a CloudEvent has an id of its own", "id")
            return read_event(self.event, "event")
        if self.resource is not UNSET and self.event is UNSET:
            return read_resource(self.resource, self.id, "resource", "id")
        raise invalid_params("either 'resource' or 'event' is needed", "")


class TriggerStatusParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The name of a trigger, and the number of its latest starts in the answer."""

    name: Name
    limit: Annotated[int, Meta(ge=0, le=1000)] = 20


@event_methods.batched(
    "awf.event/publish", example={"resource": {"resourceType": "Observation", "status": "final"}, "id": "obs-17-final"}
)
async def publish(context: Context, calls: Sequence[PublishParams]) -> Outcomes[PublishResult]:
    """Publish an event. Idempotent by its id. Starts matching triggers and completes waiting subscriptions."""
    events = [call.read() for call in calls]
    outcomes = await context.engine.events.publish(events, caller=context.caller)
    return [
        outcome if isinstance(outcome, Exception) else publish_result(event, outcome)
        for event, outcome in zip(events, outcomes, strict=True)
    ]


@event_methods.method("awf.trigger/list", example={"limit": 10})
async def list_(context: Context, params: ListParams) -> DefinitionsResult:
    """List the newest versions of triggers by name, page by page."""
    page, more = await context.engine.triggers.list(after=params.after, size=params.limit)
    return DefinitionsResult([definition_resource(definition) for definition in page], page[-1].name if more else UNSET)


@event_methods.method("awf.trigger/status", example={"name": "demo/review-final", "limit": 5})
async def status(context: Context, params: TriggerStatusParams) -> TriggerStatusResult:
    """Get a trigger, its number of starts, and its latest starts with their results."""
    return trigger_status_result(await context.engine.triggers.status(params.name, size=params.limit))
