"""`awf.task/*` for many tasks with one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.domain.definition import Name
from fencepost.domain.ids import ChosenId
from fencepost.domain.payload import payload_text
from fencepost.domain.request_budget import budgeted
from fencepost.domain.task_overrides import TaskOverrides, overrides_text
from fencepost.domain.times import time_text
from fencepost.engine.bulk_creates import NewTasks
from fencepost.engine.bulk_finishes import Finishes
from fencepost.engine.context import Context
from fencepost.errors import Refusal, invalid_params
from fencepost.resources.error_body import Fault, error_body, report_bug
from fencepost.resources.values import JsonObject
from fencepost.rpc.methods.executor import Result, TaskId
from fencepost.rpc.methods.task import ExecuteAt, Label
from fencepost.rpc.registry import Registry

bulk_methods = Registry()

# So many refused items show all their faults, so that the answer is bounded.
_DETAILED = 20
# The arrays of a call by the members of a single call.
_COLUMNS = {"id": "ids", "execId": "execIds"}
_LEASES = {"ids": ["c578a224-c1fa-44c1-bc7a-9d2e624b872b"], "execIds": ["aac4c869-daa4-45fb-917a-46fe14359ed4"]}


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


class FinishManyParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Executions of tasks."""

    ids: Annotated[list[TaskId], Meta(min_length=1, description="the id of each task")]
    exec_ids: Annotated[list[str], Meta(description="the fencing token of each execution, in the same order")]

    def __post_init__(self) -> None:
        """Raise Refusal unless the arrays have the same length."""
        for name, given in self._columns().items():
            if len(given) != len(self.ids):
                raise invalid_params(f"{len(given)} {name} for {len(self.ids)} ids", name)

    def _columns(self) -> Mapping[str, Sequence[object]]:
        return {"execIds": self.exec_ids}


class SuccessManyParams(FinishManyParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Executions that succeeded, and their results."""

    results: Annotated[list[Result], Meta(description="the result of each task; may be null")] | None = None

    def _columns(self) -> Mapping[str, Sequence[object]]:
        return {"execIds": self.exec_ids} | ({} if self.results is None else {"results": self.results})


class FailManyParams(FinishManyParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Executions that failed, and their errors."""

    errors: Annotated[list[JsonObject], Meta(description="the error of each task; may be null")] | None = None

    def _columns(self) -> Mapping[str, Sequence[object]]:
        return {"execIds": self.exec_ids} | ({} if self.errors is None else {"errors": self.errors})


class RefusedItem(msgspec.Struct, frozen=True):
    """An item that was refused: its index in the arrays of the call, and the error; its path begins at the call.

    The first 20 refused items have all their `errors`.
    """

    index: int
    error: Fault


class CreateManyResult(msgspec.Struct, frozen=True):
    """The id of each task, null for a refused one, and the refused items."""

    ids: list[str | None]
    refused: list[RefusedItem]


class FinishManyResult(msgspec.Struct, frozen=True):
    """The refused items; all others are finished."""

    refused: list[RefusedItem]


@bulk_methods.method(
    "awf.task/create-many", example={"definition": "demo/resize", "params": [{"width": 320}, {"width": 640}]}
)
async def create_many(context: Context, params: CreateManyParams) -> CreateManyResult:
    """Create tasks of one definition: the fastest way to create many. Refused items do not affect the others."""
    _check_number(context, params.params, "params")
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
    with budgeted():
        outcomes = await context.engine.bulk_creates.create(new)
    refusals = {place: outcome for place, outcome in enumerate(outcomes) if isinstance(outcome, Exception)}
    return CreateManyResult(
        [None if isinstance(outcome, Exception) else outcome for outcome in outcomes],
        _refused(refusals, {"params": "params", "id": "ids"}),
    )


@bulk_methods.method("awf.task/success-many", example={**_LEASES, "results": [{"imported-resources": 42}]})
async def success_many(context: Context, params: SuccessManyParams) -> FinishManyResult:
    """Complete executions, as `awf.task/success` does each. Refused items do not affect the others."""
    with budgeted():
        refusals = await context.engine.bulk_finishes.success(_finishes(context, params, params.results))
    return FinishManyResult(_refused(refusals, {**_COLUMNS, "result": "results"}))


@bulk_methods.method("awf.task/fail-many", example={**_LEASES, "errors": [{"reason": "no such file"}]})
async def fail_many(context: Context, params: FailManyParams) -> FinishManyResult:
    """Fail executions, as `awf.task/fail` does each. Refused items do not affect the others."""
    with budgeted():
        refusals = await context.engine.bulk_finishes.fail(_finishes(context, params, params.errors))
    return FinishManyResult(_refused(refusals, {**_COLUMNS, "error": "errors"}))


@bulk_methods.method("awf.task/release-many", example=_LEASES)
async def release_many(context: Context, params: FinishManyParams) -> FinishManyResult:
    """Release leased tasks, as `awf.task/release` does each. Refused items do not affect the others."""
    refusals = await context.engine.bulk_finishes.release(_finishes(context, params, None))
    return FinishManyResult(_refused(refusals, _COLUMNS))


def _finishes(context: Context, params: FinishManyParams, contents: Sequence[Raw] | None) -> Finishes:
    _check_number(context, params.ids, "ids")
    texts = None if contents is None else [payload_text(content) for content in contents]
    return Finishes(params.ids, params.exec_ids, texts, context.caller)


def _check_number(context: Context, items: Sequence[object], name: str) -> None:
    if len(items) > context.limits.batch:
        raise invalid_params(f"{len(items)} items in one call; the limit is {context.limits.batch}", name)


def _refused(refusals: Mapping[int, Exception], columns: Mapping[str, str]) -> list[RefusedItem]:
    """Convert the refusals of items; `columns` has the array of each member of a single call."""
    errors = [(place, _error(refusals[place], place, columns)) for place in sorted(refusals)]
    cut = [(place, msgspec.structs.replace(error, errors=UNSET)) for place, error in errors[_DETAILED:]]
    return [RefusedItem(place, error) for place, error in (*errors[:_DETAILED], *cut)]


def _error(failure: Exception, place: int, columns: Mapping[str, str]) -> Fault:
    refusal = failure if isinstance(failure, Refusal) else report_bug(failure, "of many tasks")
    for member, column in columns.items():
        refusal = refusal.renamed(member, f"{column}[{place}]")
    return error_body(refusal if refusal.field is None else refusal.within("params"))
