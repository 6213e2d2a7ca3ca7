"""`awf.task/*` for many tasks with one call."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.definition import Name
from fencepost.domain.ids import ChosenId
from fencepost.domain.payload import payload_text
from fencepost.domain.task_overrides import TaskOverrides, overrides_text
from fencepost.domain.times import time_text
from fencepost.engine.bulk_creates import NewTasks
from fencepost.engine.context import Context
from fencepost.errors import Refusal, invalid_params
from fencepost.resources.error_body import Fault, error_body, report_bug
from fencepost.resources.values import JsonObject
from fencepost.rpc.methods.task import ExecuteAt, Label
from fencepost.rpc.registry import Registry

bulk_methods = Registry()


class CreateManyParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """New tasks of one definition; `executeAt` and `settings` are those of all."""

    definition: Name
    params: Annotated[list[JsonObject], Meta(min_length=1, description="the params of each task")]
    ids: Annotated[list[ChosenId | None], Meta(description="the id of each task, in the same order")] | None = None
    labels: Annotated[list[Label | None], Meta(description="the label of each task, in the same order")] | None = None
    execute_at: ExecuteAt | None = None
    settings: Annotated[TaskOverrides, Meta(description="override those of the definition")] | UnsetType = UNSET
    request_id: (
        Annotated[
            str,
            Meta(min_length=1, max_length=200, description="idempotency key: a repeated call returns the same ids"),
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        """Raise Refusal unless there are as many ids and labels as params; check and convert the time as for one."""
        for name, given in (("ids", self.ids), ("labels", self.labels)):
            if given is not None and len(given) != len(self.params):
                raise invalid_params(f"{len(given)} {name} for {len(self.params)} params", name)
        if self.ids is not None and self.request_id is not None:
            raise invalid_params("'ids' make the call idempotent; a 'requestId' cannot be added", "requestId")
        if self.execute_at is not None:
            msgspec.structs.force_setattr(self, "execute_at", time_text(self.execute_at, "executeAt"))


class RefusedItem(msgspec.Struct, frozen=True):
    """An item that was refused: its place, and the error; paths in it begin at the call."""

    index: int
    error: Fault


class CreateManyResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The id of each task, null for a refused one, and the refused items."""

    ids: list[str | None]
    refused: list[RefusedItem] = []


@bulk_methods.method(
    "awf.task/create-many", example={"definition": "demo/resize", "params": [{"width": 320}, {"width": 640}]}
)
async def create_many(context: Context, params: CreateManyParams) -> CreateManyResult:
    """Create tasks of one definition with one call: the fastest way. Refused items do not affect the others."""
    if len(params.params) > context.limits.batch:
        raise invalid_params(f"{len(params.params)} items; the limit is {context.limits.batch}", "params")
    new = NewTasks(
        params.definition,
        [payload_text(item) for item in params.params],
        params.ids,
        params.labels,
        params.execute_at,
        overrides_text(params.settings),
        context.caller,
        params.request_id,
    )
    outcomes = await context.engine.bulk_creates.create(new)
    refused = [
        RefusedItem(place, _item_error(outcome, place))
        for place, outcome in enumerate(outcomes)
        if isinstance(outcome, Exception)
    ]
    return CreateManyResult([None if isinstance(outcome, Exception) else outcome for outcome in outcomes], refused)


def _item_error(outcome: Exception, place: int) -> Fault:
    """Return the error of an item of create-many; its path names the place."""
    refusal = outcome if isinstance(outcome, Refusal) else report_bug(outcome, "awf.task/create-many")
    for old, new in (("params", "params"), ("id", "ids")):
        refusal = refusal.renamed(old, f"{new}[{place}]")
    return error_body(refusal if refusal.field is None else refusal.within("params"))
